"""The ambiguity matrix of the stream: every frame of every story goes wrong in every way, and the end is the truth.

A story is what happens to one order. In each cell the frames of one kind of event of that story are lost, doubled,
late, garbled, or lie; or the connection ends over them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.values import OrderId
from orderd.engine.api import ReplaceAsk
from orderd.venue.core import Venue
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import Change, EventKind, Status
from tests.ambiguity.answers import LIES
from tests.ambiguity.desk import SYMBOLS, Desk, some, trade
from tests.ambiguity.verdicts import BROKERS, Broker
from tests.reach import Reached

F = FaultKind
REST_S = 30
"""Until every order equals the broker's view (promise P8)."""
SOON_S = 0.05
AFTER_ALL = "after all"


class Order(NamedTuple):
    """One order of a story, and the hands that are laid on it."""

    desk: Desk
    order_id: str
    name: str

    @property
    def venue(self) -> Venue:
        """The venue, with the time that it is."""
        self.desk.pump()
        return self.desk.face.venue

    def fill(self, quantity: str | None = None, price: str = "0.5") -> None:
        """The venue trades it."""
        self.venue.fill(self.current, None if quantity is None else Decimal(quantity), Decimal(price))

    @property
    def current(self) -> str:
        """The venue's id of the last of its chain."""
        order = self.desk.face.venue.find(self.name)
        while order.replaced_by:
            order = self.desk.face.venue.find(order.replaced_by)
        return order.order_id

    def execution(self) -> str:
        """The first live execution."""
        rows = self.desk.books().executions_of(self.current)
        return str(rows[0]["execution_id"])


Story = Callable[[Order], Awaitable[None]]


async def is_filled_in_parts(order: Order) -> None:
    for quantity, price in (("3", "0.5"), ("3", "0.4"), (None, "0.45")):
        order.fill(quantity, price)
        await asyncio.sleep(SOON_S)


async def is_cancelled(order: Order) -> None:
    order.fill("2")
    await order.desk.cancel(order.order_id)


async def is_cancelled_too_late(order: Order) -> None:
    order.desk.arm(kind=F.FILL_CROSSES_CANCEL, order=order.name)
    await order.desk.cancel(order.order_id)


async def is_replaced(order: Order) -> None:
    order.fill("2")
    await order.desk.replace(order.order_id, ReplaceAsk(request_id="r", quantity=Decimal(20)))
    await asyncio.sleep(SOON_S)
    order.fill("5", "0.4")


async def is_replaced_too_late(order: Order) -> None:
    order.desk.arm(kind=F.FILL_CROSSES_REPLACE, order=order.name)
    await order.desk.replace(order.order_id, ReplaceAsk(request_id="r", quantity=Decimal(20)))


async def is_replaced_by_a_person(order: Order) -> None:
    order.venue.replace_by_person(order.name, Change(quantity=Decimal(15)))
    await asyncio.sleep(SOON_S)
    order.fill("5")


async def ends_by_itself(order: Order) -> None:
    order.fill("4")
    order.venue.end(order.name, Status.EXPIRED)
    await asyncio.sleep(SOON_S)


async def is_rejected(order: Order) -> None:
    order.venue.end(order.name, Status.REJECTED)
    await asyncio.sleep(SOON_S)


async def is_busted(order: Order) -> None:
    order.fill("4")
    order.fill("2", "0.4")
    await asyncio.sleep(SOON_S)
    order.venue.bust(order.execution())
    await asyncio.sleep(SOON_S)
    order.fill("1")


async def is_corrected(order: Order) -> None:
    order.fill("4")
    await asyncio.sleep(SOON_S)
    order.venue.correct(order.execution(), Decimal(4), Decimal("0.3"))
    await asyncio.sleep(SOON_S)
    order.fill()


async def is_marked(order: Order) -> None:
    venue = order.venue
    venue.mark(order.name, Status.SUSPENDED, EventKind.SUSPENDED)
    await asyncio.sleep(SOON_S)
    venue.mark(order.name, Status.NEW, EventKind.NEW)
    order.fill("4")


