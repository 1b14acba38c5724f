"""The database's history, in order; a migration that has been released is never edited."""
