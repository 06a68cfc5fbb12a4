"""Plain data: specifications, grids, experiments, protocol, cards, results; light to import."""
