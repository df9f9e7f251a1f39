"""The order state changes of FIX 4.4 (volume 4, appendix D), as tables: what is told, and the order after it.

FIX's PendingCancel and PendingReplace are flags beside our state, its DoneForDay is a word of a working order.
"""

from typing import NamedTuple

import pytest

from orderd.core.facts import CancelDeclined, Refused, ReplaceDeclined
from orderd.core.order import EventSource, Order, OrderState, Phase
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    REJECTED,
    Told,
    after,
    bust,
    cancel,
    correct,
    dec,
    fill,
    replace,
    report,
    successor,
    when,
)

S = OrderState
STREAM = EventSource.BROKER_STREAM


class Row(NamedTuple):
    """What is told; the state, cumulative quantity and leaves after it, and the pending flags (C, R)."""

    told: Told
    state: str
    cum: int
    leaves: int
    pending: str = ""


def refused(order: Order, n: int) -> Refused:
    return Refused(at=when(n), source=EventSource.BROKER_REPLY, code="unknown symbol")


def cancel_too_late(order: Order, n: int) -> CancelDeclined:
    return CancelDeclined(at=when(n), source=STREAM, code="too late to cancel")


def replace_too_late(order: Order, n: int) -> ReplaceDeclined:
    return ReplaceDeclined(at=when(n), source=STREAM, code="too late to replace")


def to(quantity: int) -> Told:
    return replace(quantity=dec(quantity))


DONE_FOR_DAY = report(Phase.WORKING, "done_for_day")
PENDING_CANCEL = report(Phase.PENDING_CANCEL)
PENDING_REPLACE = report(Phase.PENDING_REPLACE)
REPLACED = successor(Phase.WORKING, "new")
READ_FILLED = report(Phase.FILLED, "filled", asked_ns=10**6)
READ_WORKING = report(Phase.WORKING, "new", asked_ns=10**6)

