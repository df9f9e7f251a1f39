"""Whether an order trades against a quote, and at what price. Pure."""

from decimal import Decimal
from typing import Final

import msgspec

from orderd.venue.money import ZERO
from orderd.venue.orders import Order, OrderType, Side
from orderd.venue.quotes import Quote

LOW_STOP: Final = Decimal(50)
LOW_CAP: Final = Decimal("1.04")
HIGH_CAP: Final = Decimal("1.025")


def price_for(order: Order, quote: Quote) -> Decimal | None:
    """The price at which the order trades now, dollars; None when it does not.

    Paper rule: market orders at the touch, limits when marketable, quantity is not checked against the
    quote's size (reference, section 13).
    """
    side = order.side
    if side is None or order.type is None:
        return None
    touch = quote.touch(side)
    if touch <= ZERO or _waits_for_trigger(order):
        return None
    limit = order.limit_price if order.limit_price is not None else order.cap_price
    return touch if limit is None or is_within(side, touch, limit) else None


def is_within(side: Side, price: Decimal, limit: Decimal) -> bool:
    """Whether a price is at the limit or better."""
    return price <= limit if side is Side.BUY else price >= limit


def _waits_for_trigger(order: Order) -> bool:
    return order.type in TRIGGERED_TYPES and not order.is_triggered


TRIGGERED_TYPES: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})


def is_triggering(order: Order, quote: Quote) -> bool:
    """Whether the last price reached the order's stop."""
    if order.stop_price is None or order.is_triggered or order.type not in TRIGGERED_TYPES:
        return False
    reached = quote.last
    return reached >= order.stop_price if order.side is Side.BUY else reached <= order.stop_price


def trailed(order: Order, last: Decimal) -> Order:
    """The order with its high-water mark (low-water mark for a buy) and stop moved to follow the price."""
    mark = order.high_water_mark
    if mark is None:
        mark = last
    mark = min(mark, last) if order.side is Side.BUY else max(mark, last)
    if mark == order.high_water_mark and order.stop_price is not None:
        return order
    away = order.trail_price if order.trail_price is not None else mark * (order.trail_percent or ZERO) / 100
    stop = mark + away if order.side is Side.BUY else mark - away
    return msgspec.structs.replace(order, high_water_mark=mark, stop_price=stop)


def cap_of(stop: Decimal) -> Decimal:
    """The limit a buy stop gets: 4 % above a stop below 50 dollars, else 2.5 % (reference, section 7)."""
    return stop * (LOW_CAP if stop < LOW_STOP else HIGH_CAP)


def net_price(sides: tuple[tuple[Side, Decimal, Quote], ...]) -> Decimal | None:
    """What one strategy costs at the touch: debit positive, credit negative; None when a leg has no market."""
    total = ZERO
    for side, ratio, quote in sides:
        touch = quote.touch(side)
        if touch <= ZERO:
            return None
        total += side.sign * ratio * touch
    return total
