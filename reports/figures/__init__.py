"""Figures of a report, drawn with Matplotlib."""
