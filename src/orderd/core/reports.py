"""Judging what a broker says of an order: its views, its executions, its busts.

The order of work for every report: bind it to the chain, book its execution, infer what nobody explains (only when
executions were asked for), then let the broker's word move the state: but never past fills that are still to come.
"""

from decimal import Decimal

import msgspec

from orderd.core.adopt import bind
from orderd.core.book import (
    Consumes,
    New,
    Overlaps,
    Placement,
    Repeat,
    booked_quantity,
    infer,
    next_fill_id,
    place,
)
from orderd.core.events import FillBusted, FillCorrected, Filled, Restated
from orderd.core.facts import Executed, Execution, ExecutionBusted, ExecutionCorrected, Reported
from orderd.core.order import BrokerLink, Fill, FillStatus, Order, OrderState, PendingBust
from orderd.core.settle import settle, state_after_fill
from orderd.core.values import add, multiply, subtract
from orderd.core.verdicts import Draft, Impossible, NeedKind, Stale, Verdict


def judge_report(order: Order, fact: Reported) -> Verdict:
    """Judge a broker's description of the order, with the execution that came along."""
    draft = Draft(order)
    view = fact.view
    link = order.link(view.broker_order_id)
    if link is None:
        refusal = bind(draft, fact)
        if refusal is not None:
            return refusal
        link = draft.order.link(view.broker_order_id)
        if link is None:
            return draft.verdict(is_stale=True)
        is_fresh = True
    else:
        is_fresh = _is_fresh(order, link, fact)
    known = _heard(link, fact, is_fresh=is_fresh)
    if draft.order.is_parent_of_legs:
        _parent_growth(draft, fact, known)
    elif fact.execution is not None:
        _book(draft, known, fact.execution, fact)
    if fact.may_infer and not draft.order.is_parent_of_legs:
        _infer(draft, known, fact)
    settle(draft, known, fact, is_fresh=is_fresh)
    return draft.verdict(is_stale=not is_fresh)


def _is_fresh(order: Order, link: BrokerLink, fact: Reported) -> bool:
    """Whether this view's state and terms count. Growth of its cumulative quantity always does."""
    view = fact.view
    if link.broker_order_id != order.links[-1].broker_order_id:
        return False
    if view.filled_quantity < link.reported_quantity:
        return False
    if view.updated_ns and link.updated_ns and view.updated_ns <= link.updated_ns:
        return view.filled_quantity > link.reported_quantity
    return view.asked_ns is None or view.asked_ns >= order.heard_ns


def _heard(link: BrokerLink, fact: Reported, *, is_fresh: bool) -> BrokerLink:
    """The link as this report leaves it."""
    view = fact.view
    grows = view.filled_quantity > link.reported_quantity
    if not is_fresh and not grows:
        return link
    return msgspec.structs.replace(
        link,
        status=view.status if is_fresh else link.status,
        phase=view.phase if is_fresh else link.phase,
        updated_ns=max(link.updated_ns, view.updated_ns) if is_fresh else link.updated_ns,
        reported_quantity=view.filled_quantity if grows else link.reported_quantity,
        reported_average=view.average_price if grows or link.reported_average is None else link.reported_average,
    )


def _parent_growth(draft: Draft, fact: Reported, link: BrokerLink) -> None:
    """A MULTILEG parent never makes a fill: its totals are the broker's net figures."""
    order, view = draft.order, fact.view
    if view.filled_quantity <= order.filled_quantity or view.average_price is None:
        return
    to_state = state_after_fill(draft, link, view.filled_quantity)
    draft.add(
        Filled(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=link,
            fill=None,
            to_state=to_state,
            filled_quantity=view.filled_quantity,
            filled_value=multiply(view.filled_quantity, view.average_price),
        )
    )


