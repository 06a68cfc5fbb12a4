"""Sequential recommenders that denoisers attach to, one folder each."""
