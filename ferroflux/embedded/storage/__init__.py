"""The data directory of the embedded mode: where each part lies, who owns it, and how the last owner left it."""
