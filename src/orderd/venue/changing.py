"""Whether an order may still be cancelled or replaced (reference, sections 6, 7 and 10)."""

from decimal import Decimal
from typing import Final

from orderd.venue import checks, form, means
from orderd.venue.accounts import Account
from orderd.venue.asking import invalid
from orderd.venue.assets import Asset
from orderd.venue.money import ZERO, is_whole
from orderd.venue.orders import COMPLEX, Change, Order, OrderType, Reason, Refused, Status
from orderd.venue.state import State

REPLACEABLE: Final = frozenset({Status.NEW, Status.PARTIALLY_FILLED, Status.HELD, Status.DONE_FOR_DAY})
UNSENT: Final = frozenset({Status.ACCEPTED, Status.PENDING_NEW})
NOT_CANCELABLE: Final = frozenset({Status.PENDING_CANCEL, Status.PENDING_REPLACE})


def cancelable(state: State, order: Order) -> Refused | None:
    """A cancel of something that ended, or has a request under way, is refused naming its state."""
    family = state.book.group(order) if order.order_class in COMPLEX else (order,)
    is_over = not any(each.is_open for each in family) if order.parent_id == "" else not order.is_open
    if is_over or order.status in NOT_CANCELABLE:
        return Refused(reason=Reason.NOT_CANCELABLE, details={"status": order.status.value})
    return None


def replaceable(state: State, account: Account, order: Order, change: Change) -> Refused | None:
    """The first reason against a replace, or None."""
    refused = checks.client_id(state, account, change.client_order_id)
    if refused is not None:
        return refused
    if order.status in UNSENT:
        return Refused(reason=Reason.NOT_SENT_YET)
    if order.status not in REPLACEABLE:
        return Refused(reason=Reason.NOT_OPEN)
    if order.notional is not None:
        return invalid("unable to replace order, notional orders cannot be replaced")
    return _fields(state, order, change) or _size(state, account, order, change)


def _fields(state: State, order: Order, change: Change) -> Refused | None:
    if change.limit_price is not None and order.type not in form.PRICED:
        return invalid(f"{order.type} order has no limit_price to replace")
    if change.stop_price is not None and order.type not in form.STOPPED:
        return invalid(f"{order.type} order has no stop_price to replace")
    if change.trail is not None and (order.type is not OrderType.TRAILING_STOP or change.trail <= 0):
        return invalid("trail must be > 0 and is for trailing_stop orders only")
    asset = state.assets.find(order.symbol)
    if asset is not None:
        bad = form.price_step(asset, "stop_price", change.stop_price) or _limit_step(asset, change)
        if bad is not None:
            return bad
    return Refused(reason=Reason.UNCHANGED) if _is_same(order, change) else None


def _limit_step(asset: Asset, change: Change) -> Refused | None:
    return form.price_step(asset, "limit_price", change.limit_price)


def _is_same(order: Order, change: Change) -> bool:
    trail = order.trail_price if order.trail_price is not None else order.trail_percent
    pairs = (
        (change.quantity, order.quantity),
        (change.time_in_force, order.time_in_force),
        (change.limit_price, order.limit_price),
        (change.stop_price, order.stop_price),
        (change.trail, trail),
    )
    return all(wanted is None or wanted == has for wanted, has in pairs)


def _size(state: State, account: Account, order: Order, change: Change) -> Refused | None:
    """The quantity is the chain's total; it must exceed what is filled, be covered, and be paid for."""
    has = order.quantity or ZERO
    wanted = change.quantity if change.quantity is not None else has
    if change.quantity is not None and change.quantity != has and not (is_whole(has) and is_whole(wanted)):
        return invalid("unable to replace order, fractional qty cannot be changed")
    if wanted <= order.filled_quantity + order.base_quantity:
        return Refused(reason=Reason.BELOW_FILLED)
    more = wanted - has
    if order.is_closing and more > 0:
        return means.not_enough(state, account, order.symbol, more)
    return _cost(state, account, order, wanted, change.limit_price)


def _cost(state: State, account: Account, order: Order, wanted: Decimal, limit: Decimal | None) -> Refused | None:
    if order.is_closing or not order.reserve_price or order.asset_class is None:
        return None
    unit = order.reserve_price
    if limit is not None:
        unit = limit * state.asset(order.symbol).multiplier
    more = wanted * unit - (order.quantity or ZERO) * order.reserve_price
    return means.affordable(state, account, order.asset_class, more) if more > 0 else None