def judge_execution(order: Order, fact: Executed) -> Verdict:
    """Judge a listed execution: it names its own broker order."""
    link = order.link(fact.execution.broker_order_id)
    if link is None:
        draft = Draft(order)
        draft.need(NeedKind.ORDER, fact.execution.broker_order_id)
        return draft.verdict(is_stale=True)
    draft = Draft(order)
    known = link
    cum = fact.execution.cum_after
    if cum is not None and cum > link.reported_quantity and link.epoch == 0:
        known = msgspec.structs.replace(link, reported_quantity=cum, reported_average=None)
    _book(draft, known, fact.execution, fact)
    if draft.steps:
        settle(draft, known, fact, is_fresh=False)
    return draft.verdict()


def _book(draft: Draft, link: BrokerLink, execution: Execution, fact: Reported | Executed) -> None:
    if execution.quantity <= 0:
        return
    placement: Placement = place(draft.order, link, execution, fact.at, fact.source)
    match placement:
        case New():
            _fill(draft, link, placement.fill, fact)
            _apply_waiting_bust(draft, placement.fill, fact)
        case Consumes():
            draft.add(
                FillCorrected(
                    at=fact.at,
                    source=fact.source,
                    heard_ns=fact.heard_ns,
                    broker_time=execution.occurred_time,
                    link=link,
                    removed=placement.removed,
                    added=placement.added,
                    to_state=draft.order.state,
                )
            )
            _apply_waiting_bust(draft, placement.added[0], fact)
        case Repeat():
            _repeat(draft, link, placement, execution, fact)
        case Overlaps():
            draft.find("EXECUTION_OVERLAPS", _interval(placement.fill), f"{execution.quantity}@{execution.price}")
            draft.need(NeedKind.EXECUTIONS, link.broker_order_id)


def _fill(draft: Draft, link: BrokerLink, fill: Fill, fact: Reported | Executed) -> None:
    was = draft.order.state
    total = add(draft.order.filled_quantity, fill.quantity)
    to_state = state_after_fill(draft, link, total)
    draft.add(
        Filled(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fill.occurred_time,
            link=link,
            fill=fill,
            to_state=to_state,
        )
    )
    if draft.order.is_overfilled:
        draft.find("OVERFILL", draft.order.terms.quantity, total)
    if was in {OrderState.SUBMIT_FAILED, OrderState.REJECTED, OrderState.DENIED}:
        draft.find("REVIVED", was, f"fill of {fill.quantity}")


def _repeat(draft: Draft, link: BrokerLink, repeat: Repeat, execution: Execution, fact: Reported | Executed) -> None:
    if repeat.fill is None:
        return
    if repeat.conflicts:
        draft.find("EXECUTION_CHANGED", _interval(repeat.fill), f"{execution.quantity}@{execution.price}")
    if repeat.is_new_alias and execution.execution_id is not None:
        draft.add(
            Restated(
                at=fact.at,
                source=fact.source,
                heard_ns=fact.heard_ns,
                link=link,
                to_state=draft.order.state,
                added_alias=(repeat.fill.fill_id, execution.execution_id),
            )
        )


def _interval(fill: Fill) -> str:
    return f"{fill.quantity}@{fill.price} up to {fill.cum_after} ({fill.execution_id or 'inferred'})"


