"""Judging what a broker says of an order: its views and its executions.

The order of work for every report: bind it to the chain, book its execution, infer what nobody explains (only when
executions were asked for), then let the broker's word move the state: but never past fills that are still to come.
"""

from decimal import Decimal

import msgspec

from orderd.core.adopt import bind
from orderd.core.book import Consumes, New, Overlaps, Repeat, Undone, infer, next_fill_id, place
from orderd.core.busts import apply_waiting, undo
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.events import FillCorrected, Filled, Restated
from orderd.core.facts import Executed, Execution, Reported, View
from orderd.core.order import OURS, BrokerLink, Fill, Order, OrderState, Phase
from orderd.core.settle import ENDS, fits_chain, missing, settle, state_after_fill
from orderd.core.spreads import figures
from orderd.core.values import add, nanoseconds
from orderd.core.verdicts import Draft, NeedKind, Verdict

Word = Reported | Executed
_RANK = {Phase.QUEUED: 0} | dict.fromkeys(ENDS, 2)
"""Of two words of one instant on a stream, the one that is further along in an order's life was said last."""


def judge_report(order: Order, fact: Reported) -> Verdict:
    """Judge a broker's description of the order, with the execution that came along."""
    draft = Draft(order)
    was = order.link(fact.view.broker_order_id)
    if was is None:
        if order.links and not _is_after_busts(order, order.links[-1], fact.view):
            draft.need(NeedKind.ORDER, fact.view.broker_order_id)
            return draft.verdict(is_stale=True)
        bound = bind(draft, fact)
        if not isinstance(bound, BrokerLink):
            return bound
        # What was said before a bust that was heard earlier is no word about what is left.
        was, is_fresh = bound, _is_after_busts(order, bound, fact.view)
        if not is_fresh:
            draft.need(NeedKind.ORDER, bound.broker_order_id)
    else:
        is_fresh = _is_fresh(order, was, fact.view)
    link = _heard(order, was, fact.view, is_fresh=is_fresh)
    if order.is_parent_of_legs:
        _parent_growth(draft, link, fact)
    elif fact.execution is not None:
        link = _book(draft, link, fact.execution, fact)
    if fact.may_infer and missing(draft.order, link):
        _infer(draft, link, fact)
    settle(draft, link, fact, is_fresh=is_fresh)
    return draft.verdict(is_stale=not is_fresh and not _is_same(was, fact.view))


def judge_execution(order: Order, fact: Executed) -> Verdict:
    """Judge a listed execution: it names its own broker order."""
    draft = Draft(order)
    was = order.link(fact.execution.broker_order_id)
    if was is None:
        draft.need(NeedKind.ORDER, fact.execution.broker_order_id)
        return draft.verdict(is_stale=True)
    link, cum = was, fact.execution.cum_after
    if cum is not None and cum > was.reported_quantity and not was.bust_times:
        link = msgspec.structs.replace(was, reported_quantity=cum, reported_average=None)
    link = _book(draft, link, fact.execution, fact)
    if draft.steps:
        settle(draft, link, fact, is_fresh=False)
    return draft.verdict()


def _is_fresh(order: Order, link: BrokerLink, view: View) -> bool:
    """Whether this view's state and terms count: it knows more, or it is later and was asked for late enough."""
    if link.broker_order_id != order.links[-1].broker_order_id or not _is_after_busts(order, link, view):
        return False
    if view.filled_quantity != link.reported_quantity:
        return view.filled_quantity > link.reported_quantity
    if view.updated_ns and view.updated_ns < link.updated_ns:
        return False
    if view.asked_ns is not None:
        return view.asked_ns >= order.heard_ns
    if view.updated_ns and view.updated_ns == link.updated_ns:
        return _RANK.get(view.phase, 1) > _RANK.get(link.phase, 1)
    return True


def _is_after_busts(order: Order, link: BrokerLink, view: View) -> bool:
    """After a bust the broker's cumulative figure is lower: an elder view's larger one is not growth."""
    if not link.bust_times:
        return True
    if view.asked_ns is not None and view.asked_ns != order.heard_ns:
        return view.asked_ns > order.heard_ns
    return view.updated_ns >= nanoseconds(link.bust_times[-1])  # asked for just when it was heard: before it, or after


def _is_same(link: BrokerLink, view: View) -> bool:
    return (link.updated_ns, link.status, link.reported_quantity) == (
        view.updated_ns,
        view.status,
        view.filled_quantity,
    )


def _heard(order: Order, link: BrokerLink, view: View, *, is_fresh: bool) -> BrokerLink:
    """The link as this report leaves it. Growth of the cumulative quantity always counts."""
    if view.filled_quantity > link.reported_quantity and (is_fresh or _is_after_busts(order, link, view)):
        quantity, average = view.filled_quantity, view.average_price
    elif view.filled_quantity == link.reported_quantity and (is_fresh or link.reported_average is None):
        quantity, average = link.reported_quantity, view.average_price or link.reported_average
    else:
        return link
    if not is_fresh:
        return msgspec.structs.replace(link, reported_quantity=quantity, reported_average=average)
    return msgspec.structs.replace(
        link,
        status=view.status,
        phase=view.phase,
        updated_ns=view.updated_ns if view.updated_ns > link.updated_ns else link.updated_ns,
        reported_quantity=quantity,
        reported_average=average,
    )


