"""A broker in miniature, for property tests: it keeps the books of one order truthfully and prints what it did.

Everything it ever said is in `messages`, in the order it happened. Tests deliver them shuffled, repeated or dropped,
and answer the reads that `decide` asks for from the books as they stand.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from orderd.core.facts import (
    CancelDeclined,
    Executed,
    Execution,
    ExecutionBusted,
    ExecutionCorrected,
    Fact,
    ReplaceDeclined,
    Reported,
    View,
)
from orderd.core.order import AssetClass, EventSource, Order, PendingReplace, Phase, Side, Terms
from orderd.core.values import BrokerOrderId, ClientOrderId, ExecutionId, nanoseconds
from tests.core.builders import AT, STREAM, terms

ZERO = Decimal(0)
PRINTED = Decimal("0.000001")
ENDED = {Phase.FILLED, Phase.CANCELED, Phase.EXPIRED, Phase.REJECTED, Phase.REPLACED}


@dataclass
class Trade:
    """One execution as the broker's books have it."""

    execution_id: str
    quantity: Decimal
    price: Decimal
    cum: Decimal
    time: datetime
    is_live: bool = True
    amended: tuple[Decimal, datetime] | None = None
    """Of what a correction made: the broker's total then, and when it was."""


@dataclass
class Book:
    """One broker order of the chain."""

    broker_order_id: str
    client_order_id: str
    terms: Terms
    phase: Phase = Phase.QUEUED
    status: str = "pending_new"
    replaces: str = ""
    replaced_by: str = ""
    time: datetime = AT
    trades: list[Trade] = field(default_factory=list)

    @property
    def cum(self) -> Decimal:
        return sum((t.quantity for t in self.trades if t.is_live), ZERO)

    @property
    def average(self) -> Decimal | None:
        value = sum((t.quantity * t.price for t in self.trades if t.is_live), ZERO)
        return (value / self.cum).quantize(PRINTED, rounding=ROUND_HALF_EVEN) if self.cum else None


