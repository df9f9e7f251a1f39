"""The limit: grpc.aio with handlers that do nothing. `python -m bench.echo` says where it listens and serves.

/bench.Echo/Unary.N answers N bytes. /bench.Echo/Stream.N sends as many messages of N bytes as the request's number
says, as fast as they go. /bench.Echo/Tick.N sends a message of N bytes every 20 ms, beginning with the monotonic
nanoseconds at which it was handed over. Same event loop, same listener options and same collector settings as the
server's.
"""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import orjson
import uvloop

from orderd.server.bounds import Bounds
from orderd.server.server import options

TICK_S = 0.02
STAMP_BYTES = 8

Context = grpc.aio.ServicerContext[bytes, bytes]


class Echo(grpc.GenericRpcHandler):
    """Every method this serves, by its name."""

    def __init__(self) -> None:
        """Handlers are made when they are first asked for."""
        self._handlers: dict[str, Any] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "Any | None":  # noqa: ANN401 - grpc's own
        """The handler of a method, with the size that its name asks for."""
        method = handler_call_details.method
        if method not in self._handlers:
            kind, _, size = method.rpartition("/")[2].partition(".")
            self._handlers[method] = _HANDLERS[kind](int(size))
        return self._handlers[method]


def _unary(size: int) -> Any:  # noqa: ANN401
    answer = bytes(size)

    async def handle(_request: bytes, _context: Context) -> bytes:
        return answer

    return grpc.unary_unary_rpc_method_handler(handle)


def _stream(size: int) -> Any:  # noqa: ANN401
    message = bytes(size)

    async def handle(request: bytes, context: Context) -> None:
        for _ in range(int(request)):
            await context.write(message)

    return _streaming(handle)


def _tick(size: int) -> Any:  # noqa: ANN401
    rest = bytes(size - STAMP_BYTES)

    async def handle(request: bytes, context: Context) -> None:
        for _ in range(int(request)):
            await asyncio.sleep(TICK_S)
            await context.write(time.monotonic_ns().to_bytes(STAMP_BYTES, "big") + rest)

    return _streaming(handle)


def _streaming(handle: Callable[[bytes, Context], Awaitable[None]]) -> Any:  # noqa: ANN401
    return grpc.unary_stream_rpc_method_handler(handle)


_HANDLERS: dict[str, Callable[[int], Any]] = {"Unary": _unary, "Stream": _stream, "Tick": _tick}


async def serve() -> None:
    """Serve until SIGTERM."""
    server = grpc.aio.server(options=options(Bounds()))
    server.add_generic_rpc_handlers((Echo(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    gc.collect()
    gc.freeze()
    sys.stdout.write(orjson.dumps({"event": "ready", "grpc_address": f"127.0.0.1:{port}"}).decode() + "\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop(0.2)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve())
