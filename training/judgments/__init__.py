"""Judged queries: what was asked, and which products answer it how well."""
