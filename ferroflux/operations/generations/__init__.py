"""Generations for operators: comparing two of them, the gate before a promotion, and what each command does."""
