"""The order state changes of FIX 4.4 (volume 4, appendix D), told to the core as facts: tests/fix/table.py."""

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from orderd.core.facts import CancelDeclined, Refused, ReplaceDeclined
from orderd.core.order import EventSource, Order, OrderState, Phase, TimeInForce
from orderd.core.values import BrokerOrderId
from orderd.core.verdicts import Impossible
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    REJECTED,
    SENT,
    Told,
    after,
    bust,
    by_notional,
    cancel,
    correct,
    created,
    dec,
    fill,
    intent,
    replace,
    report,
    successor,
    tell,
    terms,
    when,
)
from tests.fix.steps import Act, Row, Scenario, Step
from tests.fix.table import SCENARIOS
from tests.reach import Reached

if TYPE_CHECKING:
    from collections.abc import Callable

STREAM = EventSource.BROKER_STREAM
LATER = 10**6
"""When the order is read: after everything that was told."""


def refused(order: Order, n: int) -> Refused:
    return Refused(at=when(n), source=EventSource.BROKER_REPLY, code="REFUSED")


def cancel_too_late(order: Order, n: int) -> CancelDeclined:
    return CancelDeclined(at=when(n), source=STREAM, code="too late to cancel")


def replace_too_late(order: Order, n: int) -> ReplaceDeclined:
    return ReplaceDeclined(at=when(n), source=STREAM, code="too late to replace")


SIMPLE: dict[Act, Told] = {
    Act.TAKES: QUEUED,
    Act.WORKS: ACCEPTED,
    Act.REFUSES: refused,
    Act.REJECTS: REJECTED,
    Act.EXPIRES: EXPIRED,
    Act.CANCELS: CANCELED,
    Act.ASKS_CANCEL: cancel(),
    Act.REFUSES_CANCEL: cancel_too_late,
    Act.REFUSES_REPLACE: replace_too_late,
}
PHASES = {
    Act.CANCELS: Phase.CANCELED,
    Act.EXPIRES: Phase.EXPIRED,
    Act.REJECTS: Phase.REJECTED,
}


class Core:
    """Plays a table to one order."""

    def __init__(self, scenario: Scenario) -> None:
        """The order has been sent; nothing has been heard of it."""
        wanted = terms(time_in_force=TimeInForce[scenario.time_in_force])
        self.order = by_notional() if scenario.notional else after(SENT, start=created(intent(terms=wanted)))
        self.executions: list[str] = []
        self.phase = Phase.WORKING
        self.replaces = 0

    def play(self, step: Step) -> None:
        """Tell the order what this step is; what it does not hear of is told by nobody."""
        self.phase = PHASES.get(step.act, self.phase)
        for told in self._told(step):
            self.order = after(told, start=self.order)

    def _told(self, step: Step) -> list[Told]:
        special: dict[Act, Callable[[Step], list[Told]]] = {
            Act.FILLS: self._fill,
            Act.ASKS_REPLACE: self._ask,
            Act.IS_TOLD_NO: self._is_told_no,
            Act.REPLACES: lambda _: self._successor(is_asked=True),
            Act.REPLACES_UNASKED: lambda step: self._successor(is_asked=False, **self._changes(step)),
            Act.SAYS: lambda step: [report(self.phase, step.word)],
            Act.IS_READ: lambda _: self._read(),
            Act.BUSTS: self._bust,
            Act.CORRECTS: self._correct,
            Act.SUBMITS_AGAIN: lambda _: [],
        }
        return special[step.act](step) if step.act in special else [SIMPLE[step.act]]

    def _fill(self, step: Step) -> list[Told]:
        self.executions.append(f"e-{len(self.executions) + 1}")
        wanted, total = self.order.terms.quantity, self.order.filled_quantity + Decimal(step.quantity)
        if self.order.is_open and (total >= wanted if wanted is not None else total * Decimal(step.price) >= 500):
            self.phase = Phase.FILLED
        return [fill(self.executions[-1], step.quantity, step.price, phase=self.phase, average_price=None)]

    def _changes(self, step: Step) -> dict[str, Decimal | None]:
        said = {"quantity": step.quantity, "limit_price": step.price}
        return {name: dec(value) for name, value in said.items() if value}

    def _ask(self, step: Step) -> list[Told]:
        return [replace(f"r-{len(self.order.replace_requests) + 1}", **self._changes(step))]

    def _is_told_no(self, step: Step) -> list[Told]:
        assert isinstance(tell(self.order, self._ask(step)[0]), Impossible)
        return []

    def _successor(self, *, is_asked: bool, **changes: Decimal | None) -> list[Told]:
        self.replaces += 1
        said: dict[str, object] = {
            "broker_order_id": BrokerOrderId(f"b-{self.replaces + 1}"),
            "replaces": f"b-{self.replaces}",
        }
        if changes:
            said["terms"] = terms(time_in_force=self.order.terms.time_in_force, **changes)
        return [successor(Phase.WORKING, "new", is_asked=is_asked, **said)]

    def _read(self) -> list[Told]:
        order = self.order
        phase = Phase.QUEUED if order.state is OrderState.SUBMITTED else self.phase
        link = order.links[-1]
        figure = sum(f.quantity for f in order.fills if f.is_counted and f.broker_order_id == link.broker_order_id)
        return [report(phase, asked_ns=LATER + order.version, filled_quantity=str(figure), average_price=None)]

    def _bust(self, step: Step) -> list[Told]:
        """The order is read again before its state is believed."""
        self.order = after(bust(self.executions[step.number - 1]), start=self.order)
        return self._read()

    def _correct(self, step: Step) -> list[Told]:
        previous = self.executions[step.number - 1]
        self.executions[step.number - 1] = f"{previous}c"
        told = correct(previous, f"{previous}c", step.quantity, step.price)
        self.order = after(told, start=self.order)
        return self._read()


def seen(order: Order, step: Step) -> Row:
    """The order as a row of the table."""
    leaves = "" if order.leaves_quantity is None else f"{order.leaves_quantity}"
    average = "" if order.average_fill_price is None else f"{order.average_fill_price.normalize():f}"
    flags = "C" * order.pending_cancel + "R" * (order.pending_replace is not None)
    return Row(step, order.state.value, f"{order.filled_quantity}", leaves, average, flags)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_the_order_goes_as_the_table_says(scenario: Scenario, reached: Reached) -> None:
    core = Core(scenario)
    for number, row in enumerate(scenario.rows, start=1):
        core.play(row.step)
        assert seen(core.order, row.step) == row, f"row {number}"
    reached("P5", "rows of the order state change tables, told to the core", len(scenario.rows))
