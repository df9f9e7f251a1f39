"""Alpaca's Trading API in front of the venue: REST and the trade_updates stream, as functions of bytes."""
