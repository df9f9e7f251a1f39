"""The ambiguity matrix of a cancel and of a replace: a wish stays a wish until the broker proves what became of it.

While the stream is silent: the order is as it was, with the wish beside it, until a read proves more; the right end
within the settle time and ten seconds after the bad answer or the deadline.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.api import ReplaceAsk
from orderd.venue.dialect import Lookup
from orderd.venue.faults import FaultKind
from tests.ambiguity import answers
from tests.ambiguity.answers import Did, Row, Says
from tests.ambiguity.desk import KNOWN_S, SYMBOLS, VERDICT_S, Desk, some, trade
from tests.ambiguity.verdicts import A_FEW, Broker
from tests.e2e.books import state_of
from tests.reach import Reached

CALL_TIMEOUT_S = 10
MINUTE_S = 60
ASKED = Decimal(5)
"""Added to the quantity by a replace."""


class Cell(NamedTuple):
    """One row: a resting order of its own."""

    number: int
    row: Row

    def __str__(self) -> str:
        """For whoever reads why it went wrong."""
        return f"{self.row.name} | cell-{self.number}"

    @property
    def name(self) -> str:
        """Its client order id."""
        return f"cell-{self.number}"

    @property
    def quantity(self) -> Decimal:
        """No two cells ask for the same."""
        return Decimal(10 * self.number + 10)


async def resting(desk: Desk, cells: Sequence[Cell]) -> dict[int, opb.Order]:
    """A working order for each cell; from now on the stream is silent."""
    ids: dict[int, str] = {}
    for cell in cells:
        symbol = SYMBOLS[cell.number % len(SYMBOLS)]
        wanted = {"client_order_id": cell.name, "symbol": symbol, "quantity": str(cell.quantity), "limit_price": "0.5"}
        ids[cell.number], _ = await desk.submit(**wanted, trace_id=cell.name)
    await asyncio.sleep(1)
    orders = {order.order_id: order for order in desk.orders()}
    for cell in cells:
        assert state_of(orders[ids[cell.number]]) == "ACCEPTED"
    desk.hush()
    return {number: orders[order_id] for number, order_id in ids.items()}


def now(desk: Desk, before: Mapping[int, opb.Order]) -> dict[int, opb.Order]:
    orders = {order.order_id: order for order in desk.orders()}
    return {number: orders[order.order_id] for number, order in before.items()}


def compared(cells: Sequence[Cell], found: Mapping[int, object], wanted: Mapping[int, object], when: str) -> list[str]:
    numbers = [cell for cell in cells if found[cell.number] != wanted[cell.number]]
    return [f"{cell} {when}: {found[cell.number]}, not {wanted[cell.number]}" for cell in numbers]


def venues(desk: Desk, order: opb.Order) -> list[tuple[str, Decimal]]:
    """Status and quantity of each broker order that is, or was, this one's."""
    rows = desk.books().orders
    return [(rows[each]["status"], Decimal(rows[each]["quantity"])) for each in order.broker_order_ids]


# ----------------------------------------------------------------------------------------------------------- cancels

CLEAR_WORDS = [
    Row(
        f"{status} '{text}', {'taken' if taken else 'not taken'}",
        {
            "kind": FaultKind.ANSWER_STATUS,
            "status": status,
            "body": "text",
            "text": f'{{"code":{code},"message":"{text}"}}',
            "is_accepted": taken,
        },
        Did.ALL if taken else Did.NOTHING,
    )
    for status, code, text in (
        (404, 40410000, "order not found for 1"),
        (422, 42210000, 'order is already in \\"filled\\" state'),
        (422, 42210000, 'order is already in \\"canceled\\" state'),
    )
    for taken in (True, False)
]
"""The broker's own refusals, where they are not true: the order is read before they are believed."""
CANCELS = [row for row in (*answers.WITHOUT_ECHO, *CLEAR_WORDS) if row.says is not Says.NOT_SENT]


def is_refused(row: Row) -> bool:
    """A clear no, and the order, read after it, works on: the cancel is refused."""
    return row in CLEAR_WORDS and row.did is Did.NOTHING


async def cancel_all(desk: Desk, cells: Sequence[Cell], *, crossing: bool) -> None:
    before = await resting(desk, cells)
    for cell in cells:
        broker_order_id = before[cell.number].broker_order_id
        desk.arm(**cell.row.armed(method="DELETE", order=broker_order_id))
        if crossing:
            desk.arm(kind=FaultKind.FILL_CROSSES_CANCEL, method="DELETE", order=broker_order_id, times=0)
    for order in before.values():
        await desk.cancel(order.order_id)
    unclear = [cell for cell in cells if cell.row not in CLEAR_WORDS]  # after a clear one, it was read already
    wrong = compared(unclear, cancelled(now(desk, before)), dict.fromkeys(before, ("ACCEPTED", True)), "at once")
    await asyncio.sleep(CALL_TIMEOUT_S + KNOWN_S + VERDICT_S)
    wrong += compared(cells, cancelled(now(desk, before)), expected_end(cells, crossing=crossing), "judged")
    desk.calm()
    await asyncio.sleep(VERDICT_S)
    after = now(desk, before)
    wrong += compared(cells, cancelled(after), expected_end(cells, crossing=crossing), "at rest")
    wrong += desk.differences()
    wrong += [f"{d.kind} about {d.subject}" for d in await desk.discrepancies()]
    assert not wrong, "\n".join(wrong)


