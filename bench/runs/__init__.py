"""Specifications, plans, cells, the results store and the executors."""
