"""A fair benchmark of denoisers for sequential recommendation."""

__version__ = "0.1.0"
