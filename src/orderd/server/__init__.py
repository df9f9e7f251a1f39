"""The gRPC door: requests in, stored bytes out, errors from one table. Everything behind it is the engine's.

Requests enter in `registry`, become engine calls in the services (`orders`, `order_reads`, `stream`, `accounts`,
`brokers`), and refusals leave through `errors`. `server` opens and closes the door.
"""

from orderd.server.bounds import Bounds
from orderd.server.registry import Observer
from orderd.server.server import AddressError, GrpcServer

__all__ = ["AddressError", "Bounds", "GrpcServer", "Observer"]