def _infer(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """Explain growth that executions did not. Never across a replace chain, never after a bust."""
    if link.reported_quantity <= booked_quantity(draft.order, link):
        return
    if len(draft.order.links) > 1 or link.epoch:
        draft.find("EXECUTIONS_MISSING", link.reported_quantity, booked_quantity(draft.order, link))
        return
    for fill in infer(draft.order, link, fact.at, fact.source, fact.view.filled_time):
        _fill(draft, link, fill, fact)


def _apply_waiting_bust(draft: Draft, fill: Fill, fact: Reported | Executed) -> None:
    """A bust or correction that overtook its fill is applied the moment the fill comes."""
    for waiting in draft.order.pending_busts:
        if waiting.previous_execution_id not in fill.aliases:
            continue
        link = draft.order.link(fill.broker_order_id)
        if link is None:
            continue
        if waiting.quantity is None or waiting.price is None:
            _bust(draft, link, fill, fact)
        else:
            _correct(draft, link, fill, waiting, fact)


def judge_bust(order: Order, fact: ExecutionBusted) -> Verdict:
    """The broker undid an execution: the fill stays, marked; totals are restated; the order is read again."""
    waiting = PendingBust(previous_execution_id=fact.previous_execution_id, execution_id=fact.execution_id)
    return _restatement(order, waiting, fact)


def judge_correction(order: Order, fact: ExecutionCorrected) -> Verdict:
    """The broker changed an execution: the old fill is marked CORRECTED and a LIVE one is added."""
    waiting = PendingBust(
        previous_execution_id=fact.previous_execution_id,
        execution_id=fact.execution_id,
        quantity=fact.quantity,
        price=fact.price,
    )
    return _restatement(order, waiting, fact)


def _restatement(order: Order, waiting: PendingBust, fact: ExecutionBusted | ExecutionCorrected) -> Verdict:
    draft = Draft(order)
    fill = next((f for f in order.fills if waiting.previous_execution_id in f.aliases), None)
    if fill is None:
        if not any(b.previous_execution_id == waiting.previous_execution_id for b in order.pending_busts):
            draft.add(Restated(at=fact.at, source=fact.source, to_state=order.state, pending_bust=waiting))
        return draft.verdict()
    if not fill.is_counted:
        return Stale()
    link = order.link(fill.broker_order_id)
    if link is None:
        return Impossible(explanation=f"fill {fill.fill_id} names a broker order that is not in the chain")
    if waiting.quantity is None or waiting.price is None:
        _bust(draft, link, fill, fact)
    else:
        _correct(draft, link, fill, waiting, fact)
    return draft.verdict()


Restating = Reported | Executed | ExecutionBusted | ExecutionCorrected


def _bust(draft: Draft, link: BrokerLink, fill: Fill, fact: Restating) -> None:
    rest = subtract(booked_quantity(draft.order, link), fill.quantity)
    renumbered = _renumbered(link, rest)
    draft.add(
        FillBusted(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=renumbered,
            removed=(fill.fill_id,),
            to_state=_state_of_rest(draft.order, fill),
        )
    )
    draft.need(NeedKind.ORDER, link.broker_order_id)


def _renumbered(link: BrokerLink, rest: Decimal) -> BrokerLink:
    """After a bust the broker counts anew: executions from here on are measured from what is left."""
    return msgspec.structs.replace(link, epoch=link.epoch + 1, base=rest, reported_quantity=rest)


def _state_of_rest(order: Order, busted: Fill) -> OrderState:
    """Working orders fall back to what is left; ended ones wait for the read."""
    if order.state is OrderState.PARTIALLY_FILLED and order.filled_quantity == busted.quantity:
        return OrderState.ACCEPTED
    return order.state


def _correct(draft: Draft, link: BrokerLink, fill: Fill, waiting: PendingBust, fact: Restating) -> None:
    quantity = waiting.quantity if waiting.quantity is not None else fill.quantity
    price = waiting.price if waiting.price is not None else fill.price
    difference = subtract(quantity, fill.quantity)
    corrected = link
    if difference:
        total = add(booked_quantity(draft.order, link), difference)
        corrected = _renumbered(link, total)
    new = msgspec.structs.replace(
        fill,
        fill_id=next_fill_id(draft.order),
        quantity=quantity,
        price=price,
        cum_after=add(fill.cum_after, difference),
        epoch=fill.epoch,
        aliases=() if not waiting.execution_id else (waiting.execution_id,),
        recorded_time=fact.at,
        source=fact.source,
        status=FillStatus.LIVE,
    )
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=corrected,
            removed=(fill.fill_id,),
            added=(new,),
            to_state=_state_after_correction(draft.order, difference),
        )
    )
    if difference:
        draft.need(NeedKind.ORDER, link.broker_order_id)


def _state_after_correction(order: Order, difference: Decimal) -> OrderState:
    """Open orders move by the restated total; ended ones wait for the read that follows."""
    wanted = order.terms.quantity
    if order.is_open and wanted is not None and add(order.filled_quantity, difference) >= wanted:
        return OrderState.FILLED
    return order.state
