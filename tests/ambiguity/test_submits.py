"""The ambiguity matrix of a submit: every way an answer goes wrong, for every kind of order and of broker.

UNKNOWN within a second of the bad answer or the deadline; the right verdict within the settle time and ten seconds,
while the stream is silent; the truth when it speaks again. Never a guess, never two orders where one was asked for.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from oms.v1 import order_pb2 as opb
from orderd.venue.dialect import DuplicateIds, Lookup
from tests.ambiguity import answers, verdicts
from tests.ambiguity.answers import Did, Row, Says
from tests.ambiguity.desk import HOLDINGS, KNOWN_S, SYMBOLS, VERDICT_S, Desk, kinds, seconds_between, some, trade
from tests.ambiguity.verdicts import A_FEW, BROKERS, Broker, Kind, Verdict
from tests.e2e.books import state_of
from tests.reach import Reached

TIMEOUT_S = 1.0
MINUTE_S = 60
UNCLEAR = [row for row in answers.CHANGES if row.says is not Says.NOT_SENT]
ALL_CUTS = range(1050)
"""To the end of the shortest answer."""


class Cell(NamedTuple):
    """One row and one kind of order: an order of its own."""

    number: int
    row: Row
    kind: Kind

    def __str__(self) -> str:
        """For whoever reads why it went wrong."""
        return f"{self.row.name} | {self.kind} | {self.symbol} {self.name}"

    @property
    def name(self) -> str:
        """Its client order id."""
        return f"cell-{self.number}"

    @property
    def symbol(self) -> str:
        """Cells share the symbols: one order of a symbol leaves after the other."""
        return SYMBOLS[self.number % len(SYMBOLS)]

    def fields(self) -> dict[str, object]:
        """What is asked for. No two cells ask for the same quantity: none can be taken for another."""
        said: dict[str, object] = {
            "client_order_id": self.name,
            "symbol": self.symbol,
            "quantity": str(self.number + 1),
            "trace_id": self.name,
        }
        if self.kind is Kind.RESTING:
            said["limit_price"] = "0.5"
        elif self.kind is Kind.EXIT:
            intent = opb.POSITION_INTENT_SELL_TO_CLOSE
            said |= {"limit_price": "5000", "side": opb.SIDE_SELL, "position_intent": intent}
        return said

    def fault(self) -> dict[str, object]:
        """What goes wrong. A lie says something else than what this very order is."""
        fault = self.row.armed(method="POST", path="/v2/orders", order=self.name)
        if fault.get("fields") == {"side": "sell"} and self.kind is Kind.EXIT:
            fault["fields"] = {"side": "buy"}
        if fault.get("fields") == {"symbol": "AAPL"} and self.symbol == "AAPL":
            fault["fields"] = {"symbol": "KO"}
        return fault


def cells_of(broker: Broker, rows: Sequence[Row]) -> list[Cell]:
    pairs = [(row, kind) for row in rows for kind in Kind if verdicts.is_asked(row, kind, broker)]
    return [Cell(number, row, kind) for number, (row, kind) in enumerate(pairs)]


async def submitted(desk: Desk, cells: Sequence[Cell]) -> dict[int, str]:
    """Send an order for each cell, into a silent stream. Order ids by the cell's number."""
    for number, symbol in enumerate(sorted({cell.symbol for cell in cells if cell.kind is Kind.EXIT})):
        await desk.submit(symbol=symbol, quantity=str(HOLDINGS), client_order_id=f"hold-{number}")
    await asyncio.sleep(1)
    desk.hush()
    ids: dict[int, str] = {}
    for cell in cells:
        desk.arm(**cell.fault())
        ids[cell.number], _ = await desk.submit(**cell.fields())
    return ids


def seen(desk: Desk, cell: Cell, order: opb.Order) -> Verdict:
    rows = [row for row in desk.books().orders.values() if row["client_order_id"] == cell.name]
    sent = 0 if cell.row.says is Says.NOT_SENT and cell.row.did is Did.ALL else desk.sent(cell.name)
    return Verdict(state_of(order), sent, len(rows))


