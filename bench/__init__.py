"""How fast orderd is, held against the limits of the stack it stands on. `python -m bench`, or `make bench`."""
