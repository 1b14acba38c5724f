"""Judged queries over the sample catalogue: what buyers of several countries type, judged by rule."""
