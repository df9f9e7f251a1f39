"""A simulated exchange and broker, with the protocols of the real ones in front of it.

The core (`Venue`) is pure: no I/O, no clock; time and randomness are passed in. `alpaca.AlpacaFace` speaks
Alpaca's protocol as a function of bytes, `server` puts it on a socket. Nothing here is shared with
`orderd.brokers`: a parser used by both sides would hide the mistakes of both.
"""
