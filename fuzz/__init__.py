"""Bytes from outside, thrown at everything that reads them. `make fuzz SECONDS=60` runs each target under coverage."""
