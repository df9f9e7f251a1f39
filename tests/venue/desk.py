"""A venue on a clock that the test moves, and the face in front of it without a socket."""

import json
import os
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.core import Venue
from orderd.venue.exchange import Reply, Request
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import (
    Change,
    Event,
    NewOrder,
    Order,
    OrderType,
    Refused,
    Side,
    TimeInForce,
)
from orderd.venue.quotes import Source
from orderd.venue.sessions import Sessions
from orderd.venue.state import Settings

Json = Any

THURSDAY = datetime(2026, 10, 8, 15, 0, tzinfo=UTC)
"""11:00 in New York, an ordinary trading day."""
WHOLE = Settings(partial_rate=Decimal(0))


def d(value: str | int) -> Decimal:
    return Decimal(value)


class Desk:
    """The core with one account; keeps every event."""

    def __init__(
        self,
        *,
        settings: Settings = WHOLE,
        now: datetime = THURSDAY,
        seed: int = 1,
        is_always_open: bool = False,
        source: Source | None = None,
    ) -> None:
        self.venue = Venue(
            rng=random.Random(seed),
            now=now,
            settings=settings,
            sessions=Sessions(is_always_open=is_always_open),
            source=source,
        )
        self.account = self.venue.open_account()
        self.events: list[Event] = []
        self.venue.subscribe(self.events.append)

    def go(self, *, ms: int = 100) -> None:
        self.venue.advance(self.venue.now + timedelta(milliseconds=ms))

    def ask(self, **fields: object) -> Order | Refused:
        """Submit; a market order for one AAPL share, good for the day, unless told otherwise."""
        asked = {
            "symbol": "AAPL",
            "side": Side.BUY,
            "type": OrderType.MARKET,
            "time_in_force": TimeInForce.DAY,
        } | fields
        if "notional" not in asked:
            asked.setdefault("quantity", d(1))
        return self.venue.submit(self.account, NewOrder(**asked))

    def submit(self, **fields: object) -> Order:
        order = self.ask(**fields)
        assert isinstance(order, Order), order
        return order

    def refused(self, **fields: object) -> Refused:
        refused = self.ask(**fields)
        assert isinstance(refused, Refused), refused
        return refused

    def limit(self, price: str, **fields: object) -> Order:
        """A limit order, already working."""
        order = self.submit(type=OrderType.LIMIT, limit_price=d(price), **fields)
        self.go()
        return self.see(order)

    def bought(self, quantity: str, symbol: str = "AAPL") -> None:
        """Hold a position."""
        self.submit(symbol=symbol, quantity=d(quantity), client_order_id=f"bought-{symbol}-{len(self.events)}")
        self.go()
        self.events.clear()

    def cancel(self, order: Order) -> Order | Refused:
        return self.venue.cancel(self.account, order.order_id)

    def replace(self, order: Order, **fields: object) -> Order | Refused:
        return self.venue.replace(self.account, order.order_id, Change(**fields))

    def quote(self, bid: str, ask: str, symbol: str = "AAPL") -> None:
        self.venue.set_quote(symbol, d(bid), d(ask))
        self.go()

    def see(self, order: Order) -> Order:
        """The order as it is now."""
        return self.venue.state.book.must(order.order_id)

    def legs(self, order: Order) -> tuple[Order, ...]:
        return self.venue.state.book.legs(self.see(order))

    def told(self, order: Order) -> list[str]:
        """What was told about one order, in order."""
        return [event.kind.value for event in self.events if event.order.order_id == order.order_id]


class Counter:
    """Alpaca's face over a venue on a clock that the test moves."""

    def __init__(self, *, settings: Settings = WHOLE, options: Options | None = None, seed: int = 1) -> None:
        self.now = THURSDAY
        self.venue = Venue(rng=random.Random(seed), now=self.now, settings=settings, sessions=Sessions())
        self.face = AlpacaFace(self.venue, clock=lambda: self.now, options=options)
        self.face.add_key("key", "secret", self.venue.open_account())
        self.headers = {"APCA-API-KEY-ID": "key", "APCA-API-SECRET-KEY": "secret"}
        self.frames: list[dict[str, Any]] = []

    def go(self, *, ms: int = 100) -> None:
        self.now += timedelta(milliseconds=ms)
        self.venue.advance(self.now)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | bytes | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Reply:
        raw = body if isinstance(body, bytes) else json.dumps(body, default=str).encode() if body is not None else b""
        return self.face.handle(
            Request(method=method, path="/v2" + path, query=query or {}, headers=self.headers, body=raw)
        )

    def json(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
        *,
        status: int = 200,
    ) -> Json:
        """Call and read the answer, which must have this status."""
        reply = self.call(method, path, body, query)
        assert reply.status == status, reply
        return json.loads(reply.body) if reply.body else None

    def buy(self, **fields: object) -> Json:
        """POST a market buy of one KO share unless told otherwise; keys set to None are left out."""
        asked = {"symbol": "KO", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"} | fields
        return self.json("POST", "/orders", {name: value for name, value in asked.items() if value is not None})

    def listen(self) -> None:
        """Connect a stream; its data frames go to `frames`."""

        def send(data: bytes, is_binary: bool) -> None:
            message = json.loads(data)
            if message["stream"] == "trade_updates":
                self.frames.append(message["data"])

        session = self.face.connect(send, lambda code: None)
        session.receive('{"action":"auth","key":"key","secret":"secret"}')
        session.receive('{"action":"listen","data":{"streams":["trade_updates"]}}')

    def arm(self, kind: FaultKind, **fields: object) -> Fault:
        return self.venue.faults.arm(Fault(kind=kind, **fields))


def reference() -> Path:
    """The folder of recorded broker payloads; the test is skipped, loudly, where it is not there."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("ORDERD_REFERENCE") or root.parent / "shared" / "reference")
    samples = folder / "alpaca" / "samples"
    if not samples.is_dir():
        pytest.skip(f"NO RECORDED PAYLOADS at {samples}: set ORDERD_REFERENCE; the shapes are not compared")
    return samples


def sample(name: str) -> Json:
    return json.loads((reference() / name).read_text(encoding="utf-8"))
