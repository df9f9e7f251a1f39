"""An order's executions: what each one covers, what is known already, what must be inferred.

An execution covers (cum - quantity, cum] of its broker order, within one bust epoch. Price and time are never
identity. Covered by a real fill: a repeat. Covered by an inferred one: it consumes that part. Free: new.
Time decides one thing only: on which side of a bust an execution was counted, because the broker counts anew after it.
What a correction made of an execution has no place of its own: its total is that of the moment of the correction.
"""

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.facts import Execution
from orderd.core.order import BrokerLink, EventSource, Fill, FillStatus, Order, PendingBust
from orderd.core.values import ZERO, FillId, Value, add, divide, multiply, subtract


class Repeat(Value, frozen=True, kw_only=True):
    """It is booked already. `fill` is None when nothing tells which fill it is. `conflicts`: same id, other content."""

    fill: Fill | None
    conflicts: bool = False
    is_new_alias: bool = False


class New(Value, frozen=True, kw_only=True):
    """It is news."""

    fill: Fill


class Undone(Value, frozen=True, kw_only=True):
    """It is news, and the broker has taken it back already."""

    fill: Fill


class Consumes(Value, frozen=True, kw_only=True):
    """It explains (part of) inferred fills: those go, it and what is left of them come. The total may not fall."""

    removed: tuple[FillId, ...]
    added: tuple[Fill, ...]
    growth: Decimal


class Overlaps(Value, frozen=True, kw_only=True):
    """It cuts across a real fill: the broker contradicts itself."""

    fill: Fill


Placement = Repeat | New | Undone | Consumes | Overlaps


def counted(order: Order, link: BrokerLink) -> list[Fill]:
    """The fills of this broker order that count."""
    return [f for f in order.fills if f.broker_order_id == link.broker_order_id and f.is_counted]


def booked_quantity(order: Order, link: BrokerLink) -> Decimal:
    """Sum of the counted fills of this broker order."""
    if len(order.links) == 1 or order.is_parent_of_legs:
        return order.filled_quantity
    return total(fill.quantity for fill in counted(order, link))


def total(values: Iterable[Decimal]) -> Decimal:
    """Their exact sum."""
    return functools.reduce(add, values, ZERO)


def next_fill_id(order: Order, offset: int = 0) -> FillId:
    """Fill ids are the order's id and a number: deterministic, so a replayed journal gives the same ids."""
    return FillId(f"{order.order_id}-f{len(order.fills) + 1 + offset}")


def place(order: Order, link: BrokerLink, execution: Execution, at: datetime, source: EventSource) -> Placement:
    """Say what this execution is to the fills already booked. Total: every execution gets an answer."""
    if order.fills:
        known = _by_alias(order, link, execution, at)
        if known is not None:
            return known
    cum = execution.cum_after if execution.cum_after is not None else _assumed_cum(order, link, execution)
    if cum is None:
        return Repeat(fill=None)
    fill = Fill(
        fill_id=next_fill_id(order),
        broker_order_id=link.broker_order_id,
        cum_after=cum,
        quantity=execution.quantity,
        price=execution.price,
        status=FillStatus.LIVE,
        source=source,
        occurred_time=execution.occurred_time,
        recorded_time=at,
        aliases=() if execution.execution_id is None else (execution.execution_id,),
        liquidity=execution.liquidity,
        fee=execution.fee,
    )
    placement = _place_among(order, link, fill) if order.fills else New(fill=fill)
    return _beside_busts(order, link, fill, placement) if order.pending_busts or link.bust_times else placement


def _beside_busts(order: Order, link: BrokerLink, fill: Fill, placement: Placement) -> Placement:
    """The same where fills were taken back, or wait to be."""
    name, own = fill.execution_id, [f for f in order.fills if f.broker_order_id == link.broker_order_id]
    if name and order.pending_busts and _is_amendment(order, name):
        # That what it was made of is not booked under an elder name, its count tells: the chain's, or this order's own.
        if _has_room(fill, order.fills, link):
            return New(fill=msgspec.structs.replace(fill, is_restated=True))
        if not _has_room(fill, own, link):
            return Repeat(fill=own[-1], conflicts=True)
    if order.pending_busts and _is_undone(order, name, placement):
        return Undone(fill=fill)
    # After a bust an interval may be counted again. Or a correction, still to come, made it of one that is booked.
    may_be_again = isinstance(placement, New) and bool(link.bust_times)
    if may_be_again and not _has_room(_as_waiting(order, fill), own, link):
        return Repeat(fill=own[-1], conflicts=True)
    return placement


def _as_waiting(order: Order, fill: Fill) -> Fill:
    """What counts of it once the correction that waits for it is applied."""
    after = [b.quantity for b in order.pending_busts if b.previous_execution_id in fill.aliases and b.quantity]
    return msgspec.structs.replace(fill, quantity=min([fill.quantity, *after])) if after else fill


