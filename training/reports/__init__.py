"""An experiment as a page for people: Markdown and HTML."""
