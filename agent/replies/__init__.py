"""What the agent says: written from results, in the person's language, with the catalogue's prices and no others."""
