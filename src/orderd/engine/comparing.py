"""Comparing one order with its broker's, by a read of that very order: before a difference is recorded, and later.

A list may be older than its neighbour. A difference that only a list shows is looked at once more before it is written
down, and one that is written down is looked at in every full reconciliation until it is gone.
"""

import msgspec
import structlog

from orderd.core.book import counted
from orderd.core.discrepancies import RULES, DiscrepancyKind, Settling
from orderd.core.facts import View
from orderd.core.order import Order
from orderd.core.reconcile import differences
from orderd.core.standing import stands
from orderd.core.values import BrokerOrderId, OrderId, Value, canonical
from orderd.core.verdicts import Finding
from orderd.engine.account import RECONCILER, Account
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.reader import Reader
from orderd.ports import Absent, CannotTell, Discrepancy, FindOutcome, Found

log = structlog.get_logger("orderd.comparing")

QUANTITY = DiscrepancyKind.QUANTITY_DIFFERS
AT_MOST = 32
"""Orders compared in one run for differences that are new, and as many for those that are known; the rest is for the
next one."""


class Comparison(Value, frozen=True, kw_only=True):
    """What a read of the order said about a difference. `stands` is None when it proves neither."""

    outcome: FindOutcome
    order: Order
    view: View | None
    stands: bool | None


class Comparer:
    """Reads single orders of one account, for what differs."""

    def __init__(self, account: Account, reader: Reader, discrepancies: Discrepancies) -> None:
        """What is read has been brought in before it is compared."""
        self._account = account
        self._reader = reader
        self.discrepancies = discrepancies
        self._last = 0

    async def found(self, order_id: OrderId, finding: Finding) -> None:
        """A list differs from the record: open a discrepancy when the order itself, read now, does too."""
        read = await self._read(order_id)
        if read is None or self.discrepancies.is_open(finding.kind, order_id):
            return
        outcome, order, view = read
        if isinstance(outcome, Absent):
            evidence = "in a list, but not found by its id"
            expected, observed = finding.expected, finding.observed
            await self.discrepancies.open(finding.kind, order, expected=expected, observed=observed, evidence=evidence)
        elif view is not None:
            elders = await self._elders(order) if finding.kind is QUANTITY else ()
            for seen in (view, *(elders or ())):
                for each in differences(order, seen):
                    await self.discrepancies.open(
                        each.kind, order, expected=each.expected, observed=each.observed, evidence=_said(seen)
                    )

    async def again(self) -> None:
        """Compare what is open once more, and close what is gone, with what was seen."""
        due = [r for r in self.discrepancies.all_open() if RULES[r.kind].settling is Settling.COMPARISON]
        start = self._last if self._last < len(due) else 0
        self._last = start + AT_MOST
        for record in due[start : start + AT_MOST]:
            compared = await self.compare(record)
            if compared is None or compared.view is None or compared.stands is not False:
                continue
            if self.discrepancies.get(record.discrepancy_id) is not None:
                order = compared.order
                why = f"{_said(compared.view)}; the record is {order.state} with {canonical(order.filled_quantity)}"
                await self.discrepancies.close(record, RECONCILER, why)

    async def compare(self, record: Discrepancy) -> Comparison | None:
        """Read the order of a difference and judge it again; None when the order has no broker id to be read by."""
        read = await self._read(record.order_id)
        if read is None:
            return None
        outcome, order, view = read
        judged = None if view is None else stands(record.kind, order, view)
        if judged is False and record.kind is QUANTITY:
            elders = await self._elders(order)
            judged = None if elders is None else any(True for elder in elders for _ in differences(order, elder))
        return Comparison(outcome=outcome, order=order, view=view, stands=judged)

    async def read(self, broker_order_id: BrokerOrderId) -> FindOutcome:
        """Read it by the broker's id; what was found has been brought in."""
        return await self._reader.read(broker_order_id)

    async def _elders(self, order: Order) -> list[View] | None:
        """The elders of a chain that executed something, each read by its id; None when one of them cannot be read."""
        views: list[View] = []
        for link in order.links[:-1]:
            if counted(order, link):
                outcome = await self._reader.read(link.broker_order_id)
                if not isinstance(outcome, Found):
                    return None
                views.append(msgspec.structs.replace(outcome.view, asked_ns=None))
        return views

    async def _read(self, order_id: OrderId) -> tuple[FindOutcome, Order, View | None] | None:
        """The order as it is after its broker's was read, and that view."""
        order = self._account.blotter.get(order_id) if order_id else None
        if order is None or order.broker_order_id is None:
            return None
        outcome = await self._reader.read(order.broker_order_id)
        after = self._account.blotter.get(order_id) or order
        match outcome:
            case Found():
                # What it brought is in the record now; whatever came later is told by the broker's own time.
                return outcome, after, msgspec.structs.replace(outcome.view, asked_ns=None)
            case Absent() | CannotTell():
                return outcome, after, None


def _said(view: View) -> str:
    return f"{view.broker_order_id} is {view.status} with {canonical(view.filled_quantity)} executed"
