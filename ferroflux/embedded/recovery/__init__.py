"""What a start has to mend after the stop before it: records not applied yet, stores that disagree."""
