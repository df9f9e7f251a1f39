"""The venue on loopback: Alpaca's REST, the stream at /stream and /stream/, and the control interface at /_venue/."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Final, cast

import msgspec
from aiohttp import WSMsgType, web

from orderd.venue.alpaca.face import AlpacaFace
from orderd.venue.alpaca.stream import Session
from orderd.venue.control import Control
from orderd.venue.exchange import Disposition, Reply, Request
from orderd.venue.options import VenueOptions, build

SHORTEST_WAIT_S: Final = 0.001
LONGEST_WAIT_S: Final = 3600.0
SHUTDOWN_S: Final = 0.2
MOST_WAITING_FRAMES: Final = 100_000
LARGEST_MESSAGE: Final = 1 << 20
LARGEST_BODY: Final = 16 << 20

Outgoing = tuple[bytes, bool] | int
"""A frame and whether it is binary, or a close code."""


class VenueServer:
    """One listener. Made by `serve`; ended by `close`."""

    def __init__(self, face: AlpacaFace, clock: Callable[[], datetime]) -> None:
        self.face = face
        self.address = ("", 0)
        self._clock = clock
        self._control = Control(face, self._stall)
        self._timer: asyncio.TimerHandle | None = None
        self._stalled: set[int] = set()
        self._transports: dict[int, asyncio.Transport] = {}
        self._runner: web.AppRunner | None = None

    @property
    def rest_url(self) -> str:
        """What alpaca-py calls url_override: without /v2."""
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def stream_url(self) -> str:
        """The whole WebSocket URL."""
        return f"ws://{self.address[0]}:{self.address[1]}/stream"

    @property
    def control_url(self) -> str:
        """Where the control interface is."""
        return f"{self.rest_url}/_venue"

    async def start(self, host: str, port: int) -> None:
        """Bind and listen. Raises OSError when the address is taken."""
        app = web.Application(client_max_size=LARGEST_BODY)
        app.router.add_get("/stream", self._stream)
        app.router.add_get("/stream/", self._stream)
        app.router.add_route("*", "/_venue/{path:.*}", self._on_control)
        app.router.add_route("*", "/{path:.*}", self._on_rest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        bound = cast("tuple[str, int]", self._runner.addresses[0])
        self.address = (bound[0], bound[1])
        self.pump()

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._timer is not None:
            self._timer.cancel()
        for session in list(self.face.sessions.values()):
            session.kick(1001)
        if self._runner is not None:
            await self._runner.cleanup()

    def pump(self) -> None:
        """Let the venue do what is due, and wake again when the next thing is."""
        self.face.venue.advance(self._clock())
        if self._timer is not None:
            self._timer.cancel()
        due = self.face.venue.next_due()
        if due is not None:
            wait = (due - self._clock()).total_seconds()
            wait = min(max(wait, SHORTEST_WAIT_S), LONGEST_WAIT_S)
            self._timer = asyncio.get_running_loop().call_later(wait, self.pump)

    # --- REST -----------------------------------------------------------------------------------------

    async def _on_rest(self, request: web.Request) -> web.StreamResponse:
        asked = Request(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers=request.headers,
            body=await request.read(),
        )
        reply = self.face.handle(asked)
        self.pump()
        return await self._answer(request, reply)

    async def _answer(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        match reply.disposition:
            case Disposition.LOSE:
                _cut(request, b"")
            case Disposition.CUT:
                _cut(request, reply.wire()[: reply.cut_at])
            case Disposition.HOLD:
                await self._wait_for(reply.barrier)
            case Disposition.LATE if not reply.status:
                await asyncio.get_running_loop().create_future()  # until the client gives up
            case Disposition.LATE | Disposition.DELIVER:
                pass
        return web.Response(status=reply.status or 500, headers=reply.headers, body=reply.body)

    async def _wait_for(self, barrier: str) -> None:
        opened = asyncio.get_running_loop().create_future()

        def on_release() -> None:
            if not opened.done():
                opened.set_result(None)

        self.face.venue.faults.barriers.wait(barrier, on_release)
        await opened

    async def _on_control(self, request: web.Request) -> web.Response:
        self.face.venue.advance(self._clock())
        path = request.match_info["path"]
        status, said = self._control.handle(request.method, path, dict(request.query), await request.read())
        self.pump()
        return web.Response(status=status, body=msgspec.json.encode(said), headers={"Content-Type": "application/json"})

    # --- the stream -----------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        refusal = self.face.admit()
        if refusal is not None:
            return await self._answer(request, refusal)
        socket = web.WebSocketResponse(max_msg_size=LARGEST_MESSAGE)
        await socket.prepare(request)
        waiting: asyncio.Queue[Outgoing] = asyncio.Queue()

        def send(data: bytes, is_binary: bool) -> None:  # noqa: FBT001 - the face's own call
            if waiting.qsize() < MOST_WAITING_FRAMES:
                waiting.put_nowait((data, is_binary))

        session = self.face.connect(send, waiting.put_nowait)
        if isinstance(request.transport, asyncio.Transport):
            self._transports[session.number] = request.transport
        writer = asyncio.create_task(self._write(session, socket, request, waiting))
        try:
            await self._read(session, socket)
        finally:
            session.closed()
            self._stalled.discard(session.number)
            self._transports.pop(session.number, None)
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer
        return socket

    async def _read(self, session: Session, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                session.receive(message.data)
                self.pump()

    async def _write(
        self,
        session: Session,
        socket: web.WebSocketResponse,
        request: web.Request,
        waiting: asyncio.Queue[Outgoing],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                outgoing = await waiting.get()
                if session.number in self._stalled:
                    continue
                if isinstance(outgoing, int):
                    await _hang_up(socket, request, outgoing)
                    return
                data, is_binary = outgoing
                await (socket.send_bytes(data) if is_binary else socket.send_str(data.decode()))

    def _stall(self, number: int) -> None:
        """A half-open connection: nothing is read, pings neither, and nothing is written."""
        self._stalled.add(number)
        transport = self._transports.get(number)
        if transport is not None:
            transport.pause_reading()


async def _hang_up(socket: web.WebSocketResponse, request: web.Request, code: int) -> None:
    if code:
        await socket.close(code=code)
    elif request.transport is not None:
        request.transport.abort()


def _cut(request: web.Request, data: bytes) -> None:
    """Send these bytes of an answer and end the connection. The answer made afterwards goes nowhere."""
    transport = request.transport
    if transport is None:
        return
    if data:
        transport.write(data)
        transport.close()
    else:
        transport.abort()


async def serve(
    face: AlpacaFace, *, clock: Callable[[], datetime], host: str = "127.0.0.1", port: int = 0
) -> VenueServer:
    """Serve a face; port 0 takes a free one. The clock must be the face's."""
    server = VenueServer(face, clock)
    await server.start(host, port)
    return server


async def run_venue(options: VenueOptions) -> None:
    """Serve until SIGTERM or SIGINT; says on stdout, in one JSON line, when and where it serves.

    Raises ValueError for an option that makes no sense, OSError when the address cannot be bound.
    """
    host, port = options.address()
    face, clock = build(options)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await serve(face, clock=clock, host=host, port=port)
    ready = {
        "event": "ready",
        "protocol": options.protocol,
        "rest_url": server.rest_url,
        "stream_url": server.stream_url,
        "control_url": server.control_url,
    }
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    try:
        await stop.wait()
    finally:
        await server.close()