MATRICES: dict[str, list[Row]] = {
    "A.1.a filled in several executions": [
        Row(QUEUED, "SUBMITTED", 0, 10),
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "2"), "PARTIALLY_FILLED", 2, 8),
        Row(fill("2", "3"), "PARTIALLY_FILLED", 5, 5),
        Row(fill("3", "5"), "FILLED", 10, 0),
    ],
    "A.1.b part-filled, done for the day, and on the next": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(DONE_FOR_DAY, "PARTIALLY_FILLED", 4, 6),
        Row(report(Phase.WORKING, "new"), "PARTIALLY_FILLED", 4, 6),
        Row(fill("2", "6"), "FILLED", 10, 0),
    ],
    "A.1.c part-filled, expired": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(EXPIRED, "EXPIRED", 4, 0),
    ],
    "B.1.a canceled before any execution": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(cancel(), "ACCEPTED", 0, 10, "C"),
        Row(PENDING_CANCEL, "ACCEPTED", 0, 10, "C"),
        Row(CANCELED, "CANCELED", 0, 0),
    ],
    "B.1.b canceled with executions while the cancel was active": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "2"), "PARTIALLY_FILLED", 2, 8),
        Row(cancel(), "PARTIALLY_FILLED", 2, 8, "C"),
        Row(fill("2", "3"), "PARTIALLY_FILLED", 5, 5, "C"),
        Row(PENDING_CANCEL, "PARTIALLY_FILLED", 5, 5, "C"),
        Row(fill("3", "1", phase=Phase.PENDING_CANCEL), "PARTIALLY_FILLED", 6, 4, "C"),
        Row(CANCELED, "CANCELED", 6, 0),
    ],
    "B.1.c filled before the cancel": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(cancel(), "ACCEPTED", 0, 10, "C"),
        Row(fill("1", "10"), "FILLED", 10, 0),
        Row(cancel_too_late, "FILLED", 10, 0),
    ],
    "B.1.d the cancel refused": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(cancel(), "ACCEPTED", 0, 10, "C"),
        Row(cancel_too_late, "ACCEPTED", 0, 10),
        Row(fill("1", "10"), "FILLED", 10, 0),
    ],
    "C.1.a replaced to more, nothing executed": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(to(11), "ACCEPTED", 0, 10, "R"),
        Row(PENDING_REPLACE, "ACCEPTED", 0, 10, "R"),
        Row(REPLACED, "ACCEPTED", 0, 11),
        Row(fill("1", "1"), "PARTIALLY_FILLED", 1, 10),
    ],
    "C.1.b replaced to more, executed while pending": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "1"), "PARTIALLY_FILLED", 1, 9),
        Row(to(12), "PARTIALLY_FILLED", 1, 9, "R"),
        Row(fill("2", "2", phase=Phase.PENDING_REPLACE), "PARTIALLY_FILLED", 3, 7, "R"),
        Row(REPLACED, "PARTIALLY_FILLED", 3, 9),
        Row(fill("3", "9"), "FILLED", 12, 0),
    ],
    "C.1.c the order filled first, the replace refused": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(to(12), "ACCEPTED", 0, 10, "R"),
        Row(fill("1", "10"), "FILLED", 10, 0),
        Row(replace_too_late, "FILLED", 10, 0),
    ],
    "C.2 replaced at another price": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(replace(limit_price=dec("21")), "ACCEPTED", 0, 10, "R"),
        Row(REPLACED, "ACCEPTED", 0, 10),
    ],
    "C.3.a replaced to less": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "3"), "PARTIALLY_FILLED", 3, 7),
        Row(to(5), "PARTIALLY_FILLED", 3, 7, "R"),
        Row(REPLACED, "PARTIALLY_FILLED", 3, 2),
    ],
    "C.3.b replaced to less, which executed meanwhile": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(to(5), "ACCEPTED", 0, 10, "R"),
        Row(fill("1", "5"), "PARTIALLY_FILLED", 5, 5, "R"),
        Row(REPLACED, "FILLED", 5, 0),
    ],
    "C.3.c executed beyond the smaller quantity: the replace is refused": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(to(5), "ACCEPTED", 0, 10, "R"),
        Row(fill("1", "7"), "PARTIALLY_FILLED", 7, 3, "R"),
        Row(replace_too_late, "PARTIALLY_FILLED", 7, 3),
    ],
    "D.1 one cancel and one replace: the cancel waits for the surviving id": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(to(12), "ACCEPTED", 0, 10, "R"),
        Row(cancel(), "ACCEPTED", 0, 10, "CR"),
        Row(REPLACED, "ACCEPTED", 0, 12, "C"),
        Row(CANCELED, "CANCELED", 0, 0),
    ],
    "F.1.a fill or kill that cannot be filled": [
        Row(QUEUED, "SUBMITTED", 0, 10),
        Row(CANCELED, "CANCELED", 0, 0),
    ],
    "F.1.b immediate or cancel, part-filled": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(CANCELED, "CANCELED", 4, 0),
    ],
    "G.1.a refused at once": [Row(refused, "REJECTED", 0, 0)],
    "G.1.b refused after it was queued": [Row(QUEUED, "SUBMITTED", 0, 10), Row(REJECTED, "REJECTED", 0, 0)],
    "H.1.a an execution corrected on a filled order": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(fill("2", "6"), "FILLED", 10, 0),
        Row(correct("2", "2c", "6", "19.5"), "FILLED", 10, 0),
    ],
    "H.1.b an execution busted on a working order": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(bust("1"), "ACCEPTED", 0, 10),
        Row(READ_WORKING, "ACCEPTED", 0, 10),
    ],
    "H.1.c an execution busted on a filled order, which ends short": [
        Row(ACCEPTED, "ACCEPTED", 0, 10),
        Row(fill("1", "4"), "PARTIALLY_FILLED", 4, 6),
        Row(fill("2", "6"), "FILLED", 10, 0),
        Row(bust("1"), "FILLED", 6, 0),
        Row(READ_FILLED, "CANCELED", 6, 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", MATRICES)
def test_the_order_goes_as_fix_says(name: str) -> None:
    order = after()
    for number, row in enumerate(MATRICES[name], start=1):
        order = after(row.told, start=order)
        flags = "C" * order.pending_cancel + "R" * (order.pending_replace is not None)
        seen = (order.state.value, order.filled_quantity, order.leaves_quantity, flags)
        assert seen == (row.state, row.cum, row.leaves, row.pending), f"row {number}"
