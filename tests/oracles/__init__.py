"""Ports of published loops: what the papers' own code computes, for tests and benchmarks."""