def cancelled(orders: Mapping[int, opb.Order]) -> dict[int, tuple[str, bool]]:
    return {number: (state_of(order), order.pending_cancel) for number, order in orders.items()}


def expected_end(cells: Sequence[Cell], *, crossing: bool) -> dict[int, tuple[str, bool]]:
    """Taken, or asked again until it was: canceled, or filled when it was filled on the way."""
    end = ("FILLED" if crossing else "CANCELED", False)
    return {cell.number: ("ACCEPTED", False) if is_refused(cell.row) else end for cell in cells}


@pytest.mark.scaled
@pytest.mark.parametrize("broker", A_FEW, ids=str)
@pytest.mark.parametrize("crossing", [False, True], ids=["quiet", "filled-meanwhile"])
def test_a_cancel_with_a_bad_answer(broker: Broker, crossing: bool, reached: Reached) -> None:
    rows = some(CANCELS, (broker, crossing), part=5)
    cells = [Cell(number, row) for number, row in enumerate(rows)]
    trade(broker, lambda desk: cancel_all(desk, cells, crossing=crossing))
    reached(
        "P4", "answers to a cancel that went wrong: each way, quiet or filled meanwhile, and kind of broker", len(cells)
    )


# ---------------------------------------------------------------------------------------------------------- replaces

REPLACES = [row for row in answers.CHANGES if row.says is not Says.NOT_SENT]


def judged(row: Row, broker: Broker) -> tuple[str, str, int]:
    """What it says (old terms, new terms, nobody knows), whether a replace is pending, and how many broker ids."""
    if row.did in {Did.ALL, Did.SOON}:
        return "new", "", 2
    if broker.lookup is Lookup.NO:
        return "old", "pending", 1
    return "old", "", 1


def at_rest(row: Row, broker: Broker) -> tuple[str, str, int]:
    """What lands at last is taken for what it is: the broker's truth."""
    return ("new", "", 2) if row.did is Did.AT_LAST else judged(row, broker)


async def replace_all(desk: Desk, broker: Broker, cells: Sequence[Cell]) -> None:
    before = await resting(desk, cells)
    for cell in cells:
        order = before[cell.number]
        desk.arm(**lied(cell.row.armed(method="PATCH", order=order.broker_order_id), order))
    asks = [
        desk.replace(before[cell.number].order_id, ReplaceAsk(request_id="r", quantity=cell.quantity + ASKED))
        for cell in cells
    ]
    asked = asyncio.gather(*asks)
    await asyncio.sleep(KNOWN_S / 2)
    wrong = compared(cells, told(now(desk, before), cells), dict.fromkeys(before, ("old", "pending", 1)), "at once")
    await asked
    await asyncio.sleep(CALL_TIMEOUT_S + KNOWN_S + VERDICT_S)
    wrong += compared(cells, told(now(desk, before), cells), {c.number: judged(c.row, broker) for c in cells}, "judged")
    desk.calm()
    await asyncio.sleep(3 * VERDICT_S)
    after = now(desk, before)
    wrong += compared(cells, told(after, cells), {c.number: at_rest(c.row, broker) for c in cells}, "at rest")
    wrong += desk.differences()
    stuck = {before[c.number].order_id for c in cells if at_rest(c.row, broker)[1]}
    open_records = {(d.kind, d.subject) for d in await desk.discrepancies()}
    wrong += [f"{each}" for each in sorted(open_records ^ {("REPLACE_UNPROVEN", each) for each in stuck})]
    assert not wrong, "\n".join(wrong)
    await cancel_what_is_left(desk, after)


async def cancel_what_is_left(desk: Desk, orders: Mapping[int, opb.Order]) -> None:
    """Whatever became of the replace: there is one order to cancel, and a cancel reaches it."""
    for order in orders.values():
        await desk.cancel(order.order_id)
    await asyncio.sleep(VERDICT_S)
    left = [order for order in now(desk, orders).values() if state_of(order) != "CANCELED" or order.pending_cancel]
    assert not left
    live = [row for row in desk.books().orders.values() if row["status"] not in {"canceled", "replaced", "rejected"}]
    assert not live


def lied(fault: dict[str, Any], order: opb.Order) -> dict[str, Any]:
    if fault.get("fields") == {"symbol": "AAPL"} and order.symbol == "AAPL":
        fault["fields"] = {"symbol": "KO"}
    return fault


def told(orders: Mapping[int, opb.Order], cells: Sequence[Cell]) -> dict[int, tuple[str, str, int]]:
    found: dict[int, tuple[str, str, int]] = {}
    for cell in cells:
        order = orders[cell.number]
        terms = {cell.quantity: "old", cell.quantity + ASKED: "new"}.get(Decimal(order.quantity), order.quantity)
        pending = "pending" if order.pending_replace else ""
        found[cell.number] = (terms, pending, len(order.broker_order_ids))
    return found


@pytest.mark.scaled
@pytest.mark.parametrize("broker", A_FEW, ids=str)
def test_a_replace_with_a_bad_answer(broker: Broker, reached: Reached) -> None:
    rows = some(REPLACES, (broker, "replace"), part=5)
    cells = [Cell(number, row) for number, row in enumerate(rows)]
    trade(broker, lambda desk: replace_all(desk, broker, cells))
    reached("P4", "answers to a replace that went wrong: each way and kind of broker", len(cells))
    reached("P2", "replaced intents that stayed one order in spite of that", len(cells))
