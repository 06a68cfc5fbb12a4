"""The results store, imported ranks, and the execution of experiments on one or more machines."""
