"""Files into change events: readers, column recognition, conversion, and a resumable run with back-pressure."""
