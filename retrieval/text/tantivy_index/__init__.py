"""The text index on Tantivy: one writer, any number of readers, in a folder of files."""
