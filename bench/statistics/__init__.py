"""Tests, effects and slices of the metrics of users, with NumPy and SciPy.

Every function takes plain arrays, so that it can be checked without a store.
``docs/statistics.md`` explains what the tests mean and what they do not.
"""
