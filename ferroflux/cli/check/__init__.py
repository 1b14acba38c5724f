"""Commands that check: this machine, and files of change events before they are sent."""
