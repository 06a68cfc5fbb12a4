"""Stores that travel: packs, merged stores, the published reference and submissions to it."""
