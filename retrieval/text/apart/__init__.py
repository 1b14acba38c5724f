"""One document that cannot be indexed stops no other: it is held without what fails, noted, and told."""
