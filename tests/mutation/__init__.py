"""Mutants of core and risk: see `make mutate`."""
