"""Learning from data, and measuring what was learned: judged queries, metrics, experiments, tuning."""
