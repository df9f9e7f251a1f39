"""A venue on a real socket, a plain HTTP client for it and a plain WebSocket client."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp

from orderd.venue.options import VenueOptions, build
from orderd.venue.server import VenueServer, serve

Json = Any
KEYS = {"APCA-API-KEY-ID": "venue-key", "APCA-API-SECRET-KEY": "venue-secret"}
PATIENCE_S = 10


class Wire:
    """One client of one served venue."""

    def __init__(self, server: VenueServer, http: aiohttp.ClientSession) -> None:
        self.server = server
        self.face = server.face
        self.venue = server.face.venue
        self.http = http

    async def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> tuple[int, str]:
        """Status and text of an answer of the trading API; raises aiohttp's errors when there is none."""
        url = f"{self.server.rest_url}/v2{path}"
        async with self.http.request(method, url, json=body, params=query, headers=KEYS) as answer:
            return answer.status, await answer.text()

    async def json(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Json:
        status, text = await self.send(method, path, body, query)
        assert 200 <= status < 300, (status, text)
        return json.loads(text) if text else None

    async def control(
        self, method: str, path: str, body: object = None, *, status: int = 200, query: Mapping[str, str] | None = None
    ) -> Json:
        """Call the control interface."""
        url = f"{self.server.control_url}/{path}"
        async with self.http.request(method, url, json=body, params=query) as answer:
            text = await answer.text()
            assert answer.status == status, (answer.status, text)
            return json.loads(text)

    async def arm(self, kind: str, **fields: object) -> int:
        """Add a line to the fault script; its id."""
        fault: Mapping[str, Any] = await self.control("POST", "faults", {"kind": kind, **fields})
        return int(fault["fault_id"])

    async def buy(self, **fields: object) -> Json:
        return await self.json("POST", "/orders", order_body(**fields))

    async def settled(self, order_id: str, *statuses: str) -> Json:
        """The order once it has one of these statuses."""

        def order() -> str:
            return self.venue.find(order_id).status.value

        await until(lambda: order() in statuses)
        return await self.json("GET", f"/orders/{order_id}")


def order_body(**fields: object) -> dict[str, Any]:
    asked = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"} | fields
    return {name: value for name, value in asked.items() if value is not None}


async def until(is_true: Callable[[], bool]) -> None:
    """Wait for something that the venue does by itself."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_true():  # noqa: ASYNC110 - orders, barriers, sessions: no one bell rings for all
            await asyncio.sleep(0.002)


class Ear:
    """A listening stream connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def say(self, message: object) -> None:
        await self.socket.send_str(json.dumps(message))

    async def hear(self) -> Json:
        """The next frame's JSON."""
        async with asyncio.timeout(PATIENCE_S):
            message = await self.socket.receive()
        assert message.type in {aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT}, message
        return json.loads(message.data)

    async def events(self, count: int) -> list[str]:
        """The names of so many trade updates."""
        return [(await self.hear())["data"]["event"] for _ in range(count)]

    async def end(self) -> int | None:
        """Wait for the connection's end; its close code."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.socket.receive()).type not in {
                aiohttp.WSMsgType.CLOSE,
                aiohttp.WSMsgType.CLOSED,
                aiohttp.WSMsgType.CLOSING,
                aiohttp.WSMsgType.ERROR,
            }:
                pass
        return self.socket.close_code


@asynccontextmanager
async def wired(**options: object) -> AsyncIterator[Wire]:
    """Serve a venue with fixed quotes, whole fills and no rate limit unless told otherwise."""
    chosen = {"quotes": "fixed", "partial_rate": Decimal(0), "requests_per_minute": 0} | options
    face, clock = build(VenueOptions(**chosen))
    server = await serve(face, clock=clock)
    try:
        async with aiohttp.ClientSession() as http:
            yield Wire(server, http)
    finally:
        await server.close()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[Ear]:
    """A stream connection that is logged in and listens."""
    async with wire.http.ws_connect(wire.server.stream_url) as socket:
        ear = Ear(socket)
        await ear.say({"action": "auth", "key": "venue-key", "secret": "venue-secret"})
        assert (await ear.hear())["data"]["status"] == "authorized"
        await ear.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
        assert (await ear.hear())["stream"] == "listening"
        yield ear
