"""The change journal: the change log on local disk, for the embedded mode, whose broker forgets at a stop."""
