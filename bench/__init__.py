"""A fair benchmark of denoisers for sequential recommendation."""

from bench.version import __version__ as __version__
