"""The one way in: every fact about a written order is judged, recorded and only then known, in here.

One mailbox an order: a fact is decided only after the previous fact of that order is committed. Facts that waited are
folded together into one append. Nothing else writes an order after it was staged.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import structlog

from orderd.core.facts import Fact
from orderd.core.lifecycle import decide
from orderd.core.order import EventSource, Order, OrderState
from orderd.core.turnstiles import Recorded
from orderd.core.values import OrderId, Value
from orderd.core.verdicts import Apply, Finding, Impossible, Verdict
from orderd.engine.blotter import Blotter
from orderd.ports import Append, Discrepancy, Journal, JournalError, RawPayload

log = structlog.get_logger("orderd.intake")

RECEIVED: Final = frozenset({OrderState.SUBMITTED, OrderState.ACCEPTED})
"""States in which an order is that its broker has, and has done nothing with yet."""


class Taken(Value, frozen=True, kw_only=True):
    """What became of a fact: the verdict, and the order after its commit."""

    order: Order
    verdict: Verdict
    recorded: Recorded | None = None
    """Proof of the commit; None when nothing was news."""


Aftermath = Callable[[Order, Verdict], None]
"""Told of each verdict with needs or findings, after its commit: follows them up."""
Books = Callable[[Order, Sequence[tuple[Finding, EventSource]]], tuple[Discrepancy, ...]]
"""Asked, just before an append, for the discrepancies that go with it: the order as it will be, and what was found."""


class _Letter:
    __slots__ = ("can_wait", "fact", "future", "raw")

    def __init__(
        self, fact: Fact, raw: tuple[RawPayload, ...], future: "asyncio.Future[Taken]", *, can_wait: bool
    ) -> None:
        self.can_wait = can_wait
        self.fact = fact
        self.raw = raw
        self.future = future


class Intake:
    """Takes facts in, one order at a time."""

    def __init__(self, journal: Journal, blotter: Blotter) -> None:
        """Facts are judged against the blotter and recorded in the journal."""
        self._journal = journal
        self._blotter = blotter
        self._boxes: dict[OrderId, deque[_Letter]] = {}
        self._aftermath: Aftermath = lambda _order, _verdict: None
        self._books: Books = lambda _order, _findings: ()

    def follow_up(self, aftermath: Aftermath) -> None:
        """Set who acts on needs and findings."""
        self._aftermath = aftermath

    def keep_books(self, books: Books) -> None:
        """Set who knows which discrepancies a change opens and settles."""
        self._books = books

    def is_busy(self, order_id: OrderId) -> bool:
        """Whether facts of this order are waiting for a commit."""
        return order_id in self._boxes

    def take(
        self, order_id: OrderId, fact: Fact, raw: tuple[RawPayload, ...] = (), *, can_wait: bool = False
    ) -> "asyncio.Future[Taken]":
        """Hand a fact in. The future resolves after the commit (or at once when nothing was news).

        Abandoning the future changes nothing. It fails with JournalError when the journal does. `can_wait`: if it is
        only a receipt and no caller waits for it, it may share the commit of what comes next.
        """
        future: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        # A listener need not look at every fact it hands in; the supervisor hears of a failed journal in its own way.
        future.add_done_callback(_retrieved)
        letter = _Letter(fact, raw, future, can_wait=can_wait)
        box = self._boxes.get(order_id)
        if box is not None:
            box.append(letter)
            return future
        self._boxes[order_id] = deque([letter])
        self._open_box(order_id)
        return future

    def _open_box(self, order_id: OrderId) -> None:
        """Judge all that waits; append what is news, or answer at once."""
        box = self._boxes[order_id]
        while box:
            letters = list(box)
            box.clear()
            is_judged = False
            try:
                order = self._blotter.get(order_id)
                if order is None:
                    raise KeyError(f"no order {order_id}")
                is_under_way = self._judge(order, letters)
                is_judged = True
            finally:
                if not is_judged:
                    self._give_up([*letters, *box], order_id)
            if is_under_way:
                return
        del self._boxes[order_id]

    def _give_up(self, letters: Sequence[_Letter], order_id: OrderId) -> None:
        """A broken promise of our own code: nobody is left waiting, and the error goes on to the supervisor."""
        self._boxes.pop(order_id, None)
        for letter in letters:
            _fail(letter, JournalError(f"facts of order {order_id} could not be judged"))

    def _judge(self, order: Order, letters: Sequence[_Letter]) -> bool:
        """Fold the letters into one append. True when a commit is on its way."""
        current = order
        verdicts: list[tuple[_Letter, Verdict]] = []
        raw: list[RawPayload] = []
        for letter in letters:
            verdict = decide(current, letter.fact)
            verdicts.append((letter, verdict))
            if isinstance(verdict, Apply):
                current = verdict.order
                raw.extend(letter.raw)
            elif isinstance(verdict, Impossible):
                raw.extend(msgspec.structs.replace(payload, is_quarantined=True) for payload in letter.raw)
        steps = tuple(step for _, verdict in verdicts if isinstance(verdict, Apply) for step in verdict.steps)
        findings = [(found, letter.fact.source) for letter, verdict in verdicts for found in verdict.findings]
        books = self._books(current, findings)
        can_wait = all([letter.can_wait for letter in letters]) and not books and self._can_wait(order, current)
        append = Append(steps=steps, raw=tuple(raw), discrepancies=books, can_wait=can_wait)
        if not steps:
            if append.raw or append.discrepancies:
                kept = asyncio.ensure_future(self._journal.append([append]))
                kept.add_done_callback(_retrieved)
            self._answer(order, verdicts)
            return False
        commit = asyncio.ensure_future(self._journal.append([append]))
        commit.add_done_callback(lambda done: self._committed(order.order_id, done, verdicts))
        return True

    def _can_wait(self, before: Order, after: Order) -> bool:
        """Whether it is only the broker's receipt, and nobody waits for it: most callers have their answer by then."""
        is_receipt = bool(after.links) and not before.links and after.state in RECEIVED and not after.fills
        return is_receipt and not after.pending_cancel and not self._blotter.is_awaited(after.order_id)

    def _committed(
        self,
        order_id: OrderId,
        commit: "asyncio.Future[tuple[Recorded, ...]]",
        verdicts: Sequence[tuple[_Letter, Verdict]],
    ) -> None:
        failure = commit.exception() if not commit.cancelled() else JournalError("the journal was closed")
        if failure is not None:
            waiting = [letter for letter, _ in verdicts] + list(self._boxes.pop(order_id, ()))
            for letter in waiting:
                _fail(letter, failure)
            return
        recorded = commit.result()[0]
        self._blotter.apply(recorded.order)
        self._answer(recorded.order, verdicts, recorded)
        self._open_box(order_id)

    def _answer(
        self, order: Order, verdicts: Sequence[tuple[_Letter, Verdict]], recorded: Recorded | None = None
    ) -> None:
        for letter, verdict in verdicts:
            if not letter.future.done():
                letter.future.set_result(Taken(order=order, verdict=verdict, recorded=recorded))
            if isinstance(verdict, Impossible):
                log.warning(
                    "fact_impossible",
                    order_id=order.order_id,
                    fact=type(letter.fact).__name__,
                    explanation=verdict.explanation,
                )
            if verdict.needs or verdict.findings:
                self._aftermath(order, verdict)


def _fail(letter: _Letter, failure: BaseException) -> None:
    if not letter.future.done():
        letter.future.set_exception(failure)


def _retrieved(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()
