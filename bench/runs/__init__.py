"""Specifications, plans, experiments, the results store and the executors."""
