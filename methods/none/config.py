"""Settings of the bare backbone, which has none of its own."""

from bench.config import Config


class NoneConfig(Config):
    """No settings."""
