"""Commands that measure and tune search on judged queries."""
