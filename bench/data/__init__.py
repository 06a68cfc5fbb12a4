"""Data sets: cards, sources, readers, filters, cache, split."""