STORIES: Mapping[Story, Sequence[str]] = {
    is_filled_in_parts: ("pending_new", "new", "partial_fill", "fill"),
    is_cancelled: ("partial_fill", "pending_cancel", "canceled"),
    is_cancelled_too_late: ("pending_cancel", "fill", "order_cancel_rejected"),
    is_replaced: ("partial_fill", "pending_replace", "replaced", "new", "pending_new"),
    is_replaced_too_late: ("fill", "order_replace_rejected", "rejected"),
    is_replaced_by_a_person: ("replaced", "new", "partial_fill"),
    ends_by_itself: ("partial_fill", "expired"),
    is_rejected: ("new", "rejected"),
    is_marked: ("suspended", "new", "partial_fill"),
    is_busted: ("partial_fill", "trade_bust"),
    is_corrected: ("partial_fill", "trade_correct", "fill"),
}
"""What happens, and the events whose frames go wrong in it. Last those that may block a symbol."""

WRONGS: Mapping[str, dict[str, Any]] = {
    "dropped": {"kind": F.DROP_FRAME},
    "told twice": {"kind": F.DUPLICATE_FRAME},
    "late": {"kind": F.DELAY_FRAME, "delay_ms": 120},
    "very late": {"kind": F.DELAY_FRAME, "delay_ms": 7000},
    "after all": {"kind": F.DELAY_FRAME, "barrier": AFTER_ALL},
    "after the next": {"kind": F.REORDER_FRAME},
    "unreadable": {"kind": F.UNREADABLE_FRAME},
    "of an unknown event": {"kind": F.UNKNOWN_EVENT},
    "with an unknown status": {"kind": F.UNKNOWN_FRAME_STATUS},
    "with a lie: another symbol": {"kind": F.LYING_FRAME, "fields": {"symbol": "RGC"}},
    "with a lie: another side": {"kind": F.LYING_FRAME, "fields": LIES["another side"]},
    "with a lie: another client id": {"kind": F.LYING_FRAME, "fields": LIES["another client id"]},
    "with a lie: a larger quantity": {"kind": F.LYING_FRAME, "fields": {"qty": "7777"}},
    "with a lie: a smaller quantity": {"kind": F.LYING_FRAME, "fields": {"qty": "1"}},
}
ENDINGS: Mapping[str, dict[str, Any]] = {
    "told, then the connection closes": {"kind": F.DISCONNECT, "code": 1011},
    "the connection closes instead": {"kind": F.DISCONNECT, "code": 1011, "is_accepted": False},
    "told, then the connection is cut": {"kind": F.DISCONNECT, "code": 0},
    "the connection is cut instead": {"kind": F.DISCONNECT, "code": 0, "is_accepted": False},
}
LOSING = frozenset({"dropped", "unreadable", "of an unknown event", *ENDINGS})
RESTATING = (is_busted, is_corrected)
"""A broker without ids of executions cannot tell these."""


class Cell(NamedTuple):
    """One story whose frames of one kind go wrong in one way."""

    story: Story
    event: str
    wrong: str

    def __str__(self) -> str:
        """For whoever reads why it went wrong."""
        return f"{self.story.__name__} | {self.event} {self.wrong}"


def cells_of(broker: Broker, wrongs: Mapping[str, dict[str, Any]]) -> list[Cell]:
    return [
        Cell(story, event, wrong)
        for story, events in STORIES.items()
        if broker.has_execution_ids or (story not in RESTATING and "replaced" not in story.__name__)
        for event in events
        for wrong in wrongs
    ]


async def born(desk: Desk, number: int, cell: Cell, wrongs: Mapping[str, dict[str, Any]]) -> str:
    name, symbol = f"cell-{number}", SYMBOLS[number % len(SYMBOLS)]
    desk.arm(**wrongs[cell.wrong], event=cell.event, order=name, times=0)
    wanted = {"client_order_id": name, "symbol": symbol, "quantity": "10", "limit_price": "0.5", "trace_id": name}
    order_id, _ = await desk.submit(**wanted)
    await asyncio.sleep(SOON_S)
    return order_id


