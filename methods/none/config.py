"""Settings of the bare backbone: it has none of its own."""

from bench.config import Config


class NoneConfig(Config):
    """No settings."""
