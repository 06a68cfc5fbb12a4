"""Settings of FMLP-Rec."""

from bench.methods.parts.sizes import FrameConfig


class FMLPConfig(FrameConfig):
    """Defaults are the official code's."""
