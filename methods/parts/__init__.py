"""What several methods share: gates, sequence packing, graphs, attention blocks."""
