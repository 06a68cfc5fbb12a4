"""Vectors of item texts: how they are made, kept and read."""
