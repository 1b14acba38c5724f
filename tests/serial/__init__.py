"""Tests that measure processor time, and so run alone: one after the other, in an invocation of their own."""
