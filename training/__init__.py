"""Learning from data, and measuring what was learned: judged queries, metrics, experiments, tuning.

The order of its layers, held by import-linter: `judgments, resampling ← systems ← metrics ← experiments ← reports, tuning`.
`systems` are what answers judged queries, and import none of what judges them.
"""
