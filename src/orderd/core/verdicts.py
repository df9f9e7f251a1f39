"""What a judgement may be, and the draft in which one is written."""

from decimal import Decimal
from enum import StrEnum

import msgspec

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.events import Event, Step
from orderd.core.evolve import evolve
from orderd.core.order import BrokerLink, Order, OrderState
from orderd.core.table import Move, allowed, next_state
from orderd.core.values import Value, canonical


class NeedKind(StrEnum):
    """What the engine should read from the broker next, because the record alone cannot decide."""

    EXECUTIONS = "EXECUTIONS"
    ORDER = "ORDER"


class Need(Value, frozen=True, kw_only=True):
    """Read this broker order (or its executions) and bring what it says."""

    kind: NeedKind
    broker_order_id: str


class Finding(Value, frozen=True, kw_only=True):
    """Something the broker said that contradicts the record: it becomes a discrepancy."""

    kind: DiscrepancyKind
    expected: str
    observed: str


class Apply(Value, frozen=True, kw_only=True):
    """It is news: these steps are to be recorded."""

    steps: tuple[Step, ...]
    needs: tuple[Need, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def order(self) -> Order:
        """The order after the last step."""
        return self.steps[-1].after


class Duplicate(Value, frozen=True, kw_only=True):
    """It was known already."""

    needs: tuple[Need, ...] = ()
    findings: tuple[Finding, ...] = ()


class Stale(Value, frozen=True, kw_only=True):
    """It was true once; something newer is recorded."""

    needs: tuple[Need, ...] = ()
    findings: tuple[Finding, ...] = ()


class Impossible(Value, frozen=True, kw_only=True):
    """It cannot follow from the record; `explanation` says from where, what, and what would have been allowed."""

    explanation: str
    needs: tuple[Need, ...] = ()
    findings: tuple[Finding, ...] = ()


Verdict = Apply | Duplicate | Stale | Impossible


def impossible(order: Order, what: str) -> Impossible:
    """Say from where, what, and what would have been allowed."""
    moves = ", ".join(allowed(order.state)) or "nothing"
    return Impossible(explanation=f"{what} on an order that is {order.state}; from there: {moves}")


def _text(value: Decimal | str | None) -> str:
    return canonical(value) if isinstance(value, Decimal) else str(value)


class Draft:
    """A judgement being written: each event is folded in at once, so the next line judges the order as it will be."""

    __slots__ = ("committed", "findings", "needs", "order", "steps")

    def __init__(self, order: Order) -> None:
        """Start from the committed order."""
        self.committed = order
        self.order = order
        self.steps: tuple[Step, ...] = ()
        self.needs: tuple[Need, ...] = ()
        self.findings: tuple[Finding, ...] = ()

    def add(self, event: Event) -> None:
        """Take an event into the judgement."""
        after = evolve(self.order, event)
        self.steps += (Step(event=event, before=self.order.state, after=after),)
        self.order = after

    def carry(self, link: BrokerLink) -> bool:
        """Let the last event carry the link as the whole report leaves it. False when it is about another link."""
        last = self.steps[-1].event if self.steps else None
        if last is None or last.link is None or last.link.broker_order_id != link.broker_order_id:
            return False
        self.steps, self.order = self.steps[:-1], self.steps[-2].after if len(self.steps) > 1 else self.committed
        self.add(msgspec.structs.replace(last, link=link))
        return True

    def move(self, move: Move) -> OrderState | None:
        """Where this move leads from the order as drafted so far."""
        return next_state(self.order.state, move)

    def need(self, kind: NeedKind, broker_order_id: str) -> None:
        """Ask for a read, once."""
        wanted = Need(kind=kind, broker_order_id=broker_order_id)
        if wanted not in self.needs:
            self.needs += (wanted,)

    def find(self, kind: DiscrepancyKind, expected: Decimal | str | None, observed: Decimal | str | None) -> None:
        """Note a contradiction."""
        self.findings += (Finding(kind=kind, expected=_text(expected), observed=_text(observed)),)

    def verdict(self, *, is_stale: bool = False) -> Verdict:
        """Close the draft."""
        if self.steps:
            return Apply(steps=self.steps, needs=self.needs, findings=self.findings)
        if is_stale:
            return Stale(needs=self.needs, findings=self.findings)
        return Duplicate(needs=self.needs, findings=self.findings)
