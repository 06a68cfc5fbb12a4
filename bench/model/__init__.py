"""What methods are made of: backbones, batches, samples, text vectors, the method interface."""