def is_known_in_time(desk: Desk, cell: Cell, order_id: str) -> bool:
    """From the last byte sent to the record that nobody knows, and nothing in between."""
    story = desk.story(order_id)
    if cell.row.says is Says.NOT_SENT:
        return kinds(story)[:2] == ["CREATED", "SUBMITTED"]
    limit_s = KNOWN_S + (TIMEOUT_S if cell.row.says is Says.SILENCE else 0)
    told = [name for name in kinds(story) if name != "CREATED"]
    return told[:2] == ["SUBMITTED", "OUTCOME_UNKNOWN"] and (
        seconds_between(story, "SUBMITTED", "OUTCOME_UNKNOWN") <= limit_s
    )


async def judge(desk: Desk, broker: Broker, cells: Sequence[Cell], patience_s: float = 0) -> None:
    """Live through it and compare with the table, cell by cell."""
    ids = await submitted(desk, cells)
    turns = 1 + len(cells) // len(SYMBOLS)
    await asyncio.sleep(turns * (TIMEOUT_S + 1) + VERDICT_S + patience_s)
    orders = {order.order_id: order for order in desk.orders()}
    wrong = [
        f"{cell}: not known in time: {kinds(desk.story(ids[cell.number]))}"
        for cell in cells
        if not is_known_in_time(desk, cell, ids[cell.number])
    ]
    for cell in cells:
        verdict = verdicts.judged(cell.row, cell.kind, broker)
        if (found := seen(desk, cell, orders[ids[cell.number]])) != verdict:
            wrong.append(f"{cell}: {found}, not {verdict}")
    desk.calm()
    await asyncio.sleep(12)
    orders = {order.order_id: order for order in desk.orders()}
    for cell in cells:
        verdict = verdicts.at_rest(cell.row, cell.kind, broker)
        if (found := seen(desk, cell, orders[ids[cell.number]])) != verdict:
            wrong.append(f"{cell} at rest: {found}, not {verdict}")
    wrong += live_twice(desk)
    assert not wrong, "\n".join(wrong)


def live_twice(desk: Desk) -> list[str]:
    """Client ids with more than one live order at the venue, or with one that no record follows."""
    followed = {broker_id for order in desk.orders() for broker_id in order.broker_order_ids}
    wrong: list[str] = []
    for name, rows in desk.books().by_name().items():
        live = [row for row in rows if row["status"] not in {"canceled", "rejected", "expired", "replaced"}]
        if len(live) > 1:
            wrong.append(f"{name}: {len(live)} live orders")
        lost = [row for row in live if row["order_id"] not in followed]
        if lost and len(rows) > 1:
            wrong.append(f"{name}: {len(lost)} orders that nobody follows")
    return wrong


@pytest.mark.scaled
@pytest.mark.parametrize("broker", BROKERS, ids=str)
def test_a_submit_with_a_bad_answer(broker: Broker, reached: Reached) -> None:
    cells = some(cells_of(broker, UNCLEAR), broker)

    trade(broker, lambda desk: judge(desk, broker, cells))
    reached("P4", "answers to a submit that went wrong: each way, kind of order and kind of broker", len(cells))
    reached("P2", "intents that stayed one order in spite of that", len(cells))


@pytest.mark.scaled
@pytest.mark.parametrize("broker", A_FEW, ids=str)
def test_a_429_in_the_brokers_own_words_is_not_a_send(broker: Broker, reached: Reached) -> None:
    """It holds everything back until the next minute, so these have a day of their own."""
    rows = [row for row in answers.CHANGES if row.says is Says.NOT_SENT]
    cells = cells_of(broker, rows)
    trade(broker, lambda desk: judge(desk, broker, cells, patience_s=2 * MINUTE_S))
    reached("P4", "answers to a submit that went wrong: each way, kind of order and kind of broker", len(cells))


@pytest.mark.scaled
@pytest.mark.parametrize("part", range(3))
def test_a_submit_whose_answer_is_cut_at_every_byte(part: int, reached: Reached) -> None:
    broker = Broker(DuplicateIds.FOR_EVER, Lookup.YES, has_execution_ids=True)
    rows = [answers.cut(byte) for byte in some(list(ALL_CUTS[part::3]), f"cuts {part}", part=20)]
    cells = [Cell(number, row, Kind.RESTING) for number, row in enumerate(rows)]
    trade(broker, lambda desk: judge(desk, broker, cells))
    reached("P4", "bytes after which the answer to a submit was cut", len(cells))
