"""The life of an order here: accepted, routed, traded, ended; and what its group does when it does so.

Statuses and events follow the reference, sections 7 and 8: pending_new, new, partial_fill ..., one end.
"""

from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Final

import msgspec

from orderd.venue import execution, matching
from orderd.venue.money import NANO, ZERO, floor_to, is_whole
from orderd.venue.orders import (
    COMPLEX,
    WORKING,
    AssetClass,
    EventKind,
    Order,
    OrderClass,
    OrderType,
    Side,
    Status,
    TimeInForce,
)
from orderd.venue.sessions import Phase
from orderd.venue.state import State

AT_ONCE: Final = frozenset({TimeInForce.IOC, TimeInForce.FOK})
UNROUTED: Final = frozenset({Status.PENDING_NEW, Status.ACCEPTED})
ENDS: Final = {
    Status.CANCELED: (EventKind.CANCELED, "canceled_at"),
    Status.EXPIRED: (EventKind.EXPIRED, "expired_at"),
    Status.REJECTED: (EventKind.REJECTED, "failed_at"),
}


def expiry(state: State, order: Order) -> datetime:
    """When the order is taken off the book by itself."""
    if order.time_in_force is TimeInForce.GTC:
        return state.sessions.gtc_end(state.now)
    return state.sessions.next_close(state.now, is_extended=order.extended_hours)


def can_trade(state: State, order: Order) -> bool:
    """Whether the order's session is on: crypto always, extended hours only when asked for."""
    if order.asset_class is AssetClass.CRYPTO:
        return True
    phase = state.phase()
    return phase is Phase.REGULAR or (phase is Phase.EXTENDED and order.extended_hours)


# --- arriving -------------------------------------------------------------------------------------


def accept(state: State, order: Order, legs: tuple[Order, ...] = ()) -> Order:
    """Take an order that passed every check onto the book and tell that it is pending."""
    state.book.announce(order)
    for leg in legs:
        state.put(leg)
    is_on = can_trade(state, order)
    status = Status.PENDING_NEW if is_on else Status.ACCEPTED
    order = state.put(msgspec.structs.replace(order, status=status))
    _plan_sweep(state, order)
    state.tell(EventKind.PENDING_NEW if is_on else EventKind.ACCEPTED, order)
    if order.type is OrderType.TRAILING_STOP and is_on:  # recorded: answered `new` at once, marks filled in
        route(state, order.order_id)
        return state.book.must(order.order_id)
    due = state.now + state.settings.route_delay
    if not is_on:
        due = max(due, state.sessions.next_open(state.now, is_extended=order.extended_hours))
    state.schedule(due, partial(route, state, order.order_id))
    return state.book.must(order.order_id)


def _plan_sweep(state: State, order: Order) -> None:
    """One look at the book for each moment at which something expires."""
    if order.expires_at is not None and order.expires_at not in state.sweeps:
        state.sweeps.add(order.expires_at)
        state.schedule(order.expires_at, partial(_sweep, state, order.expires_at))


def _sweep(state: State, due: datetime) -> None:
    state.sweeps.discard(due)
    for account_id in list(state.accounts):
        for order in state.book.open_of_account(account_id):
            if order.expires_at is not None and order.expires_at <= due:
                end_group(state, state.book.must(order.order_id), Status.EXPIRED)


def route(state: State, order_id: str) -> None:
    """Start working an order. Whole-share orders get their submission time now (recorded in 2026)."""
    order = state.book.get(order_id)
    if order is None or order.status not in UNROUTED:
        return
    moves = order.quantity is not None and is_whole(order.quantity) and order.asset_class is not AssetClass.CRYPTO
    order = msgspec.structs.replace(order, status=Status.NEW, submitted_at=state.now if moves else order.submitted_at)
    for leg in state.book.legs(order):
        if order.order_class is OrderClass.MLEG:
            state.put(msgspec.structs.replace(leg, status=Status.NEW, submitted_at=order.submitted_at))
        elif order.order_class is OrderClass.OCO:
            state.put(msgspec.structs.replace(leg, is_armed=True))
    order = state.put(_primed(state, order))
    state.tell(EventKind.NEW, order)
    consider(state, order)


def _primed(state: State, order: Order) -> Order:
    if order.type is OrderType.TRAILING_STOP:
        return matching.trailed(order, state.quote(order.symbol).last)
    return order


