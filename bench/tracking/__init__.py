"""Copies of runs, experiments, studies and trials in MLflow, written from the results store."""
