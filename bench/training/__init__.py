"""Samples, losses, the trainer and its checkpoints."""