async def live(desk: Desk, number: int, cell: Cell, wrongs: Mapping[str, dict[str, Any]], order_id: str) -> None:
    name, symbol = f"cell-{number}", SYMBOLS[number % len(SYMBOLS)]
    faults = desk.face.venue.faults
    successors = None
    if "replaced" in cell.story.__name__:  # a successor has ids of its own
        successors = faults.arm(Fault(**wrongs[cell.wrong], event=cell.event, symbol=symbol, times=0))
    await cell.story(Order(desk, order_id, name))
    desk.pump()
    if successors is not None:
        await asyncio.sleep(1)
        faults.clear(successors.fault_id)


async def all_of(desk: Desk, cells: Sequence[Cell], wrongs: Mapping[str, dict[str, Any]]) -> None:
    venue = desk.face.venue
    venue.change_settings(is_auto_fill=False, tells_pending=True)
    ids = [await born(desk, number, cell, wrongs) for number, cell in enumerate(cells)]
    await asyncio.sleep(1)
    for (number, cell), order_id in zip(enumerate(cells), ids, strict=True):
        await live(desk, number, cell, wrongs, order_id)
    await asyncio.sleep(REST_S)
    wrong = await differing(desk, cells, excused=LOSING | {"after all", "very late"})
    venue.faults.clear()
    venue.faults.barriers.release(AFTER_ALL)
    desk.pump()
    await asyncio.sleep(REST_S)
    wrong += [f"{each} (after all frames)" for each in await differing(desk, cells, excused=LOSING)]
    assert not wrong, "\n".join(wrong)


async def differing(desk: Desk, cells: Sequence[Cell], excused: frozenset[str]) -> list[str]:
    """What differs, and what is on record as a difference, about each cell.

    A bust or correction that no frame told is in no list: it cannot be booked then, it must be on record. One that is
    told after a list showed what it made leaves its record to the operator.
    """
    names = {order.order_id: order.client_order_id for order in desk.orders()}
    records: dict[str, list[str]] = {}
    for record in await desk.discrepancies():
        if record.kind == DiscrepancyKind.EXECUTION_CHANGED and excused == LOSING:
            continue
        text = f"{record.kind} {record.expected}, {record.observed}"
        records.setdefault(names.get(OrderId(record.subject), ""), []).append(text)
    texts: dict[str, list[str]] = {}
    for difference in desk.differences():
        texts.setdefault(difference.partition(" ")[0].strip(":"), []).append(difference)
    wrong: list[str] = []
    for number, cell in enumerate(cells):
        differences, recorded = texts.pop(f"cell-{number}", []), records.pop(f"cell-{number}", [])
        is_excused = cell.story in RESTATING and cell.wrong in excused and bool(recorded)
        if (differences or recorded) and not is_excused:
            wrong += [f"{cell}: {each}" for each in (*differences, *recorded)]
    return wrong + [f"{each}" for each in (*texts.values(), *records.values())]


@pytest.mark.scaled
@pytest.mark.parametrize("broker", [b for b in BROKERS if b.duplicate_ids == "for_ever"], ids=str)
def test_frames_that_go_wrong(broker: Broker, reached: Reached) -> None:
    cells = some(cells_of(broker, WRONGS), broker)
    trade(broker, lambda desk: all_of(desk, cells, WRONGS))
    reached(
        "P5", "stories of an order in which frames went wrong: each kind of frame, each way, kind of broker", len(cells)
    )


@pytest.mark.scaled
@pytest.mark.parametrize("broker", [b for b in BROKERS if b.duplicate_ids == "for_ever"], ids=str)
def test_connections_that_end_over_a_frame(broker: Broker, reached: Reached) -> None:
    cells = some(cells_of(broker, ENDINGS), (broker, "endings"))
    trade(broker, lambda desk: all_of(desk, cells, ENDINGS))
    reached("P5", "stories of an order in which the stream ended: before or after each kind of frame", len(cells))
