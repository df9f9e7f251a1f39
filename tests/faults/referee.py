"""Safety, judged after every step and from outside: from the journal's file and the venues' own books, never from what
the engine says of itself.

At each commit, before anybody hears of it: the new events follow the old ones without a gap, each order is the fold of
its events, no fill is booked that no venue executed. At each request, before it lands: its record is in the file. At
each word of a venue: no intent works there twice.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as dpb
from orderd.brokers.alpaca.client import Request
from orderd.core.keys import replace_key
from orderd.core.values import OrderId
from orderd.venue.core import Venue
from orderd.venue.orders import Event, Status
from orderd.venue.orders import Order as VenueOrder
from tests.e2e.books import COUNTED, plain, state_of
from tests.e2e.raw import ORDER_EVENT
from tests.engine.seams import Watcher
from tests.faults.situations import situations

OPEN = frozenset({"CREATED", "SUBMITTED", "UNKNOWN", "ACCEPTED", "PARTIALLY_FILLED"})
BROKERS_WORDS = frozenset({"ACCEPTED", "PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "REJECTED"})
MAY_FOLLOW: dict[str, frozenset[str]] = {
    "": frozenset({"CREATED", "SUBMITTED", "ACCEPTED", "CANCELED", "EXPIRED", "REJECTED", "REPLACED"}),
    "CREATED": frozenset({"SUBMITTED", "DENIED", "CANCELED", "SUBMIT_FAILED", "UNKNOWN"}),
    "SUBMITTED": BROKERS_WORDS | {"UNKNOWN", "SUBMIT_FAILED"},
    "UNKNOWN": BROKERS_WORDS | {"SUBMITTED", "SUBMIT_FAILED"},
    "ACCEPTED": frozenset({"PARTIALLY_FILLED", "FILLED", "CANCELED", "EXPIRED", "REJECTED"}),
    "PARTIALLY_FILLED": frozenset({"FILLED", "CANCELED", "EXPIRED", "ACCEPTED"}),
}
"""What may follow what, by the page about the life of an order. An end is left only by a broker's proof."""
WORKING = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.PENDING_CANCEL, Status.PENDING_REPLACE})
RESTATES = frozenset({"trade_bust", "trade_correct"})
EVENTS = "SELECT sequence, kind, order_id, body FROM order_events WHERE sequence > ? ORDER BY sequence"
TO_A_COMMIT_S = 3.0
"""What was heard this long before a death is in the journal, however slow the disk; of an order that nobody knew, when
it had been read by then."""


class _Frame(msgspec.Struct):
    """The part of a stream's message that says what was taken back."""

    class Data(msgspec.Struct):
        event: str = ""
        previous_execution_id: str = ""
        order: dict[str, Any] = {}

    data: Data


@dataclass
class Told:
    """One order as its events tell it."""

    event: opb.OrderEvent
    fills: dict[str, opb.Fill] = field(default_factory=dict)
    replaces: int = 0

    @property
    def order(self) -> opb.Order:
        """The order as of its last event."""
        return self.event.order


