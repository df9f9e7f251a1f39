"""Alpaca. docs/brokers/alpaca.md holds the tables this package must agree with."""
