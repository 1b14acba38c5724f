"""Helpers that tests share: real data, servers, doubles."""