# --- trading --------------------------------------------------------------------------------------


def price_now(state: State, order: Order) -> Decimal | None:
    """What the order would trade at now; None when it would not."""
    if _is_halted(state, order):
        return None
    if order.order_class is not OrderClass.MLEG:
        return matching.price_for(order, state.quote(order.symbol))
    legs = state.book.legs(order)
    net = matching.net_price(tuple((leg.side or Side.BUY, leg.ratio or ZERO, state.quote(leg.symbol)) for leg in legs))
    if net is None or order.limit_price is None:
        return net
    return net if net <= order.limit_price else None  # a credit is a negative price


def _is_halted(state: State, order: Order) -> bool:
    traded = state.book.legs(order) if order.order_class is OrderClass.MLEG else (order,)
    return any(state.asset(each.symbol).is_halted for each in traded)


def quote_moved(state: State, symbol: str) -> None:
    """Look at every order that this symbol's new quote concerns."""
    for order in state.book.open_in(symbol):
        consider(state, order)


def consider(state: State, order: Order) -> None:
    """Follow the market: move trails, trigger stops, and plan a trade when the order is marketable."""
    if order.order_class is not OrderClass.MLEG and can_trade(state, order):
        order = _followed(state, order)
    if order.order_id in state.attempts or order.status not in WORKING or not state.settings.is_auto_fill:
        return
    if order.time_in_force in AT_ONCE or (can_trade(state, order) and price_now(state, order) is not None):
        _plan_attempt(state, order, is_first=not order.filled_quantity)


def _followed(state: State, order: Order) -> Order:
    is_coin = order.asset_class is AssetClass.CRYPTO
    is_on = (is_coin or state.phase() is Phase.REGULAR) and not _is_halted(state, order)
    if order.type not in matching.TRIGGERED_TYPES or not is_on:
        return order
    quote = state.quote(order.symbol)
    if order.type is OrderType.TRAILING_STOP and order.status in WORKING and not order.is_triggered:
        trailed = matching.trailed(order, quote.last)
        order = trailed if trailed is order else state.put(trailed)
    is_watched = order.status in WORKING or (order.status is Status.HELD and order.is_armed)
    if is_watched and matching.is_triggering(order, quote):
        order = _triggered(state, order)
    return order


def _triggered(state: State, order: Order) -> Order:
    cap = matching.cap_of(order.stop_price) if order.stop_price and _is_buy_stop(order) else None
    order = msgspec.structs.replace(order, is_triggered=True, cap_price=cap)
    if order.status is Status.HELD:  # the stop of a group: its brother leaves the book first
        for brother in _brothers(state, order):
            end(state, brother, Status.CANCELED)
        order = state.put(msgspec.structs.replace(order, status=Status.NEW, submitted_at=state.now))
        state.tell(EventKind.NEW, order)
        return order
    return state.put(order)


def _is_buy_stop(order: Order) -> bool:
    return order.type is OrderType.STOP and order.side is Side.BUY


def _plan_attempt(state: State, order: Order, *, is_first: bool) -> None:
    state.attempts.add(order.order_id)
    delay = state.settings.fill_delay if is_first else state.settings.refill_delay
    state.after(delay, partial(_attempt, state, order.order_id))


def _attempt(state: State, order_id: str) -> None:
    """Trade an order if it still can; an IOC or FOK order ends here either way."""
    state.attempts.discard(order_id)
    order = state.book.get(order_id)
    if order is None or order.status not in WORKING or not state.settings.is_auto_fill:
        return
    price = price_now(state, order) if can_trade(state, order) else None
    if price is not None:
        order = fill(state, order, price, _drawn_quantity(state, order, price))
    if order.time_in_force in AT_ONCE and order.is_open:
        end_group(state, order, Status.CANCELED)
    elif order.is_open and price is not None:
        consider(state, order)


def _drawn_quantity(state: State, order: Order, price: Decimal) -> Decimal | None:
    """None for all of it, or a random part (paper rule: 10 % of eligible fills are partial)."""
    is_partial = Decimal(str(state.chance.random())) < state.settings.partial_rate
    if not is_partial or order.time_in_force is TimeInForce.FOK:
        return None
    leaves = settled(order, price).leaves
    if is_whole(leaves):
        return Decimal(state.chance.randint(1, int(leaves) - 1)) if leaves > 1 else None
    part = floor_to(leaves * state.chance.randint(1, 99) / 100, NANO)
    return part or None


