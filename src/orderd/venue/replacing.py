"""Replace: the old order stays as it is until a successor with a new id takes its place (reference, section 10)."""

from decimal import Decimal
from functools import partial

import msgspec

from orderd.venue import lifecycle
from orderd.venue.money import ZERO
from orderd.venue.orders import Change, EventKind, Order, OrderType, Status
from orderd.venue.state import State


def request_replace(state: State, order: Order, change: Change) -> Order:
    """Promise a successor and answer it; it takes over after the replace delay, unless the old one fills first."""
    successor = _successor(state, order, change)
    state.put(successor)
    was = order.status
    held = was is Status.HELD
    order = msgspec.structs.replace(order, status=was if held else Status.PENDING_REPLACE)
    order = state.put(order)
    if state.settings.tells_pending and not held:
        state.tell(EventKind.PENDING_REPLACE, order)
    state.after(state.settings.replace_delay, partial(finish_replace, state, order.order_id, successor.order_id))
    return successor


def _successor(state: State, order: Order, change: Change) -> Order:
    trail_price, trail_percent = order.trail_price, order.trail_percent
    if change.trail is not None:
        trail_price, trail_percent = (change.trail, None) if trail_price is not None else (None, change.trail)
    successor = msgspec.structs.replace(
        order,
        order_id=state.new_id(),
        sequence=state.next_sequence(),
        client_order_id=change.client_order_id or state.new_id(),
        submitted_at=state.now,
        status=Status.PENDING_NEW,
        quantity=change.quantity if change.quantity is not None else order.quantity,
        time_in_force=change.time_in_force or order.time_in_force,
        limit_price=change.limit_price if change.limit_price is not None else order.limit_price,
        stop_price=change.stop_price if change.stop_price is not None else order.stop_price,
        trail_price=trail_price,
        trail_percent=trail_percent,
        high_water_mark=order.high_water_mark,
        replaces=order.order_id,
        # Until it takes over, the old order holds what is held.
        reserve_price=ZERO,
        filled_quantity=ZERO,
        filled_value=ZERO,
        filled_at=None,
        cancel_requested_at=None,
    )
    if order.type is OrderType.TRAILING_STOP:
        successor = msgspec.structs.replace(successor, stop_price=None)
    return msgspec.structs.replace(successor, expires_at=lifecycle.expiry(state, successor))


def finish_replace(state: State, old_id: str, new_id: str) -> None:
    """Put the successor in the old order's place, or say that the old one was faster."""
    old, new = state.book.get(old_id), state.book.get(new_id)
    if old is None or new is None or not new.is_open:
        return
    is_held = old.status is Status.HELD
    if old.status is not Status.PENDING_REPLACE and not is_held:
        _lose_the_race(state, old, new)
        return
    if new.quantity is not None and new.quantity <= old.filled_quantity:
        back = Status.PARTIALLY_FILLED if old.filled_quantity else Status.NEW
        _lose_the_race(state, state.put(msgspec.structs.replace(old, status=back)), new)
        return
    old = state.put(msgspec.structs.replace(old, status=Status.REPLACED, replaced_at=state.now, replaced_by=new_id))
    state.tell(EventKind.REPLACED, old)
    _take_over(state, old, new, is_held=is_held)


def _lose_the_race(state: State, old: Order, new: Order) -> None:
    state.tell(EventKind.ORDER_REPLACE_REJECTED, old)
    lifecycle.end(state, new, Status.REJECTED)
    lifecycle.consider(state, old)


def _take_over(state: State, old: Order, new: Order, *, is_held: bool) -> None:
    reserve = _reserve(state, old, new)
    if state.settings.carries_fills:
        new = msgspec.structs.replace(new, filled_quantity=old.filled_quantity, filled_value=old.filled_value)
    else:
        new = msgspec.structs.replace(new, base_quantity=old.base_quantity + old.filled_quantity)
    new = msgspec.structs.replace(
        new, reserve_price=reserve, is_armed=old.is_armed, leg_ids=old.leg_ids, parent_id=old.parent_id
    )
    _keep_family(state, old, new)
    if is_held:
        state.put(msgspec.structs.replace(new, status=Status.HELD))
        return
    state.put(new)
    lifecycle.route(state, new.order_id)
    routed = state.book.must(new.order_id)
    if routed.filled_quantity and routed.status is Status.NEW:
        state.put(msgspec.structs.replace(routed, status=Status.PARTIALLY_FILLED))


def _keep_family(state: State, old: Order, new: Order) -> None:
    """Legs get the new parent, a parent gets the new leg."""
    for leg in state.book.legs(old):
        units = new.quantity * leg.ratio if new.quantity is not None and leg.ratio is not None else leg.quantity
        state.put(msgspec.structs.replace(leg, parent_id=new.order_id, quantity=units))
    parent = state.book.get(old.parent_id) if old.parent_id else None
    if parent is not None:
        legs = tuple(new.order_id if each == old.order_id else each for each in parent.leg_ids)
        state.put(msgspec.structs.replace(parent, leg_ids=legs))


def _reserve(state: State, old: Order, new: Order) -> Decimal:
    if new.is_closing or new.limit_price is None or not new.symbol:  # of a strategy the legs decide what it holds
        return old.reserve_price
    return new.limit_price * state.asset(new.symbol).multiplier
