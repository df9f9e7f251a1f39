"""Executions that a broker takes back or restates.

Rule 1: the old fill stays, marked; totals are what still counts; the order is read again before its state is believed.
Rule 2: a bust or correction that overtakes its fill waits, and is applied in the breath in which the fill comes.
Rule 3: after a bust, or a correction of quantity, the broker counts anew: a bust epoch begins at the broker's time.
What was inferred from its old count is taken back: its executions are asked for again. The epoch is that of every later
broker order of the chain, too: a successor's figure may carry what was executed under its elders.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.book import amended, booked_quantity, counted, known_as, next_fill_id, total
from orderd.core.events import FillBusted, FillCorrected, Restated
from orderd.core.facts import Executed, ExecutionBusted, ExecutionCorrected, Reported
from orderd.core.order import BrokerLink, Fill, FillStatus, Order, OrderState, PendingBust, Phase
from orderd.core.settle import state_after_fill
from orderd.core.table import Move
from orderd.core.values import ExecutionId, FillId, add, subtract
from orderd.core.verdicts import Draft, NeedKind, Stale, Verdict

Restating = Reported | Executed | ExecutionBusted | ExecutionCorrected


def judge_bust(order: Order, fact: ExecutionBusted) -> Verdict:
    """The broker undid an execution: the fill stays, marked; totals are restated; the order is read again."""
    waiting = PendingBust(
        previous_execution_id=fact.previous_execution_id,
        execution_id=fact.execution_id,
        broker_time=fact.broker_time or fact.at,
    )
    return _restatement(order, waiting, fact)


def judge_correction(order: Order, fact: ExecutionCorrected) -> Verdict:
    """The broker changed an execution: the old fill is marked CORRECTED and a LIVE one is added."""
    waiting = PendingBust(
        previous_execution_id=fact.previous_execution_id,
        execution_id=fact.execution_id,
        quantity=fact.quantity if fact.quantity > 0 else None,
        price=fact.price,
        broker_time=fact.broker_time or fact.at,
    )
    return _restatement(order, waiting, fact)


def apply_waiting(draft: Draft, fill: Fill, fact: Restating) -> None:
    """Apply what overtook this fill."""
    for waiting in draft.order.pending_busts:
        if waiting.previous_execution_id in fill.aliases:
            _apply(draft, fill, waiting, fact)
            return


def undo(draft: Draft, link: BrokerLink, fill: Fill, fact: Restating) -> None:
    """Book an execution that had been taken back before it was told: it is in the trail and counts for nothing."""
    waiting = next(b for b in draft.order.pending_busts if b.previous_execution_id in fill.aliases)
    if waiting.quantity is not None:
        _supersede(draft, link, fill, waiting, fact)
        return
    moment = waiting.broker_time
    link = _begin(draft, link, moment, fact)
    draft.add(
        FillBusted(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=moment,
            link=link,
            removed=(fill.fill_id,),
            added=(msgspec.structs.replace(fill, fill_id=next_fill_id(draft.order)),),
            to_state=draft.order.state,
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)


def _supersede(draft: Draft, link: BrokerLink, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    """Book an execution that was corrected, behind what became of it: it is in the trail, and lends it its place."""
    order = draft.order
    early = amended(order, waiting)
    is_next = early is None or early.execution_id == waiting.execution_id
    misplaced = [early] if early is not None and is_next and not early.is_restated else []
    if waiting.quantity != fill.quantity:
        link = _begin(draft, link, waiting.broker_time, fact)
    old = msgspec.structs.replace(fill, fill_id=next_fill_id(order), status=FillStatus.CORRECTED)
    moved = [_moved(f, old, next_fill_id(order, 1)) for f in misplaced if f.is_counted]
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=waiting.broker_time,
            link=link,
            removed=tuple(f.fill_id for f in misplaced if f.is_counted),
            misplaced=tuple(f.fill_id for f in misplaced),
            added=(old, *moved),
            to_state=order.state,
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)
    if not is_next:  # it was corrected more than once
        undo(draft, link, _as_corrected(fill, waiting), fact)


def _moved(fill: Fill, place: Fill, fill_id: FillId) -> Fill:
    placed = msgspec.structs.replace(fill, cum_after=place.cum_after, occurred_time=place.occurred_time)
    return msgspec.structs.replace(placed, fill_id=fill_id, is_restated=True, aliases=fill.aliases[:1])


def _restatement(order: Order, waiting: PendingBust, fact: ExecutionBusted | ExecutionCorrected) -> Verdict:
    draft = Draft(order)
    fill = _meant(order, waiting)
    if fill is None:
        _remember(draft, waiting, fact)
    elif fill.is_counted:
        _apply(draft, fill, waiting, fact)
    else:
        return Stale()
    return draft.verdict()


def _meant(order: Order, waiting: PendingBust) -> Fill | None:
    """The fill it names: by its own id, or by one it was given, unless that was another one's (busts can cause it)."""
    return next((f for f in known_as(order, waiting.previous_execution_id) if _is_meant(order, f, waiting)), None)


def _is_meant(order: Order, fill: Fill, waiting: PendingBust) -> bool:
    if fill.execution_id == waiting.previous_execution_id:
        return True
    if not fill.is_counted:  # undone by this very word, or before it by another
        return waiting.broker_time in _link_of(order, fill).bust_times
    return fill.executed_time <= waiting.broker_time


