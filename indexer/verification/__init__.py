"""Verification: every document that ever stands last in the documents topic is compared with the store, whoever wrote it."""
