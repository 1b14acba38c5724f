"""Experiments: a system over judged queries, two systems beside each other, each stage switched off in turn."""
