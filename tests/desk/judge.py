"""Judges trades from outside, by the journal's file and the venue's own books: nothing is sold twice, nothing that was
denied is sent, what is held has its stop.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as dpb
from orderd.venue.core import Venue
from orderd.venue.orders import Event, EventKind, Side, Status
from orderd.venue.orders import Order as VenueOrder
from tests.e2e.books import state_of
from tests.faults.referee import WORKING, Referee

CLOSERS = frozenset({opb.ORDER_ROLE_STOP_LOSS, opb.ORDER_ROLE_EXIT})
OVER = frozenset({dpb.TRADE_STATE_CLOSED, dpb.TRADE_STATE_NEVER_OPENED})
PROTECTION = {number: name.removeprefix("PROTECTION_") for name, number in dpb.Protection.items()}
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Held:
    """What a trade's orders come to at the venue."""

    open: Decimal
    """Entered less closed; below zero when more was closed than entered."""
    stopped: Decimal
    """What its working stops have still to execute."""
    live: Decimal
    """What all its stops and exits have still to execute."""


def _is_too_late(venue: Venue, successor: VenueOrder) -> bool:
    """Whether what it was to replace has ended first: the venue turns it down as soon as it comes to it."""
    elder = venue.state.book.get(successor.replaces) if successor.replaces else None
    return successor.status is Status.PENDING_NEW and elder is not None and not elder.is_open