class Referee(Watcher):
    """Keeps its own books of everything that is committed, and notes what must not be."""

    def __init__(self, database: Path, venues: Mapping[str, Venue]) -> None:
        """Begin with an empty journal and venues where nothing was traded."""
        self.database = database
        self.venues = venues
        self.breaches: list[str] = []
        self.situations: Counter[str] = Counter()
        self.told: dict[str, Told] = {}
        self.records: dict[str, bytes] = {}
        """What the desk remembers, as its last event tells it."""
        self.differing: dict[str, bpb.Discrepancy] = {}
        self.by_key: dict[tuple[str, str], str] = {}
        self.by_broker_id: dict[str, str] = {}
        self.head = 0
        self.heard_restatements: set[str] = set()
        """Executions whose bust or correction must be in the journal."""
        self._just_heard: list[tuple[float, set[str], str]] = []
        """When, of which order (by both of its ids), which execution."""
        self._reader: sqlite3.Connection | None = None
        self._replace_keys: dict[str, str] = {}
        self._sent: Counter[str] = Counter()
        self._roots: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._working: defaultdict[str, set[str]] = defaultdict(set)
        for venue in venues.values():
            venue.subscribe(lambda event, venue=venue: self._venue_says(venue, event))  # type: ignore[misc]

    def breach(self, text: str) -> None:
        """Note what must not be."""
        self.breaches.append(text)

    def close(self) -> None:
        """Let go of the file."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    # ------------------------------------------------------------------------------------------------ what is committed

    def committed(self) -> None:
        """Read on in the file, as another process would."""
        if self._reader is None:
            self._reader = sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True, isolation_level=None)
        for sequence, kind, about, body in self._reader.execute(EVENTS, (self.head,)).fetchall():
            if sequence != self.head + 1:
                self.breach(f"sequence {sequence} follows {self.head}")
            self.head = sequence
            if kind == ORDER_EVENT:
                self._event(opb.OrderEvent.FromString(body))
            else:
                self._desk_event(sequence, about, dpb.DeskEvent.FromString(body))

    def _desk_event(self, sequence: int, record_id: str, event: dpb.DeskEvent) -> None:
        """It stands where it says, and its record is as of it."""
        if event.sequence != sequence:
            self.breach(f"desk event {sequence} calls itself {event.sequence}")
        subject = event.WhichOneof("subject")
        if subject is None:
            self.breach(f"desk event {sequence} is about nothing")
        elif subject == "discrepancy":
            self.differing[record_id] = event.discrepancy
        else:
            record = getattr(event, subject)
            if record.sequence != sequence:
                self.breach(f"desk event {sequence}: its {subject} is as of {record.sequence}")
            self.records[record_id] = record.SerializeToString(deterministic=True)

    def _event(self, event: opb.OrderEvent) -> None:
        order_id, order = event.order_id, event.order
        known = self.told.get(order_id)
        before = known.event if known is not None else opb.OrderEvent()
        about = f"event {event.sequence} of {order.client_order_id or order.broker_client_reference} {order_id}"
        if event.version != before.version + 1 or event.from_status != before.to_status:
            self.breach(f"{about}: version {event.version} follows {before.version}")
        if (order.status, order.version, order.order_id) != (event.to_status, event.version, order_id):
            self.breach(f"{about}: it carries another order")
        if list(order.broker_order_ids[: len(before.order.broker_order_ids)]) != list(before.order.broker_order_ids):
            self.breach(f"{about}: a broker id was taken from its chain")
        told = self.told[order_id] = known or Told(event)
        self._follows(about, before, event)
        self.situations.update(situations(event, before, told.fills))
        told.event = event
        for fill in (*event.other_fills, *((event.fill,) if event.HasField("fill") else ())):
            told.fills[fill.fill_id] = fill
        self._index(told)
        self._fold(about, told)

    def _follows(self, about: str, before: opb.OrderEvent, event: opb.OrderEvent) -> None:
        was = "" if not before.order_id else state_of(before.order)
        now = state_of(event.order)
        if was == now:
            return
        if was and was not in OPEN:
            if not event.order.broker_order_ids:
                self.breach(f"{about}: {was} became {now} without a broker's word")
        elif now not in MAY_FOLLOW[was]:
            self.breach(f"{about}: {was} became {now}")

    def _index(self, told: Told) -> None:
        order, event = told.order, told.event
        if order.client_order_id and not order.parent_order_id:
            self.by_key[order.account_id, order.client_order_id] = order.order_id
        for broker_order_id in order.broker_order_ids:
            if self.by_broker_id.setdefault(broker_order_id, order.order_id) != order.order_id:
                self.breach(f"{broker_order_id} is of two orders: {order.order_id}")
        if event.type == opb.ORDER_EVENT_TYPE_REPLACE_REQUESTED:
            told.replaces += 1
            self._replace_keys[replace_key(OrderId(order.order_id), told.replaces)] = order.order_id

    def _fold(self, about: str, told: Told) -> None:
        """The totals are those of its fills, and each fill is an execution of the venue's."""
        order = told.order
        self._figures(about, order)
        if order.order_class == opb.ORDER_CLASS_MULTILEG and not order.parent_order_id:
            return
        filled = Decimal(order.filled_quantity or 0)
        counted = [fill for fill in told.fills.values() if fill.status in COUNTED]
        if sum((Decimal(fill.quantity) for fill in counted), Decimal(0)) != filled:
            self.breach(f"{about}: filled {filled}, its fills say {[fill.quantity for fill in counted]}")
        names = [fill.execution_id for fill in counted if fill.execution_id]
        if len(set(names)) != len(names):
            self.breach(f"{about}: an execution is booked twice: {names}")
        if told.event.HasField("fill"):
            self._executed(about, told.event.fill)

    def _figures(self, about: str, order: opb.Order) -> None:
        is_open = state_of(order) in OPEN
        if is_open is order.HasField("closed_time"):
            self.breach(f"{about}: {state_of(order)} with closing time {order.closed_time}")
        if not is_open and (order.pending_cancel or order.pending_replace):
            self.breach(f"{about}: something is pending on an end")
        filled = Decimal(order.filled_quantity or 0)
        if order.quantity:
            leaves = max(Decimal(order.quantity) - filled, Decimal(0)) if is_open else Decimal(0)
            if Decimal(order.leaves_quantity or 0) != leaves:
                self.breach(f"{about}: leaves {order.leaves_quantity}, not {leaves}")

    def _executed(self, about: str, fill: opb.Fill) -> None:
        venue = self.venues[fill.account_id]
        execution = venue.ledger.executions.get(fill.execution_id)
        if execution is None:
            if fill.status != opb.FILL_STATUS_INFERRED and fill.execution_id:
                self.breach(f"{about}: no venue made execution {fill.execution_id}")
            return
        ours = (fill.broker_order_id, fill.quantity, fill.price)
        theirs = (execution.order_id, plain(str(execution.quantity)), plain(str(execution.price)))
        if ours != theirs:
            self.breach(f"{about}: booked {ours}, executed {theirs}")

    def check_file(self) -> None:
        """State and events are one transaction: the orders and fills in the file are what the events say."""
        self.committed()
        with closing(sqlite3.connect(f"{self.database.as_uri()}?mode=ro", uri=True)) as reader:
            orders = dict(reader.execute("SELECT order_id, body FROM orders").fetchall())
            fills = dict(reader.execute("SELECT fill_id, body FROM fills").fetchall())
            records = dict(reader.execute("SELECT record_id, body FROM desk_records").fetchall())
            differing = dict(reader.execute("SELECT discrepancy_id, resolved_us FROM discrepancies").fetchall())
        if records != self.records:
            self.breach("the rows of the desk's records are not what their events say")
        if {name: us is not None for name, us in differing.items()} != {
            name: record.HasField("resolved_time") for name, record in self.differing.items()
        }:
            self.breach("the discrepancies are not what their events say")
        if orders.keys() != self.told.keys():
            self.breach(f"rows without events, or events without rows: {sorted(orders.keys() ^ self.told.keys())}")
        for order_id, told in self.told.items():
            row = opb.Order.FromString(orders.get(order_id, b""))
            row.sequence = told.order.sequence
            if row != told.order:
                self.breach(f"{order_id}: its row is not what its last event says")
        kept = {fill_id: opb.Fill.FromString(body) for fill_id, body in fills.items()}
        said = {fill_id: fill for told in self.told.values() for fill_id, fill in told.fills.items()}
        if {f: (x.status, x.quantity, x.price) for f, x in kept.items()} != {
            f: (x.status, x.quantity, x.price) for f, x in said.items()
        }:
            self.breach("the rows of the fills are not what the events say")

    # ----------------------------------------------------------------------------------------------------- what is sent

    def sending(self, account_id: str, request: Request) -> None:
        """Nothing reaches a venue that is not in the file."""
        if request.method == "GET":
            return
        self.committed()
        match request.method:
            case "POST":
                self._submitting(account_id, request)
            case "PATCH":
                self._replacing(request)
            case "DELETE":
                name = request.path.rpartition("/")[2]
                told = self.told.get(self.by_broker_id.get(name, ""))
                if told is None or not (told.order.pending_cancel or told.order.HasField("closed_time")):
                    self.breach(f"a cancel of {name} was sent that nobody had asked for")
            case _:
                self.breach(f"{request.method} {request.path} was sent")

    def _submitting(self, account_id: str, request: Request) -> None:
        name = msgspec.json.decode(request.body or b"{}")["client_order_id"]
        order_id = self.by_key.get((account_id, name))
        if order_id is None or state_of(self.told[order_id].order) != "SUBMITTED":
            self.breach(f"{name} was sent before it was recorded as sent")
            return
        legs = [told.order for told in self.told.values() if told.order.parent_order_id == order_id]
        # A leg may be known to work already: the send before this one was answered "not taken", and a list shows it.
        if any(state_of(leg) == "CREATED" for leg in legs):
            self.breach(f"{name} was sent before its legs were recorded as sent")
        self._sent[name] += 1
        if self._sent[name] > 1:
            self.situations["sent again"] += 1
        venue = self.venues[account_id]
        there = [a for a in venue.state.accounts if venue.state.book.by_client_id(a, name) is not None]
        if there:
            self.situations["sent again although it was there"] += 1

    def _replacing(self, request: Request) -> None:
        name = msgspec.json.decode(request.body or b"{}").get("client_order_id", "")
        if name not in self._replace_keys:
            self.breach(f"replace {name} was sent before it was recorded")
        self._sent[name] += 1
        if self._sent[name] > 1:
            self.breach(f"replace {name} was sent twice")

    # ------------------------------------------------------------------------------------------------- what is executed

    def _venue_says(self, venue: Venue, event: Event) -> None:
        order = event.order
        root = self._root(venue, order)
        if not root.parent_id:
            names = self._roots[root.account_id, root.client_order_id]
            names.add(root.order_id)
            if len(names) > 1:
                self.breach(f"{root.client_order_id} is two orders at the venue: {sorted(names)}")
        working = self._working[root.order_id]
        if order.status in WORKING:
            working.add(order.order_id)
        else:
            working.discard(order.order_id)
        if len(working) > 1:
            self.breach(f"{root.client_order_id} works twice at the venue: {sorted(working)}")

    def _root(self, venue: Venue, order: VenueOrder) -> VenueOrder:
        while order.replaces and (elder := venue.ledger.orders.get(order.replaces)) is not None:
            order = elder
        return order

    # --------------------------------------------------------------------------------------------------- what is heard

    def heard(self, data: bytes) -> None:
        """Busts and corrections are told once: what was heard must be booked."""
        if b"trade_bust" not in data and b"trade_correct" not in data:
            return
        try:
            frame = msgspec.json.decode(data, type=_Frame)
        except msgspec.DecodeError:
            return
        if frame.data.event in RESTATES:
            names = {str(frame.data.order.get(key) or "") for key in ("id", "client_order_id")}
            self._just_heard.append((self.now(), names, frame.data.previous_execution_id))

    @staticmethod
    def now() -> float:
        """Virtual seconds."""
        return asyncio.get_running_loop().time()

    def settle_hearing(self, *, is_dead: bool) -> None:
        """A process has ended: what it had heard just then is lost. Or it lives, and all it heard must be there."""
        end = self.now() - TO_A_COMMIT_S
        known = self.by_broker_id.keys() | {key for _, key in self.by_key}
        due = [(order, name) for at, order, name in self._just_heard if at < end]
        self.heard_restatements |= {name for order, name in due if not is_dead or order & known}
        self._just_heard = [] if is_dead else [each for each in self._just_heard if each[0] >= end]

    # ---------------------------------------------------------------------------------------------------------- reading

    def unsettled(self) -> list[str]:
        """Orders whose outcome is not known, or on which something is pending."""
        return [
            f"{told.order.client_order_id or order_id} {order_id} is {state_of(told.order)}"
            f"{' pending cancel' * told.order.pending_cancel}{' pending replace' * told.order.pending_replace}"
            for order_id, told in self.told.items()
            if state_of(told.order) in {"UNKNOWN", "CREATED"} or told.order.pending_cancel or told.order.pending_replace
        ]

    def orders(self) -> Iterable[opb.Order]:
        """Every order as of its last event."""
        return [told.order for told in self.told.values()]

    def fills(self, order_id: str) -> list[opb.Fill]:
        """The fills of an order, in the order of their booking."""
        return list(self.told[order_id].fills.values())