def known_as(order: Order, execution_id: str | None) -> list[Fill]:
    """The fills that go by this id: those whose own it is before those that were given it, those that count first."""
    known = [f for f in order.fills if execution_id in f.aliases]
    if len(known) > 1:
        known.sort(key=lambda f: (f.execution_id != execution_id, not f.is_counted))
    return known


def amended(order: Order, waiting: PendingBust) -> Fill | None:
    """What a correction (and those that follow it) led to, when a list told it first: it may be undone again by now."""
    later: PendingBust | None = waiting
    for _ in order.pending_busts:
        if later is None or later.quantity is None or not later.execution_id:
            break
        name = later.execution_id
        found = [f for f in order.fills if f.execution_id == name]
        if found:
            return found[-1]
        later = next((b for b in order.pending_busts if b.previous_execution_id == name), None)
    return None


def _by_alias(order: Order, link: BrokerLink, execution: Execution, at: datetime) -> Repeat | None:
    """The repeat of a fill that has this id: its own, or one it was given within its bust epoch."""
    named = known_as(order, execution.execution_id)
    if not named:
        return None
    epoch = link.epoch_of(execution.occurred_time or at)
    known = [
        fill
        for fill in named
        if fill.broker_order_id == link.broker_order_id
        and (fill.execution_id == execution.execution_id or _epoch(link, fill) == epoch)
    ]
    if not known:
        return None
    if known[0].execution_id == execution.execution_id:
        known = [fill for fill in known if fill.execution_id == execution.execution_id]
    same = any(f.quantity == execution.quantity and f.price == execution.price for f in known)
    return Repeat(fill=known[0], conflicts=not same)


def _assumed_cum(order: Order, link: BrokerLink, execution: Execution) -> Decimal | None:
    """Where an execution that does not say so may lie: over what was inferred, else behind what is booked.

    None when nothing identifies it, or when the broker's own figure leaves no room: then it is told twice.
    """
    if execution.execution_id is None:
        return None
    inferred = [f for f in counted(order, link) if f.status is FillStatus.INFERRED]
    if inferred:
        first = min(inferred, key=lambda f: f.cum_after)
        return add(first.cum_before, execution.quantity)
    cum = add(booked_quantity(order, link), execution.quantity)
    return cum if not link.reported_quantity or cum <= link.reported_quantity else None


def _is_amendment(order: Order, name: str) -> bool:
    """Whether a correction that waits for its execution led to this one: a list shows executions as they became."""
    return any(
        waiting.execution_id == name != waiting.previous_execution_id and waiting.quantity is not None
        for waiting in order.pending_busts
    )


def _is_undone(order: Order, name: str, placement: Placement) -> bool:
    """Whether it was taken back, or what was made of it is booked (where it would be, too), before it was told."""
    waiting = next((b for b in order.pending_busts if b.previous_execution_id == name), None)
    if waiting is None or isinstance(placement, Consumes):
        return False
    early = amended(order, waiting)
    if isinstance(placement, Repeat):
        return early is not None and placement.fill == early
    return waiting.quantity is None or early is not None


def _epoch(link: BrokerLink, fill: Fill) -> int:
    return link.epoch_of(fill.executed_time)


def _has_room(fill: Fill, booked: Sequence[Fill], link: BrokerLink) -> bool:
    """Whether the broker's counts have room for it: after it, for what was executed before; after each later one, too.

    A correction that raised a quantity is not in what was counted before it. What a bust took back was counted until
    then: beside everything of its own epoch.
    """
    undone = [f for f in booked if f.status is FillStatus.BUSTED and f.broker_order_id == link.broker_order_id]
    known = sorted([*(f for f in booked if f.is_counted), *undone, fill], key=lambda each: each.executed_time)
    reached, taken_back, is_behind = ZERO, defaultdict[int, Decimal](Decimal), False
    for each in known:
        epoch = _epoch(link, each)
        if each in undone:
            taken_back[epoch] = add(taken_back[epoch], each.quantity)
            continue
        olds = [f.quantity for f in booked if each.is_restated and _is_in_place_of(each, f)]
        reached = add(reached, min([each.quantity, *olds]))
        is_behind = is_behind or each is fill
        if is_behind and add(reached, taken_back.get(epoch, ZERO)) > each.cum_after:
            return len(known) == 1
    return True


def _is_in_place_of(restated: Fill, fill: Fill) -> bool:
    """Whether a correction may have made it of this one: they end in one place."""
    return fill.cum_after == restated.cum_after and fill.broker_order_id == restated.broker_order_id


