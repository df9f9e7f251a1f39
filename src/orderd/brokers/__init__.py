"""Brokers: the `Broker` port spoken in each broker's own language.

An adapter is three thin parts: `client` (HTTP and sockets, no meaning), `parse` (a broker's bytes to our words, pure)
and `adapter` (the port).
"""
