"""Methods and backbones, one folder each."""
