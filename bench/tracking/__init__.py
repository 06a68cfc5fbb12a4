"""Copies of runs, cells, studies and trials in MLflow; the results store stays the truth."""