def _remember(draft: Draft, waiting: PendingBust, fact: ExecutionBusted | ExecutionCorrected) -> None:
    """Keep it until its fill comes. Where the broker order is known, its epoch begins already."""
    order = draft.order
    if any(b.previous_execution_id == waiting.previous_execution_id for b in order.pending_busts):
        return
    link = order.link(fact.broker_order_id) or (order.links[0] if len(order.links) == 1 else None)
    if link is not None:
        link = _begin(draft, link, waiting.broker_time, fact)
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=link,
            to_state=draft.order.state,
            pending_bust=waiting,
        )
    )
    if link is not None:
        draft.need(NeedKind.ORDER, link.broker_order_id)


def _apply(draft: Draft, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    if waiting.quantity is None or waiting.price is None:
        _bust(draft, fill, waiting, fact)
    else:
        restated = _as_corrected(fill, waiting)
        if restated != fill:  # else it is told again, under the id that it corrects
            _correct(draft, fill, restated, waiting, fact)


def _as_corrected(fill: Fill, waiting: PendingBust) -> Fill:
    """What a correction makes of an execution; it is not placed by itself."""
    execution_id = ExecutionId(waiting.execution_id or waiting.previous_execution_id)
    quantity, price = waiting.quantity or fill.quantity, waiting.price or fill.price
    return msgspec.structs.replace(fill, quantity=quantity, price=price, is_restated=True, aliases=(execution_id,))


def _bust(draft: Draft, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    link = _begin(draft, _link_of(draft.order, fill), waiting.broker_time, fact)
    rest = subtract(booked_quantity(draft.order, link), fill.quantity)
    draft.add(
        FillBusted(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=waiting.broker_time,
            link=msgspec.structs.replace(link, reported_quantity=rest),
            removed=(fill.fill_id,),
            to_state=_state_of_rest(draft, fill.quantity),
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)


def _begin(draft: Draft, link: BrokerLink, moment: datetime, fact: Restating) -> BrokerLink:
    """From this moment on the broker counts from what was left, and what it said before counts no more."""
    if moment in link.bust_times:
        return link
    times = tuple(sorted((*link.bust_times, moment)))
    link = msgspec.structs.replace(link, bust_times=times, phase=Phase.UNKNOWN)
    guesses = [f for f in counted(draft.order, link) if f.status is FillStatus.INFERRED]
    if guesses:
        draft.add(
            FillCorrected(
                at=fact.at,
                source=fact.source,
                heard_ns=fact.heard_ns,
                broker_time=moment,
                link=link,
                removed=tuple(f.fill_id for f in guesses),
                added=(),
                to_state=_state_of_rest(draft, total(f.quantity for f in guesses)),
            )
        )
    _begin_for_heirs(draft, link, moment, fact)
    return msgspec.structs.replace(link, reported_quantity=booked_quantity(draft.order, link), reported_average=None)


def _begin_for_heirs(draft: Draft, elder: BrokerLink, moment: datetime, fact: Restating) -> None:
    """What a successor took over falls with it: what was executed under itself is left, until it is read again."""
    chain = [link.broker_order_id for link in draft.order.links]
    for heir in draft.order.links[chain.index(elder.broker_order_id) + 1 :]:
        link = msgspec.structs.replace(
            heir,
            phase=Phase.UNKNOWN,
            bust_times=tuple(sorted({*heir.bust_times, moment})),
            reported_quantity=booked_quantity(draft.order, heir),
            reported_average=None,
        )
        draft.add(
            Restated(at=fact.at, source=fact.source, heard_ns=fact.heard_ns, link=link, to_state=draft.order.state)
        )
        draft.need(NeedKind.ORDER, heir.broker_order_id)


def _state_of_rest(draft: Draft, gone: Decimal) -> OrderState:
    """Working orders fall back to what is left; ended ones wait for the read."""
    order = draft.order
    if order.state is OrderState.PARTIALLY_FILLED and order.filled_quantity == gone:
        return draft.move(Move.BUST_WORKING) or order.state
    return order.state


def _correct(draft: Draft, fill: Fill, restated: Fill, waiting: PendingBust, fact: Restating) -> None:
    """Mark the old fill and add what became of it, which a list may have told before: then that was misplaced."""
    link = _link_of(draft.order, fill)
    early = _told_before(draft.order, fill, restated)
    counts_already = [f for f in early if f.is_counted]
    is_undone = len(counts_already) < len(early)
    difference = subtract(restated.quantity, fill.quantity)
    if difference:
        link = _begin(draft, link, waiting.broker_time, fact)
    gone = total(f.quantity for f in (*counts_already, *([restated] if is_undone else [])))
    growth = subtract(difference, gone)
    if growth:
        counts = add(booked_quantity(draft.order, link), growth)
        link = msgspec.structs.replace(link, reported_quantity=counts) if difference else link
        draft.need(NeedKind.ORDER, link.broker_order_id)
    new = msgspec.structs.replace(
        restated,
        fill_id=next_fill_id(draft.order),
        recorded_time=fact.at,
        source=fact.source,
        status=FillStatus.LIVE,
    )
    filled = add(draft.order.filled_quantity, growth)
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=waiting.broker_time,
            link=link,
            removed=(fill.fill_id, *(f.fill_id for f in counts_already)),
            misplaced=tuple(f.fill_id for f in early),
            added=() if is_undone else (new,),
            to_state=state_after_fill(draft, link, filled) if growth > 0 else _state_of_rest(draft, -growth),
        )
    )
    apply_waiting(draft, new, fact)


def _told_before(order: Order, fill: Fill, restated: Fill) -> list[Fill]:
    """What is booked already of that which a correction leads to. (A correction may keep the id.)"""
    if restated.execution_id == fill.execution_id:
        return []
    return [f for f in order.fills if f.execution_id == restated.execution_id]


def _link_of(order: Order, fill: Fill) -> BrokerLink:
    """The broker order it was executed under: a fill is booked under a bound one only."""
    return next(link for link in order.links if link.broker_order_id == fill.broker_order_id)
