"""Executions that a broker takes back or restates.

Rule 1: the old fill stays, marked; totals are what still counts; the order is read again before its state is believed.
Rule 2: a bust or correction that overtakes its fill waits, and is applied in the breath in which the fill comes.
Rule 3: after a bust, or a correction of quantity, the broker counts anew: a bust epoch begins at the broker's time.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.book import booked_quantity, known_as, next_fill_id
from orderd.core.events import FillBusted, FillCorrected, Restated
from orderd.core.facts import Executed, ExecutionBusted, ExecutionCorrected, Reported
from orderd.core.order import BrokerLink, Fill, FillStatus, Order, OrderState, PendingBust
from orderd.core.settle import state_after_fill
from orderd.core.table import Move
from orderd.core.values import ExecutionId, add, subtract
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
    moment = _time_of(draft.order, fill.aliases, fact.at)
    anew = link if moment in link.bust_times else _anew(link, booked_quantity(draft.order, link), moment)
    draft.add(
        FillBusted(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=moment,
            link=anew,
            removed=(fill.fill_id,),
            added=(fill,),
            to_state=draft.order.state,
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)


def _time_of(order: Order, aliases: tuple[ExecutionId, ...], otherwise: datetime) -> datetime:
    return next(
        (b.broker_time for b in order.pending_busts if b.broker_time and b.previous_execution_id in aliases), otherwise
    )


def _restatement(order: Order, waiting: PendingBust, fact: ExecutionBusted | ExecutionCorrected) -> Verdict:
    draft = Draft(order)
    fill = _meant(order, waiting)
    if fill is None:
        _remember(draft, waiting, fact)
    elif not fill.is_counted:
        return Stale()
    else:
        _apply(draft, fill, waiting, fact)
    return draft.verdict()


def _meant(order: Order, waiting: PendingBust) -> Fill | None:
    """The fill it names: by its own id, or by another one if it was executed before it was undone."""
    for fill in known_as(order, waiting.previous_execution_id):
        moment = fill.occurred_time or fill.recorded_time
        if (
            fill.execution_id == waiting.previous_execution_id
            or waiting.broker_time is None
            or moment <= waiting.broker_time
        ):
            return fill
    return None


def _remember(draft: Draft, waiting: PendingBust, fact: ExecutionBusted | ExecutionCorrected) -> None:
    """Keep it until its fill comes. Where the broker order is known, a bust's epoch begins already."""
    order = draft.order
    if any(b.previous_execution_id == waiting.previous_execution_id for b in order.pending_busts):
        return
    link = order.link(fact.broker_order_id) or (order.links[0] if len(order.links) == 1 else None)
    if link is not None and waiting.quantity is None and waiting.broker_time is not None:
        link = _anew(link, booked_quantity(order, link), waiting.broker_time)
    draft.add(
        Restated(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=link,
            to_state=order.state,
            pending_bust=waiting,
        )
    )
    if link is not None:
        draft.need(NeedKind.EXECUTIONS, link.broker_order_id)


def _apply(draft: Draft, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    if waiting.quantity is None or waiting.price is None:
        _bust(draft, fill, waiting, fact)
    elif (fill.is_restated, fill.quantity, fill.price) != (True, waiting.quantity, waiting.price):
        restated = msgspec.structs.replace(fill, quantity=waiting.quantity, price=waiting.price, is_restated=True)
        _correct(draft, fill, restated, waiting, fact)


def _bust(draft: Draft, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    link = _link_of(draft.order, fill)
    rest = subtract(booked_quantity(draft.order, link), fill.quantity)
    draft.add(
        FillBusted(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=waiting.broker_time,
            link=_anew(link, rest, waiting.broker_time or fact.at),
            removed=(fill.fill_id,),
            to_state=_state_of_rest(draft, fill),
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)


def _anew(link: BrokerLink, booked: Decimal, moment: datetime) -> BrokerLink:
    """From this moment on the broker counts from what was left; what it counted before is no growth any more."""
    times = link.bust_times if moment in link.bust_times else tuple(sorted((*link.bust_times, moment)))
    return msgspec.structs.replace(link, bust_times=times, reported_quantity=booked, reported_average=None)


def _state_of_rest(draft: Draft, busted: Fill) -> OrderState:
    """Working orders fall back to what is left; ended ones wait for the read."""
    order = draft.order
    if order.state is OrderState.PARTIALLY_FILLED and order.filled_quantity == busted.quantity:
        return draft.move(Move.BUST_WORKING) or order.state
    return order.state


def _correct(draft: Draft, fill: Fill, restated: Fill, waiting: PendingBust, fact: Restating) -> None:
    order = draft.order
    link = _link_of(order, fill)
    difference = subtract(restated.quantity, fill.quantity)
    total = add(order.filled_quantity, difference)
    new = msgspec.structs.replace(
        restated,
        fill_id=next_fill_id(order),
        aliases=(ExecutionId(waiting.execution_id or waiting.previous_execution_id),),
        recorded_time=fact.at,
        source=fact.source,
        status=FillStatus.LIVE,
    )
    if difference:
        link = _anew(link, add(booked_quantity(order, link), difference), waiting.broker_time or fact.at)
        draft.need(NeedKind.ORDER, link.broker_order_id)
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=waiting.broker_time,
            link=link,
            removed=(fill.fill_id,),
            added=(new,),
            to_state=state_after_fill(draft, link, total) if difference > 0 else order.state,
        )
    )
    apply_waiting(draft, new, fact)


def _link_of(order: Order, fill: Fill) -> BrokerLink:
    """The broker order it was executed under: a fill is booked under a bound one only."""
    return next(link for link in order.links if link.broker_order_id == fill.broker_order_id)
