"""Tests, effects and slices of per-user figures: NumPy and SciPy, nothing of a model.

Every function takes plain arrays, so that it can be checked without a store. What the tests mean,
and what they do not, is told in ``docs/statistics.md``.
"""
