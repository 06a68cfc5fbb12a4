"""Text encoders: one package each, with a light descriptor ``ENCODER``."""
