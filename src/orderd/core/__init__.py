"""The ground floor: what an order is and what may happen to it.

Pure: no I/O, no clock, no randomness, no ids made here. Everything arrives as a value and leaves as a value.
"""
