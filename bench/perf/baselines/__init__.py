"""Direct ports of published loop structures, one module a method, for comparison only."""
