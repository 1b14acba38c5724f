"""Where a conversation's state lives between turns: four stores behind one port, one strict serialisation."""
