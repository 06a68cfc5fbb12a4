"""Ranks of held-out targets and the metrics computed from them."""