def _place_among(order: Order, link: BrokerLink, fill: Fill) -> Placement:
    """Busted and corrected fills keep their interval (the broker counted them then); consumed inferred ones do not."""
    low = fill.cum_before
    beyond = [f for f in order.fills if f.cum_after > low and f.broker_order_id == link.broker_order_id]
    if not beyond:
        return New(fill=fill)
    epoch = _epoch(link, fill)
    met = [f for f in beyond if f.cum_before < fill.cum_after and not f.is_restated and _epoch(link, f) == epoch]
    inferred = [f for f in met if f.status is FillStatus.INFERRED]
    real = [f for f in met if f.aliases or (f.is_counted and f not in inferred)]
    if real:
        return _among_real(order, fill, real)
    return _consume(order, fill, inferred) if inferred else New(fill=fill)


def _among_real(order: Order, fill: Fill, real: Sequence[Fill]) -> Repeat | Overlaps:
    """Exactly one known execution: that one, by another name. Within the known ones: told twice. Else: no sense."""
    for other in real:
        if other.cum_after == fill.cum_after and other.quantity == fill.quantity:
            known = _corrected_to(order, other, fill) or other
            conflicts = known.price != fill.price
            # With another price it may be what a correction made of its neighbour: its id is not this one's for sure.
            return Repeat(fill=known, conflicts=conflicts, is_new_alias=bool(fill.aliases) and not conflicts)
    reached = fill.cum_before
    for other in sorted(real, key=lambda f: f.cum_after):
        if other.cum_before > reached:
            return Overlaps(fill=other)
        reached = max(reached, other.cum_after)
    return Repeat(fill=real[0]) if reached >= fill.cum_after else Overlaps(fill=real[0])


def _corrected_to(order: Order, other: Fill, fill: Fill) -> Fill | None:
    """What a correction made of `other`, when that is what is told now: a list shows executions as they became."""
    if other.status is not FillStatus.CORRECTED:
        return None
    wanted = (fill.quantity, fill.price)
    return next((each for each in order.fills if each.is_restated and (each.quantity, each.price) == wanted), None)


def _consume(order: Order, fill: Fill, inferred: Sequence[Fill]) -> Consumes:
    """The parts of the inferred fills that `fill` does not cover stay inferred, with the rest of their value."""
    low, high = fill.cum_before, fill.cum_after
    left: list[tuple[Decimal, Decimal, Fill]] = []
    quantity, value = ZERO, ZERO
    for other in inferred:
        other_low = other.cum_before
        quantity = add(quantity, other.quantity)
        value = add(value, multiply(other.quantity, other.price))
        if other_low < low:
            left.append((other_low, low, other))
        if other.cum_after > high:
            left.append((high, other.cum_after, other))
    rest = total(subtract(b, a) for a, b, _ in left)
    consumed = subtract(quantity, rest)
    price = _price(subtract(value, multiply(consumed, fill.price)), rest, inferred[0].price)
    added = [fill]
    for a, b, other in left:
        fill_id = next_fill_id(order, len(added))
        added.append(msgspec.structs.replace(other, fill_id=fill_id, cum_after=b, quantity=subtract(b, a), price=price))
    return Consumes(
        removed=tuple(f.fill_id for f in inferred), added=tuple(added), growth=subtract(fill.quantity, consumed)
    )


def infer(
    order: Order, link: BrokerLink, at: datetime, source: EventSource, occurred: datetime | None
) -> tuple[Fill, ...]:
    """Fills for the growth nobody explained: price = (average2 * q2 - sum booked) / growth, one fill per hole.

    For an order with one broker order and no busts; empty when the broker has not told an average price.
    """
    booked = counted(order, link)
    holes = _holes(booked, link.reported_quantity)
    average = link.reported_average
    if average is None:
        return ()
    explained = total(multiply(fill.quantity, fill.price) for fill in booked)
    growth = total(subtract(b, a) for a, b in holes)
    price = _price(subtract(multiply(average, link.reported_quantity), explained), growth, average)
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
        )
        for n, (low, high) in enumerate(holes)
    )


def _holes(booked: Iterable[Fill], until: Decimal) -> list[tuple[Decimal, Decimal]]:
    holes: list[tuple[Decimal, Decimal]] = []
    reached = ZERO
    for fill in sorted(booked, key=lambda f: f.cum_after):
        low = fill.cum_before
        if low > reached:
            holes.append((reached, low))
        reached = max(reached, fill.cum_after)
    if reached < until:
        holes.append((reached, until))
    return holes


def _price(value: Decimal, quantity: Decimal, otherwise: Decimal) -> Decimal:
    """value / quantity; a broker's rounded average may leave no positive price, then the next best is taken."""
    if not quantity:
        return otherwise
    price = divide(value, quantity)
    return price if price > 0 or otherwise < 0 else otherwise
