"""orderd: one small server that records, sends and follows broker orders for trading bots."""

__version__ = "0.1.0"