def settled(order: Order, price: Decimal) -> Order:
    """A notional order with the quantity that its dollars buy at this price; any other as it is."""
    if order.notional is None or order.fixed_quantity is not None:
        return order
    return msgspec.structs.replace(order, fixed_quantity=floor_to(order.notional / price, NANO))


def fill(state: State, order: Order, price: Decimal, quantity: Decimal | None = None) -> Order:
    """Trade an order at a price, all of it when no quantity is given, and let its group follow."""
    order = settled(order, price)
    quantity = order.leaves if quantity is None else quantity
    order = execution.execute(state, order, quantity, price)
    _group_follows_fill(state, order)
    return state.book.must(order.order_id)


# --- groups ---------------------------------------------------------------------------------------


def _brothers(state: State, order: Order) -> tuple[Order, ...]:
    """The other exits of the order's group that are still open (an entry is nobody's brother)."""
    if order.order_class not in COMPLEX:
        return ()
    return tuple(
        each
        for each in state.book.group(order)
        if each.order_id != order.order_id and each.is_open and not _is_entry(each)
    )


def _is_entry(order: Order) -> bool:
    return not order.parent_id and order.order_class in {OrderClass.BRACKET, OrderClass.OTO}


def _group_follows_fill(state: State, order: Order) -> None:
    if order.order_class not in COMPLEX:
        return
    if _is_entry(order):
        if order.status is Status.FILLED:
            _start_exits(state, order)
        return
    for brother in _brothers(state, order):
        if order.status is Status.FILLED:
            end(state, brother, Status.CANCELED)
        elif order.leaves:
            state.put(msgspec.structs.replace(brother, quantity=order.leaves + brother.filled_quantity))


def _start_exits(state: State, entry: Order) -> None:
    """Bracket: the take-profit works, the stop stays held but watched. One-triggers-other: the leg works."""
    for leg in state.book.legs(entry):
        if leg.status is not Status.HELD:
            continue
        if entry.order_class is OrderClass.BRACKET and leg.stop_price is not None:
            consider(state, state.put(msgspec.structs.replace(leg, is_armed=True)))
            continue
        leg = state.put(msgspec.structs.replace(leg, status=Status.NEW, submitted_at=state.now))  # noqa: PLW2901
        state.tell(EventKind.NEW, leg)
        consider(state, leg)


# --- ending ---------------------------------------------------------------------------------------


def end(state: State, order: Order, status: Status) -> Order:
    """Take one open order off the book and tell why."""
    if not order.is_open:
        return order
    kind, moment = ENDS[status]
    order = state.put(msgspec.structs.replace(order, **{"status": status, moment: state.now}))
    state.tell(kind, order)
    return order


def end_group(state: State, order: Order, status: Status) -> None:
    """End an order and, when it is part of a group, whatever of the group is still open, parent first."""
    members = state.book.group(order) if order.order_class in COMPLEX else (order,)
    if order.order_class is OrderClass.MLEG:
        for leg in state.book.legs(order):
            if leg.is_open:
                state.put(msgspec.structs.replace(leg, **{"status": status, ENDS[status][1]: state.now}))
    for member in members:
        end(state, state.book.must(member.order_id), status)


def request_cancel(state: State, order: Order) -> None:
    """Note that the order is to be cancelled; its end comes after the cancel delay, unless it fills first."""
    members = state.book.group(order) if order.order_class in COMPLEX else (order,)
    for member in members:
        if member.is_open and member.status is not Status.HELD:
            pending = state.put(
                msgspec.structs.replace(member, status=Status.PENDING_CANCEL, cancel_requested_at=state.now)
            )
            if state.settings.tells_pending:
                state.tell(EventKind.PENDING_CANCEL, pending)
    state.after(state.settings.cancel_delay, partial(finish_cancel, state, order.order_id))


def finish_cancel(state: State, order_id: str) -> None:
    """Cancel now, or say that the order was faster."""
    order = state.book.get(order_id)
    if order is None:
        return
    group = state.book.group(order) if order.order_class in COMPLEX else (order,)
    if not any(each.is_open for each in group):
        if order.cancel_requested_at is not None and order.status is Status.FILLED:
            state.tell(EventKind.ORDER_CANCEL_REJECTED, order)
        return
    end_group(state, order, Status.CANCELED)