def _parent_growth(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """A MULTILEG parent never makes a fill: its totals are the broker's net figures."""
    known = figures(draft.order, link, fact.legs_traded)
    if known is None or known[0] <= draft.order.filled_quantity:
        return
    quantity, value = known
    draft.add(
        Filled(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fact.broker_time,
            link=link,
            fill=None,
            to_state=state_after_fill(draft, link, quantity),
            filled_quantity=quantity,
            filled_value=value,
        )
    )


def _book(draft: Draft, link: BrokerLink, execution: Execution, fact: Word) -> BrokerLink:
    """Book an execution where it belongs; returns the link as that leaves it."""
    if execution.quantity <= 0:
        return link
    if execution.broker_order_id != link.broker_order_id:
        draft.need(NeedKind.EXECUTIONS, execution.broker_order_id)
        return link
    placement = place(draft.order, link, execution, fact.at, fact.source)
    if isinstance(placement, New):
        _fill(draft, link, placement.fill, fact)
        if not draft.order.pending_busts:
            return link
        apply_waiting(draft, placement.fill, fact)
    else:
        _reconsider(draft, link, placement, execution, fact)
    # A bust leaves a link of its own, in which the broker counts anew. Without any news it stays as it was told.
    return draft.order.link(link.broker_order_id) or link if draft.steps else link


def _reconsider(
    draft: Draft, link: BrokerLink, placement: Repeat | Undone | Consumes | Overlaps, execution: Execution, fact: Word
) -> None:
    """An execution that meets what is booked."""
    match placement:
        case Undone():
            undo(draft, link, placement.fill, fact)
        case Consumes():
            _consume(draft, link, placement, fact)
            apply_waiting(draft, placement.added[0], fact)
        case Repeat():
            _repeat(draft, link, placement, execution, fact)
        case Overlaps():  # pragma: no branch - the last of its kind
            draft.find(
                DiscrepancyKind.EXECUTION_OVERLAPS, _interval(placement.fill), f"{execution.quantity}@{execution.price}"
            )
            draft.need(NeedKind.EXECUTIONS, link.broker_order_id)


def _fill(draft: Draft, link: BrokerLink, fill: Fill, fact: Word) -> None:
    order = draft.order
    total = add(order.filled_quantity, fill.quantity)
    draft.add(
        Filled(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=fill.occurred_time,
            link=link,
            fill=fill,
            to_state=state_after_fill(draft, link, total),
        )
    )
    if draft.order.is_overfilled:
        draft.find(DiscrepancyKind.OVERFILL, draft.order.terms.quantity, total)
    if not order.is_open and (
        order.closed_by in OURS or order.state in {OrderState.SUBMIT_FAILED, OrderState.REJECTED}
    ):
        draft.find(DiscrepancyKind.REVIVED, order.state, f"fill of {fill.quantity}")


def _consume(draft: Draft, link: BrokerLink, placement: Consumes, fact: Word) -> None:
    total = add(draft.order.filled_quantity, placement.growth)
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            broker_time=placement.added[0].occurred_time,
            link=link,
            removed=placement.removed,
            added=placement.added,
            to_state=state_after_fill(draft, link, total) if placement.growth else draft.order.state,
        )
    )


def _repeat(draft: Draft, link: BrokerLink, repeat: Repeat, execution: Execution, fact: Word) -> None:
    if repeat.fill is None:
        draft.need(NeedKind.EXECUTIONS, link.broker_order_id)
        return
    if repeat.conflicts:
        draft.find(DiscrepancyKind.EXECUTION_CHANGED, _interval(repeat.fill), f"{execution.quantity}@{execution.price}")
    elif execution.fee is not None and execution.fee != repeat.fill.fee and repeat.fill.is_counted:
        _name_fee(draft, link, repeat.fill, execution.fee, fact)
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
        known = next(f for f in draft.order.fills if f.fill_id == repeat.fill.fill_id)
        if known.is_counted:
            apply_waiting(draft, known, fact)


def _name_fee(draft: Draft, link: BrokerLink, fill: Fill, fee: Decimal, fact: Word) -> None:
    """The broker names the fee of an execution later than the execution itself, or names another one."""
    named = msgspec.structs.replace(
        fill,
        fill_id=next_fill_id(draft.order),
        fee=fee,
        source=fact.source,
        recorded_time=fact.at,
        occurred_time=fill.executed_time,
        is_restated=True,
    )
    draft.add(
        FillCorrected(
            at=fact.at,
            source=fact.source,
            heard_ns=fact.heard_ns,
            link=link,
            removed=(fill.fill_id,),
            added=(named,),
            to_state=draft.order.state,
        )
    )


def _interval(fill: Fill) -> str:
    return f"{fill.quantity}@{fill.price} up to {fill.cum_after} ({fill.execution_id or 'inferred'})"


def _infer(draft: Draft, link: BrokerLink, fact: Reported) -> None:
    """Explain growth that executions did not. Never across a replace chain, after a bust, or without a price.

    A view that counts less by now tells of a bust that nobody heard: that is another finding.
    """
    order = draft.order
    if order.is_parent_of_legs or fits_chain(order, link):
        return
    if len(order.links) > 1 or link.bust_times:
        if fact.view.filled_quantity >= link.reported_quantity:
            draft.find(DiscrepancyKind.EXECUTIONS_MISSING, link.reported_quantity, order.filled_quantity)
        return
    for fill in infer(order, link, fact.at, fact.source, fact.view.filled_time):
        _fill(draft, link, fill, fact)