class Model:
    """The books of one logical order (a chain of broker orders), and the messages about it."""

    def __init__(self, quantity: int, *, carries_over: bool = False, lists_what_became: bool = False) -> None:
        """`carries_over`: a successor's printed quantity starts at its predecessors' total, not at zero.
        `lists_what_became`: a list shows what stands only; what a correction made at the total of that moment.
        """
        self.carries_over = carries_over
        self.lists_what_became = lists_what_became
        self.now = AT
        self.messages: list[Fact] = []
        self.books: list[Book] = []
        self.executions = 0
        self.was_busted = False
        self.pending: PendingReplace | None = None
        self._open(Book(broker_order_id="b-1", client_order_id="key-1", terms=terms(quantity=Decimal(quantity))))
        self.ack = self.messages.pop()

    # ---------------------------------------------------------------------------------------------------- the books

    @property
    def book(self) -> Book:
        return self.books[-1]

    @property
    def filled(self) -> Decimal:
        return sum((book.cum for book in self.books), ZERO)

    @property
    def left(self) -> Decimal:
        return self.book.terms.quantity - self.filled  # type: ignore[operator]

    @property
    def is_open(self) -> bool:
        return self.book.phase not in ENDED

    def live(self) -> dict[str, tuple[Decimal, Decimal]]:
        """The executions that stand: by id, quantity and price."""
        return {t.execution_id: (t.quantity, t.price) for book in self.books for t in book.trades if t.is_live}

    def _tick(self, seconds: int = 1) -> None:
        self.now += timedelta(seconds=seconds)

    def _open(self, book: Book) -> None:
        self.books.append(book)
        self._say(book)

    def _set(self, book: Book, phase: Phase, status: str) -> None:
        book.phase, book.status = phase, status
        self._say(book)

    def _work(self, book: Book, *, is_told: bool = True) -> None:
        book.phase, book.status = Phase.WORKING, "partially_filled" if book.cum else "new"
        if is_told:
            self._say(book)

    # -------------------------------------------------------------------------------------------------- what it says

    def view(self, book: Book, asked_ns: int | None = None) -> View:
        carried = sum((b.cum for b in self.books[: self.books.index(book)]), ZERO) if self.carries_over else ZERO
        return View(
            broker_order_id=BrokerOrderId(book.broker_order_id),
            phase=book.phase,
            status=book.status,
            client_order_id=book.client_order_id,
            symbol="AAPL",
            asset_class=AssetClass.US_EQUITY,
            side=Side.BUY,
            terms=book.terms,
            filled_quantity=book.cum + carried,
            average_price=book.average,
            updated_ns=nanoseconds(book.time),
            asked_ns=asked_ns,
            replaces=book.replaces,
            replaced_by=book.replaced_by,
        )

    def _say(self, book: Book, trade: Trade | None = None) -> None:
        book.time = self.now
        execution = None if trade is None else self.execution(book, trade)
        self.messages.append(
            Reported(at=self.now, source=STREAM, view=self.view(book), execution=execution, broker_time=self.now)
        )

    def execution(self, book: Book, trade: Trade, *, renamed: bool = False) -> Execution:
        """An execution as a message or a list prints it; a list may call it by another id."""
        return Execution(
            broker_order_id=BrokerOrderId(book.broker_order_id),
            execution_id=ExecutionId(f"activity::{trade.execution_id}" if renamed else trade.execution_id),
            quantity=trade.quantity,
            price=trade.price,
            cum_after=trade.cum,
            occurred_time=trade.time,
        )

    # ---------------------------------------------------------------------------------------------- what may happen

    def work(self) -> None:
        self._tick()
        if self.is_open:
            self._work(self.book)

    def fill(self, quantity: int, cents: int) -> None:
        self._tick()
        if not self.is_open or self.left <= 0:
            return
        self._fill(self.book, min(Decimal(quantity), self.left), Decimal(cents) / 100)

    def _fill(self, book: Book, quantity: Decimal, price: Decimal) -> None:
        self.executions += 1
        carried = self.view(book).filled_quantity
        trade = Trade(f"e-{self.executions}", quantity, price, carried + quantity, self.now)
        book.trades.append(trade)
        if self.left <= 0 and book is self.book:
            book.phase, book.status = Phase.FILLED, "filled"
        elif book.phase is not Phase.PENDING_CANCEL:
            self._work(book, is_told=False)
        self._say(book, trade)

    def late_fill_on_elder(self) -> None:
        """A fill of the elder that was on its way when it was replaced: told after the successor was."""
        self._tick()
        if len(self.books) < 2 or not self.is_open or self.left <= 1:
            return
        elder = self.books[-2]
        self.executions += 1
        trade = Trade(f"e-{self.executions}", Decimal(1), Decimal(20), self.view(elder).filled_quantity + 1, self.now)
        elder.trades.append(trade)
        self._say(elder, trade)

    def end(self, phase: Phase) -> None:
        self._tick()
        if self.is_open and not (phase is Phase.REJECTED and self.filled):
            self._set(self.book, phase, phase.lower())

    def pending_cancel(self) -> None:
        """A person asks for the cancel, at the broker."""
        self._tick()
        if self.is_open:
            self._set(self.book, Phase.PENDING_CANCEL, "pending_cancel")

    def decline_cancel(self) -> None:
        self._tick()
        if self.book.phase is Phase.PENDING_CANCEL:
            self._work(self.book)
            self.messages.append(CancelDeclined(at=self.now, source=STREAM, code="order_cancel_rejected"))

    def accept_replace(self) -> None:
        """Our replace, asked right after the ack, wins."""
        self._tick()
        pending = self.pending
        if pending is None or not self.is_open or pending.terms.quantity is None:
            return
        self.pending = None
        if pending.terms.quantity <= self.filled:
            self._decline(pending)
        else:
            self._succeed(pending.terms, pending.client_order_id)

    def decline_replace(self) -> None:
        self._tick()
        if self.pending is not None:
            self._decline(self.pending)
            self.pending = None

    def _decline(self, pending: PendingReplace) -> None:
        code = "order_replace_rejected"
        self.messages.append(ReplaceDeclined(at=self.now, source=STREAM, code=code, request_id=pending.request_id))

    def replace_by_person(self, quantity: int) -> None:
        self._tick()
        if self.is_open and quantity > self.filled:
            if self.pending is not None:
                self.decline_replace()
            self._succeed(terms(quantity=Decimal(quantity), limit_price=Decimal(21)), f"person-{len(self.books)}")

    def _succeed(self, wanted: Terms, client_order_id: str) -> None:
        elder = self.book
        elder.replaced_by = f"b-{len(self.books) + 1}"
        self._set(elder, Phase.REPLACED, "replaced")
        self._tick()
        self._open(
            Book(elder.replaced_by, client_order_id, wanted, Phase.WORKING, "new", replaces=elder.broker_order_id)
        )

    def bust(self, which: int, *, resumes: bool) -> None:
        self._tick(60)
        found = [(b, t) for b in self.books for t in b.trades if t.is_live]
        if not found:
            return
        book, trade = found[which % len(found)]
        trade.is_live = False
        self._undone(book)
        self.messages.append(
            ExecutionBusted(
                at=self.now,
                source=STREAM,
                previous_execution_id=ExecutionId(trade.execution_id),
                execution_id=f"x-{trade.execution_id}",
                broker_time=self.now,
                broker_order_id=book.broker_order_id,
            )
        )
        self._tick()
        self._after_undoing(book, resumes=resumes)

    def correct(self, which: int, quantity: int, cents: int) -> None:
        """A correction of the price, or to a smaller quantity."""
        self._tick(60)
        found = [(b, t) for b in self.books for t in b.trades if t.is_live]
        if not found:
            return
        book, trade = found[which % len(found)]
        new = Trade(
            f"c-{trade.execution_id}",
            min(Decimal(quantity), trade.quantity),
            Decimal(cents) / 100,
            trade.cum,
            trade.time,
        )
        trade.is_live = False
        book.trades.append(new)
        new.amended = (self.view(book).filled_quantity, self.now)
        if new.quantity != trade.quantity:
            self._undone(book)
        self.messages.append(
            ExecutionCorrected(
                at=self.now,
                source=STREAM,
                previous_execution_id=ExecutionId(trade.execution_id),
                execution_id=new.execution_id,
                quantity=new.quantity,
                price=new.price,
                broker_time=self.now,
                broker_order_id=book.broker_order_id,
            )
        )
        self._tick()
        self._after_undoing(book, resumes=False)

    def _undone(self, book: Book) -> None:
        self.was_busted = True
        book.time = self.now

    def _after_undoing(self, book: Book, *, resumes: bool) -> None:
        if book is self.book and book.phase is Phase.FILLED and self.left > 0:
            if resumes:
                self._work(book)
            else:
                self._set(book, Phase.CANCELED, "canceled")
        elif book is self.book and book.phase is Phase.WORKING:
            self._work(book)
        else:
            self._say(book)

    # --------------------------------------------------------------------------------------------------------- reads

    def read(self, broker_order_id: str, at: datetime, now_ns: int, *, may_infer: bool = False) -> list[Fact]:
        """The answer to a read of one order, asked now."""
        return [
            Reported(
                at=at, source=EventSource.BROKER_REPLY, heard_ns=now_ns, view=self.view(b, now_ns), may_infer=may_infer
            )
            for b in self.books
            if b.broker_order_id == broker_order_id
        ]

    def listed(self, broker_order_id: str, at: datetime, now_ns: int, *, renamed: bool) -> list[Fact]:
        """The executions of one order, as a list prints them: undone ones too, of corrections what was there before."""
        if self.lists_what_became:
            return self._became(broker_order_id, at, now_ns)
        return [
            Executed(at=at, source=EventSource.ENGINE, heard_ns=now_ns, execution=self.execution(b, t, renamed=renamed))
            for b in self.books
            for t in b.trades
            if b.broker_order_id == broker_order_id and not t.execution_id.startswith("c-")
        ]

    def _became(self, broker_order_id: str, at: datetime, now_ns: int) -> list[Fact]:
        """Only what stands, by the time of its row."""
        rows = [
            (book, trade if trade.amended is None else replace(trade, cum=trade.amended[0], time=trade.amended[1]))
            for book in self.books
            for trade in book.trades
            if book.broker_order_id == broker_order_id and trade.is_live
        ]
        return [
            Executed(at=at, source=EventSource.ENGINE, heard_ns=now_ns, execution=self.execution(book, trade))
            for book, trade in sorted(rows, key=lambda row: row[1].time)
        ]


def agrees(order: Order, model: Model, *, by_name: bool = True) -> None:
    """Assert that a record says what the books say; `by_name`: its fills go by the ids of the books."""
    live = [(f.execution_id if by_name else "", f.quantity, f.price) for f in order.fills if f.is_counted]
    assert sorted(live) == sorted((name if by_name else "", q, p) for name, (q, p) in model.live().items())
    assert order.filled_quantity == model.filled
    assert order.filled_value == sum((q * p for q, p in model.live().values()), ZERO)
    assert order.is_open == model.is_open
    assert [link.broker_order_id for link in order.links] == [b.broker_order_id for b in model.books]
    if model.is_open:
        assert order.leaves_quantity == max(model.left, ZERO)
    else:
        assert order.state == model.book.phase
        assert order.leaves_quantity == ZERO


def client_ids(model: Model) -> list[ClientOrderId]:
    return [ClientOrderId(b.client_order_id) for b in model.books]