class TradeReferee(Referee):
    """A referee that knows trades."""

    def __init__(self, database: Path, venues: Mapping[str, Venue]) -> None:
        """See `Referee`."""
        self.trades: dict[str, dpb.Trade] = {}
        self.trade_events: defaultdict[str, list[str]] = defaultdict(list)
        self.taken_away: defaultdict[str, Decimal] = defaultdict(lambda: NOTHING)
        """By symbol: what went although no trade closed it: busts, people, late fills. Nobody can foresee these."""
        self._seen: set[str] = set()
        self._ended: set[str] = set()
        super().__init__(database, venues)

    def _desk_event(self, sequence: int, record_id: str, event: dpb.DeskEvent) -> None:
        super()._desk_event(sequence, record_id, event)
        if event.WhichOneof("subject") == "trade":
            self.trades[record_id] = event.trade
            self.trade_events[record_id].append(dpb.DeskEventType.Name(event.type).removeprefix("DESK_EVENT_TYPE_"))

    # ------------------------------------------------------------------------------------------------ at the venue

    def _venue_says(self, venue: Venue, event: Event) -> None:
        super()._venue_says(venue, event)
        self.committed()
        order = event.order
        ours = self._order_of(venue, order)
        if ours is not None and state_of(ours) == "DENIED":
            self.breach(f"{ours.client_order_id} was denied and is at the venue")
        self._note_what_goes(venue, event, ours)
        if ours is None or ours.role not in CLOSERS:
            return
        if order.order_id not in self._seen:
            self._seen.add(order.order_id)
            self._not_twice(venue, order, "placed")
        if event.kind in {EventKind.FILL, EventKind.PARTIAL_FILL}:
            self._not_beyond(venue, event)

    def _order_of(self, venue: Venue, order: VenueOrder) -> opb.Order | None:
        root = self._root(venue, order)
        for account_id, one in self.venues.items():
            order_id = self.by_key.get((account_id, root.client_order_id)) if one is venue else None
            if order_id is not None:
                return self.told[order_id].order
        return None

    def _note_what_goes(self, venue: Venue, event: Event, ours: opb.Order | None) -> None:
        """What no trade closes in the common way may leave its stop or exit larger than what is held."""
        order = event.order
        if event.kind in {EventKind.TRADE_BUST, EventKind.TRADE_CORRECT} and event.execution is not None:
            self.taken_away[order.symbol] += venue.ledger.executions[event.previous_execution_id].quantity
        if event.kind in {EventKind.FILL, EventKind.PARTIAL_FILL} and event.execution is not None:
            before = event.position_quantity or NOTHING
            before -= event.execution.quantity * (1 if order.side is Side.BUY else -1)
            is_late = order.order_id in self._ended
            beyond = order.filled_quantity + order.base_quantity - (order.target or NOTHING)
            reduces = before * (1 if order.side is Side.BUY else -1) < 0
            is_entry = ours is not None and ours.role not in CLOSERS
            if is_late or (reduces and (ours is None or is_entry)):
                self.taken_away[order.symbol] += event.execution.quantity
            elif beyond > 0:
                self.taken_away[order.symbol] += beyond
        if not order.is_open:
            self._ended.add(order.order_id)

    def _not_twice(self, venue: Venue, order: VenueOrder, what: str) -> None:
        """All that is about to close a position is no more than the position."""
        held, live = self._of_symbol(venue, order)
        if live > max(held, NOTHING) + self.taken_away[order.symbol]:
            self.breach(f"{order.client_order_id} was {what}: {live} of {order.symbol} is being closed, {held} is held")

    def _not_beyond(self, venue: Venue, event: Event) -> None:
        order, execution = event.order, event.execution
        assert execution is not None
        after = (event.position_quantity or NOTHING) * (1 if order.side is Side.BUY else -1)
        beyond = min(after, execution.quantity)
        if order.is_open or order.status is Status.FILLED:
            beyond -= self.taken_away[order.symbol]
            if beyond > 0:
                self.breach(f"{order.client_order_id} closed {beyond} more of {order.symbol} than was held")

    def _of_symbol(self, venue: Venue, order: VenueOrder) -> tuple[Decimal, Decimal]:
        """What is held in the direction that this order closes, and what all closers of trades there have to do."""
        account = venue.state.accounts[order.account_id]
        held = account.held(order.symbol) * (1 if order.side is Side.SELL else -1)
        live = NOTHING
        for other in venue.state.book.open_of(order.account_id, order.symbol):
            ours = self._order_of(venue, other)
            is_closer = ours is not None and ours.role in CLOSERS and other.side is order.side
            if is_closer and other.status is not Status.PENDING_REPLACE and not _is_too_late(venue, other):
                live += other.leaves
        return held, live

    # --------------------------------------------------------------------------------------------------- at any moment

    def held(self, trade: dpb.Trade) -> Held:
        """A trade by the venue's books."""
        of_trade = [told.order for told in self.told.values() if told.order.trade_id == trade.trade_id]
        rows = {row.order_id: row for row in self.venues[trade.account_id].ledger.orders.values()}
        entered = closed = stopped = live = NOTHING
        executions = self.venues[trade.account_id].ledger.executions.values()
        for order in of_trade:
            names = set(order.broker_order_ids)
            done = sum((e.quantity for e in executions if e.order_id in names and e.state == "live"), NOTHING)
            if order.role not in CLOSERS:
                entered += done
                continue
            closed += done
            working = [rows[name] for name in names if rows[name].is_open]
            live += sum((row.leaves for row in working if row.status is not Status.PENDING_REPLACE), NOTHING)
            if order.role == opb.ORDER_ROLE_STOP_LOSS:
                stopped += sum((row.leaves for row in working if row.status in WORKING), NOTHING)
        return Held(open=entered - closed, stopped=stopped, live=live)

    def _waits(self, trade: dpb.Trade) -> bool:
        """Whether its policy is to wait for the rest of its entry: alarmed, and asked for."""
        entry = self.told.get(trade.entry_order_id)
        is_open = entry is not None and not entry.order.HasField("closed_time")
        return is_open and trade.on_partial == dpb.ON_PARTIAL_WAIT and trade.protection == dpb.PROTECTION_UNPROTECTED

    def _is_short(self, trade: dpb.Trade) -> bool:
        """Whether the venue holds less than the trades of its symbol say, and the trade says so: it has its alarm."""
        return bool(self.taken_away[trade.signal.symbol]) and trade.protection == dpb.PROTECTION_UNPROTECTED

    def bare(self, trade: dpb.Trade) -> str:
        """Why a trade is not as it is to be when nothing is on its way; empty when it is."""
        held = self.held(trade)
        outside = Decimal(trade.closed_outside_quantity or 0)
        about = f"trade {trade.client_trade_id} ({PROTECTION[trade.protection]}) holds {held.open - outside}"
        if trade.state in OVER or trade.protection == dpb.PROTECTION_NONE:
            return f"{about} and is over" if held.open - outside > 0 or held.live else ""
        if Decimal(trade.open_quantity or 0) != max(held.open - outside, NOTHING):
            return f"{about}, by its record {trade.open_quantity}"
        if trade.protection == dpb.PROTECTION_DISARMED or self._is_short(trade) or self._waits(trade):
            return ""
        wanted = held.open - outside
        if held.stopped == wanted or held.stopped < wanted <= held.stopped + self._elsewhere(trade):
            return ""
        if self._is_spoken_for(trade, held):
            return ""
        return f"{about}, stopped are {held.stopped}"

    def _is_spoken_for(self, trade: dpb.Trade, held: Held) -> bool:
        """Whether orders of nobody's trade have closed a part of it, and are about to close what has no stop."""
        account = next(iter(self.venues[trade.account_id].state.accounts.values()))
        there = account.held(trade.signal.symbol) * (1 if trade.signal.side == opb.SIDE_BUY else -1)
        return held.open > there > held.stopped and there <= held.stopped + self._elsewhere(trade)

    def _elsewhere(self, trade: dpb.Trade) -> Decimal:
        """What orders of nobody's trade, which rest on the side of its exit, are about to close: that is theirs."""
        venue = self.venues[trade.account_id]
        account = next(iter(venue.state.accounts.values()))
        leaves = NOTHING
        for order in venue.state.book.open_of(account.account_id, trade.signal.symbol):
            ours, closes = self._order_of(venue, order), Side.SELL if trade.signal.side == opb.SIDE_BUY else Side.BUY
            if order.side is closes and (ours is None or not (ours.trade_id or ours.role)):
                leaves += order.leaves
        return leaves
