"""Copies of runs, experiments, studies and trials in MLflow; the results store stays the truth."""
