"""Journals with many orders in them, written in bulk by the storage room's own statements.

One order in a thousand is made the long way and the others are its copies with ids of their own (all ids have one
length, so a copy is a replacement of bytes). The result is what the engine would have written: an order row, its
events, its fill and its link, and every index.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec

from orderd.core.events import Accepted, Event, Filled, Step, Submitted
from orderd.core.evolve import evolve
from orderd.core.lifecycle import create
from orderd.core.order import (
    AssetClass,
    BrokerLink,
    EventSource,
    Fill,
    FillStatus,
    Mode,
    Order,
    OrderIntent,
    OrderState,
    OrderType,
    Phase,
    Side,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, ExecutionId, FillId, OrderId
from orderd.ports import Append
from orderd.storage import open_journal
from orderd.storage.prepare import Cells, Prepared, PreparedEvent, PreparedFill, prepare
from orderd.storage.writer import AppendCall, Writer
from orderd.system import SystemClock, SystemIds

SYMBOLS = ("AAPL", "MSFT", "AMZN", "NVDA", "GOOG", "TSLA", "META", "AMD", "SPY", "QQQ", "KO", "F", "BRK.B")
BLOCK = 1_000
_BATCH = 250
_TEMPLATE = -1


@dataclass(frozen=True, kw_only=True)
class Names:
    """The ids of one seeded order; those of every number are equally long."""

    number: int

    @property
    def order_id(self) -> str:
        """Looks like a UUIDv7 of 2025, rising with the number."""
        return f"0194f000-{self.number // 65536 % 65536:04x}-7000-8000-{self.number & 0xFFFFFFFFFFFF:012x}"

    @property
    def client_order_id(self) -> str:
        """The key."""
        return f"seed-{self.number & 0xFFFFFFFF:010d}"

    @property
    def broker_order_id(self) -> str:
        """The broker's id."""
        return f"61e69015-8549-4bfd-8000-{self.number & 0xFFFFFFFFFFFF:012x}"

    @property
    def trace_id(self) -> str:
        """The caller's trace."""
        return f"trace-{self.number & 0xFFFFFFFF:010d}"

    @property
    def fill_id(self) -> str:
        """The only fill's id."""
        return f"fill-{self.number & 0xFFFFFFFF:010d}"

    def all(self) -> tuple[str, ...]:
        """In a fixed order."""
        return (self.order_id, self.client_order_id, self.broker_order_id, self.trace_id, self.fill_id)


def order(names: Names, symbol: str, at: datetime) -> Order:
    """Return a limit order as it is before its first event."""
    terms = Terms(
        type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10), limit_price=Decimal("187.23")
    )
    return Order(
        order_id=OrderId(names.order_id),
        intent=OrderIntent(
            account_id=AccountId("paper"),
            client_order_id=ClientOrderId(names.client_order_id),
            symbol=symbol,
            side=Side.BUY,
            terms=terms,
            trace_id=names.trace_id,
            strategy="seeded",
        ),
        terms=terms,
        state=OrderState.CREATED,
        broker="simulated",
        mode=Mode.PAPER,
        asset_class=AssetClass.US_EQUITY,
        created_time=at,
        updated_time=at,
    )


def story(first: Order, names: Names, *, is_open: bool) -> Append:
    """Return what was recorded of it: CREATED, SUBMITTED, ACCEPTED and, unless it is open, its FILL."""
    at = first.created_time
    link = BrokerLink(broker_order_id=BrokerOrderId(names.broker_order_id), status="new", phase=Phase.WORKING)
    events: list[Event] = [
        Submitted(at=at, source=EventSource.ENGINE),
        Accepted(at=at, source=EventSource.BROKER_REPLY, link=link),
    ]
    if not is_open:
        filled = msgspec.structs.replace(link, status="filled", phase=Phase.FILLED, reported_quantity=Decimal(10))
        fill = Fill(
            fill_id=FillId(names.fill_id),
            broker_order_id=BrokerOrderId(names.broker_order_id),
            cum_after=Decimal(10),
            quantity=Decimal(10),
            price=Decimal("187.2"),
            status=FillStatus.LIVE,
            source=EventSource.BROKER_STREAM,
            occurred_time=at,
            recorded_time=at,
            aliases=(ExecutionId(f"x-{names.fill_id}"),),
        )
        event = Filled(at=at, source=EventSource.BROKER_STREAM, link=filled, fill=fill, to_state=OrderState.FILLED)
        events.append(event)
    steps = [create(first, source=EventSource.CLIENT)]
    for event in events:
        before = steps[-1].after
        steps.append(Step(event=event, before=before.state, after=evolve(before, event)))
    return Append(steps=tuple(steps))


def seed(path: Path, count: int, *, is_open: bool = False) -> None:
    """Make a journal with `count` orders, 1 ms apart for each thousand, the newest an hour ago."""
    asyncio.run(_create(f"sqlite+aiosqlite:///{path.absolute()}"))
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # A journal that is lost half-way is made again: nothing here needs to be durable.
        for pragma in ("synchronous=OFF", "journal_mode=MEMORY", "cache_size=-262144", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        writer = Writer(connection)
        batch: list[AppendCall] = []
        for prepared in _copies(count, is_open=is_open):
            batch.append(AppendCall((prepared,)))
            if len(batch) == _BATCH:
                writer.write(batch)
                batch = []
        if batch:
            writer.write(batch)
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


async def _create(url: str) -> None:
    journal = await open_journal(url, clock=SystemClock(), ids=SystemIds())
    await journal.close()


def _copies(count: int, *, is_open: bool) -> Iterator[Prepared]:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    blocks = -(-count // BLOCK)
    model = Names(number=_TEMPLATE)
    for block in range(blocks):
        at = start - timedelta(milliseconds=blocks - block)
        templates = [prepare(story(order(model, symbol, at), model, is_open=is_open)) for symbol in SYMBOLS]
        for number in range(block * BLOCK, min((block + 1) * BLOCK, count)):
            yield _copy(templates[number % len(SYMBOLS)], model, Names(number=number))


def _copy(template: Prepared, model: Names, names: Names) -> Prepared:
    texts = dict(zip(model.all(), names.all(), strict=True))
    pairs = [(old.encode(), new.encode()) for old, new in texts.items()]

    def named(data: bytes) -> bytes:
        for old, new in pairs:
            data = data.replace(old, new)
        return data

    def cells(row: Cells) -> Cells:
        return tuple([named(cell) if isinstance(cell, bytes) else texts.get(cell, cell) for cell in row])  # type: ignore[arg-type]

    def filled(fill: PreparedFill) -> PreparedFill:
        return PreparedFill(names.fill_id, named(fill.body), cells(fill.cells))

    if template.order is None:
        raise ValueError("a template has an order")
    return msgspec.structs.replace(
        template,
        order=msgspec.structs.replace(template.order, order_id=OrderId(names.order_id)),
        cells=cells(template.cells),
        state=named(template.state),
        events=tuple(
            [
                PreparedEvent(e.version, named(e.event), named(e.order), tuple([filled(fill) for fill in e.fills]))
                for e in template.events
            ]
        ),
        links=tuple([cells(link) for link in template.links]),
    )
