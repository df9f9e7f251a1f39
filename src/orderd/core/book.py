"""An order's executions: what each one covers, what is known already, what must be inferred.

An execution covers (cum - quantity, cum] of its broker order, within one bust epoch. Price and time are never
identity. Covered by a real fill: a repeat. Covered by an inferred one: it consumes that part. Free: new.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.facts import Execution
from orderd.core.order import BrokerLink, EventSource, Fill, FillStatus, Order
from orderd.core.values import ZERO, FillId, Value, add, divide, multiply, subtract


class Repeat(Value, frozen=True, kw_only=True):
    """It is booked already. `fill` is None when it lies below the bust base. `conflicts`: same id, other content."""

    fill: Fill | None
    conflicts: bool = False
    is_new_alias: bool = False


class New(Value, frozen=True, kw_only=True):
    """It is news."""

    fill: Fill


class Consumes(Value, frozen=True, kw_only=True):
    """It explains (part of) inferred fills: those go, it and what is left of them come. The total may not fall."""

    removed: tuple[FillId, ...]
    added: tuple[Fill, ...]


class Overlaps(Value, frozen=True, kw_only=True):
    """It cuts across a real fill: the broker contradicts itself."""

    fill: Fill


Placement = Repeat | New | Consumes | Overlaps


def counted(order: Order, link: BrokerLink) -> list[Fill]:
    """The fills of this broker order that count, in its current epoch and before."""
    return [f for f in order.fills if f.broker_order_id == link.broker_order_id and f.is_counted]


def booked_quantity(order: Order, link: BrokerLink) -> Decimal:
    """Sum of the counted fills of this broker order."""
    total = ZERO
    for fill in order.fills:
        if fill.broker_order_id == link.broker_order_id and fill.is_counted:
            total = add(total, fill.quantity)
    return total


def next_fill_id(order: Order, offset: int = 0) -> FillId:
    """Fill ids are the order's id and a number: deterministic, so a replayed journal gives the same ids."""
    return FillId(f"{order.order_id}-f{len(order.fills) + 1 + offset}")


def place(order: Order, link: BrokerLink, execution: Execution, at: datetime, source: EventSource) -> Placement:
    """Say what this execution is to the fills already booked. Total: every execution gets an answer."""
    known = _by_alias(order, execution)
    if known is not None:
        same = known.quantity == execution.quantity and known.price == execution.price
        return Repeat(fill=known, conflicts=not same)
    cum = execution.cum_after
    if cum is None:
        cum = add(booked_quantity(order, link), execution.quantity)
    fill = Fill(
        fill_id=next_fill_id(order),
        broker_order_id=execution.broker_order_id,
        cum_after=cum,
        quantity=execution.quantity,
        price=execution.price,
        status=FillStatus.LIVE,
        source=source,
        occurred_time=execution.occurred_time,
        recorded_time=at,
        epoch=link.epoch,
        aliases=() if execution.execution_id is None else (execution.execution_id,),
        liquidity=execution.liquidity,
        fee=execution.fee,
    )
    if not order.fills:
        return New(fill=fill)
    return _place_among(order, link, fill)


def _by_alias(order: Order, execution: Execution) -> Fill | None:
    if execution.execution_id is None:
        return None
    for fill in order.fills:
        if execution.execution_id in fill.aliases and fill.broker_order_id == execution.broker_order_id:
            return fill
    return None


def _place_among(order: Order, link: BrokerLink, fill: Fill) -> Placement:
    low, high = subtract(fill.cum_after, fill.quantity), fill.cum_after
    if high <= link.base:
        return Repeat(fill=None)
    inferred: list[Fill] = []
    for other in counted(order, link):
        if other.epoch != link.epoch:
            continue
        other_low = subtract(other.cum_after, other.quantity)
        if other.cum_after <= low or other_low >= high:
            continue
        if other.status is FillStatus.INFERRED:
            inferred.append(other)
        elif (other_low, other.cum_after) == (low, high):
            return Repeat(fill=other, conflicts=other.price != fill.price, is_new_alias=bool(fill.aliases))
        elif other_low <= low and high <= other.cum_after:
            return Repeat(fill=other)
        else:
            return Overlaps(fill=other)
    if not inferred:
        return New(fill=fill)
    return _consume(order, fill, inferred)


def _consume(order: Order, fill: Fill, inferred: list[Fill]) -> Consumes:
    """The parts of the inferred fills that `fill` does not cover stay inferred, with the rest of their value."""
    low, high = subtract(fill.cum_after, fill.quantity), fill.cum_after
    left: list[tuple[Decimal, Decimal, Fill]] = []
    value = ZERO
    consumed = ZERO
    for other in inferred:
        other_low = subtract(other.cum_after, other.quantity)
        value = add(value, multiply(other.quantity, other.price))
        consumed = add(consumed, subtract(min(high, other.cum_after), max(low, other_low)))
        if other_low < low:
            left.append((other_low, low, other))
        if other.cum_after > high:
            left.append((high, other.cum_after, other))
    rest_quantity = sum((subtract(b, a) for a, b, _ in left), ZERO)
    rest_price = ZERO
    if rest_quantity:
        rest_price = divide(subtract(value, multiply(consumed, fill.price)), rest_quantity)
    added = [fill]
    for a, b, other in left:
        added.append(
            msgspec.structs.replace(
                other, fill_id=next_fill_id(order, len(added)), cum_after=b, quantity=subtract(b, a), price=rest_price
            )
        )
    return Consumes(removed=tuple(f.fill_id for f in inferred), added=tuple(added))


def infer(
    order: Order, link: BrokerLink, at: datetime, source: EventSource, occurred: datetime | None
) -> tuple[Fill, ...]:
    """Fills for the growth nobody explained: price = (average2 * q2 - sum booked) / growth, one fill per hole."""
    booked = sorted(counted(order, link), key=lambda f: f.cum_after)
    holes = _holes(booked, link)
    total = sum((subtract(b, a) for a, b in holes), ZERO)
    if not total or link.reported_average is None:
        return ()
    explained = ZERO
    for fill in booked:
        explained = add(explained, multiply(fill.quantity, fill.price))
    price = divide(subtract(multiply(link.reported_average, link.reported_quantity), explained), total)
    return tuple(
        Fill(
            fill_id=next_fill_id(order, n),
            broker_order_id=link.broker_order_id,
            cum_after=high,
            quantity=subtract(high, low),
            price=price,
            status=FillStatus.INFERRED,
            source=source,
            occurred_time=occurred,
            recorded_time=at,
            epoch=link.epoch,
        )
        for n, (low, high) in enumerate(holes)
    )


def _holes(booked: Iterable[Fill], link: BrokerLink) -> list[tuple[Decimal, Decimal]]:
    holes: list[tuple[Decimal, Decimal]] = []
    reached = link.base
    for fill in booked:
        if fill.epoch != link.epoch:
            continue
        low = subtract(fill.cum_after, fill.quantity)
        if low > reached:
            holes.append((reached, low))
        reached = max(reached, fill.cum_after)
    if reached < link.reported_quantity:
        holes.append((reached, link.reported_quantity))
    return holes
