"""A tiny HTTP server whose answers are whatever bytes a test writes, and the real client against it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from orderd.brokers.alpaca.budget import Budget
from orderd.brokers.alpaca.client import LateAnswer, Request
from orderd.brokers.alpaca.credential import Credential
from orderd.brokers.alpaca.rest import Rest
from orderd.system import SystemClock

KEY_ID, SECRET = "CANARY-KEY-ID", "CANARY-SECRET-KEY"
Script = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Asked:
    """One request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Peer:
    """The server: what it was asked, and whether it has hung up."""

    url: str = ""
    asked: list[Asked] = field(default_factory=list[Asked])
    arrived: asyncio.Event = field(default_factory=asyncio.Event)


def http(status: str = "200 OK", body: bytes = b"{}", headers: str = "Content-Type: application/json\r\n") -> bytes:
    """A whole answer."""
    return f"HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def says(data: bytes) -> Script:
    """Answer every request with these bytes and hang up."""

    async def script(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return script


async def never(_: Asked, __: asyncio.StreamWriter) -> None:
    """Answer nothing for as long as the test lasts."""
    await asyncio.get_running_loop().create_future()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(line=head[0], headers=headers, body=body)


@contextlib.asynccontextmanager
async def peer(script: Script) -> AsyncIterator[Peer]:
    """Serve the script on a free port: one request a connection."""
    made = Peer()
    handlers: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        writers.append(writer)
        try:
            made.asked.append(await _read(reader))
            made.arrived.set()
            await script(made.asked[-1], writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            handlers.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}"
    try:
        yield made
    finally:
        server.close()
        for task in list(handlers):
            task.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass
class Caller:
    """The real REST client, and what it heard too late."""

    rest: Rest
    late: "asyncio.Queue[LateAnswer]"


@contextlib.asynccontextmanager
async def caller(url: str, per_minute: int = 10_000) -> AsyncIterator[Caller]:
    """Alpaca's REST client over real sockets."""
    clock = SystemClock()
    late: asyncio.Queue[LateAnswer] = asyncio.Queue()
    rest = Rest(Credential(KEY_ID, SECRET), url, clock=clock, budget=Budget(clock, per_minute), on_late=late.put_nowait)
    try:
        yield Caller(rest=rest, late=late)
    finally:
        rest.close()


POST = Request(method="POST", path="/v2/orders", body=b'{"symbol":"AAPL","qty":"1.10"}')
GET = Request(method="GET", path="/v2/orders:by_client_order_id", query=(("client_order_id", "a b/c"),))
