"""Deliberate defects: see `make sabotage`."""
