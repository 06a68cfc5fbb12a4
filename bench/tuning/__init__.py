"""Search for settings: equal budgets for every method and for the bare backbone."""
