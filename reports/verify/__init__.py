"""Checks of printed tables: against the store, and against the arithmetic of ranking metrics."""
