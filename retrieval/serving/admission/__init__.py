"""Admission over HTTP: every route's bound, the tenant that a request counts for, and the refusal, before anything is parsed."""
