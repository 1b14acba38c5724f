"""From ranked answers to figures: metrics of one query, their means with intervals, tests of differences."""
