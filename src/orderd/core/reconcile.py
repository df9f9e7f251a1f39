"""Reconciling is plan, then apply: two snapshots are compared here, and nothing is touched.

Rule 1: absent from a list is never "canceled". What no list shows is read by its id.
Rule 2: a plan is facts for `decide`, which judges each of them again: a second run of the same plan adds nothing.
Rule 3: every fact of a plan is as old as its question. What the stream said meanwhile is newer and stands.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from orderd.core.book import booked_quantity
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Executed, Execution, Fact, Reported, View
from orderd.core.lifecycle import decide
from orderd.core.matching import Index, is_withheld, match
from orderd.core.order import BrokerLink, EventSource, Order, OrderState, Phase
from orderd.core.settle import ENDS, fits_chain, missing
from orderd.core.spreads import is_own_share, strategies
from orderd.core.values import ROUNDED, ZERO, BrokerOrderId, OrderId, Value, add, canonical
from orderd.core.verdicts import Apply, Finding, NeedKind

_CENT = Decimal("0.01")
MASS = 2
"""From this many known orders on, all of them missing from an empty list is not believed."""


class Plan(Value, frozen=True, kw_only=True):
    """What a comparison asks the engine to do, in this order: take the facts, read, look up, import.

    `facts` hold per order: what binds it, its executions, then its view (with which growth that no execution explains
    is inferred). Orders about which the lists say nothing new have none.
    `reads` are broker orders to fetch by id: known, open, and in no list; or named as a successor and in no list.
    `lookups` are orders without a broker id that no list shows: look them up by client id.
    `externals` are views that match none of the given orders. Import them, then call `plan` again with the new orders
    and the same lists: that gives the facts of their fills and ends.
    `unmatched_executions` name broker orders that are none of the given ones (those of externals too).
    `findings` are differences that remain after the facts.
    `is_mass_disappearance`: everything we knew to be open is gone and the broker's list is empty.
    """

    facts: tuple[tuple[OrderId, Fact], ...] = ()
    reads: tuple[BrokerOrderId, ...] = ()
    lookups: tuple[OrderId, ...] = ()
    externals: tuple[View, ...] = ()
    unmatched_executions: tuple[Execution, ...] = ()
    findings: tuple[tuple[OrderId, Finding], ...] = ()
    is_mass_disappearance: bool = False


class _Seen:
    """What the lists say, sorted to the orders it is about. Every view is as old as the first question."""

    def __init__(self, index: Index, views: Iterable[View], asked_ns: int) -> None:
        self.index = index
        self.asked_ns = asked_ns
        self.by_order: dict[OrderId, dict[str, View]] = {}
        self.owners: dict[str, Order] = {}
        self.ids: set[str] = set()
        self.unmatched: dict[str, View] = {}
        for view in views:
            self._take(view, None)
        while kin := [v for v in self.unmatched.values() if v.replaces in self.owners or v.replaced_by in self.owners]:
            for view in kin:
                owner = self.owners.get(view.replaces) or self.owners[view.replaced_by]
                self._put(owner, self.unmatched.pop(view.broker_order_id))

    def _take(self, view: View, parent: Order | None) -> None:
        self.ids.add(view.broker_order_id)
        view = msgspec.structs.replace(view, asked_ns=self.asked_ns)
        order = match(view, self.index, parent=parent)
        if order is not None:
            self._put(order, view)
            return
        named = view if parent is None else _named(view, parent)
        self.unmatched[view.broker_order_id] = _fresher(self.unmatched.get(view.broker_order_id), named)
        for leg in view.legs:  # they are imported with their parent, unless they were without it
            self.ids.add(leg.broker_order_id)
            if leg.broker_order_id in self.index.by_broker_id:
                self._take(leg, None)

    def _put(self, order: Order, view: View) -> None:
        views = self.by_order.setdefault(order.order_id, {})
        views[view.broker_order_id] = _fresher(views.get(view.broker_order_id), view)
        self.owners[view.broker_order_id] = order
        for leg in view.legs:
            self._take(leg, order)


def plan(  # noqa: PLR0913 - two snapshots, and how each was taken
    *,
    orders: Sequence[Order],
    seen_open: Sequence[View],
    seen_since: Sequence[View],
    executions: Sequence[Execution],
    asked_ns: int,
    at: datetime,
    in_flight: Collection[OrderId] = (),
    may_infer: bool = True,
) -> Plan:
    """Compare our orders with the broker's lists.

    `orders`: every open order of the account, and every other order that one of the lists names (by any broker id of
    its chain, or by its client id). `executions`: fetched AFTER the views, so that they explain what the views count.
    `in_flight`: orders whose request is on its way or was answered too recently for a list to show them.
    `may_infer`: False when executions could not be read although the broker has them.
    """
    index = Index(orders)
    seen = _Seen(index, (*seen_open, *seen_since), asked_ns)
    traded: dict[str, list[Execution]] = {}
    for execution in executions:
        traded.setdefault(execution.broker_order_id, []).append(execution)
    draft = _Drafted(asked_ns=asked_ns, at=at, may_infer=may_infer)
    for order in orders:
        legs = index.legs.get(order.order_id, ())
        draft.take(order, seen.by_order.get(order.order_id, {}), traded, legs)
    absent = [o for o in orders if o.is_open and o.order_id not in in_flight and not _is_seen(o, seen)]
    draft.reads += [link.broker_order_id for o in absent for link in o.links[-1:]]
    known = {link for o in orders for link in (x.broker_order_id for x in o.links)} | draft.bound
    return Plan(
        facts=tuple(draft.facts),
        reads=tuple(dict.fromkeys(i for i in draft.reads if i not in seen.ids)),
        lookups=tuple(dict.fromkeys(_lookups(absent, index))),
        externals=tuple(_externals(seen, index)),
        unmatched_executions=tuple(e for e in executions if e.broker_order_id not in known),
        findings=tuple(draft.findings),
        is_mass_disappearance=_is_mass_disappearance(orders, seen, traded, seen_open, in_flight),
    )


class _Drafted:
    """The facts of a plan while it is written. Each is judged here as the engine will, to leave out what is no news."""

    def __init__(self, *, asked_ns: int, at: datetime, may_infer: bool) -> None:
        self.asked_ns = asked_ns
        self.at = at
        self.may_infer = may_infer
        self.facts: list[tuple[OrderId, Fact]] = []
        self.reads: list[BrokerOrderId] = []
        self.findings: list[tuple[OrderId, Finding]] = []
        self.bound: set[BrokerOrderId] = set()

    def take(
        self, order: Order, views: dict[str, View], traded: dict[str, list[Execution]], legs: Sequence[Order]
    ) -> None:
        """Add what the lists say about this order."""
        legs_traded = strategies(order, legs) if legs else None
        facts = list(self._facts(order, views, traded, legs_traded))
        after, is_news, has_traded = order, False, False
        for fact in facts:
            verdict = decide(after, fact)
            is_news = is_news or isinstance(verdict, Apply) or bool(verdict.findings)
            needs = [BrokerOrderId(n.broker_order_id) for n in verdict.needs if n.kind is NeedKind.ORDER]
            if isinstance(verdict, Apply) or after.links:
                self.reads += needs
            else:  # the elder of what it was to be bound to: it is read for this order when it takes the fact
                is_news = is_news or bool(needs)
            if isinstance(verdict, Apply):
                after = verdict.order
                has_traded = has_traded or isinstance(fact, Executed)
        self.bound.update(link.broker_order_id for link in after.links)
        if is_news:
            self.facts += [(order.order_id, fact) for fact in facts]
        # Executions are fetched after the views: one that is news may be younger than the view. The next run compares.
        if not has_traded:
            chain = [views[link.broker_order_id] for link in after.links if link.broker_order_id in views]
            self.findings += [(order.order_id, finding) for view in chain for finding in differences(after, view)]

    def _facts(
        self,
        order: Order,
        views: dict[str, View],
        traded: dict[str, list[Execution]],
        legs_traded: Decimal | None,
    ) -> Iterator[Fact]:
        chain = [link.broker_order_id for link in order.links]
        ordered = _elders_first(chain, views)
        at, source, heard = self.at, EventSource.RECONCILER, self.asked_ns
        for view in ordered:
            if view.broker_order_id not in chain:
                yield Reported(at=at, source=source, heard_ns=heard, view=view)
        for broker_order_id in dict.fromkeys([*chain, *(v.broker_order_id for v in ordered)]):
            for execution in sorted(traded.get(broker_order_id, ()), key=_cumulative):
                yield Executed(at=at, source=source, heard_ns=heard, execution=execution)
        for view in ordered:
            yield Reported(
                at=at, source=source, heard_ns=heard, view=view, may_infer=self.may_infer, legs_traded=legs_traded
            )


def is_comparable(order: Order, view: View) -> bool:
    """Whether the view is no older than what the order was told already."""
    link = order.link(view.broker_order_id)
    is_outdated = link is not None and 0 < view.updated_ns < link.updated_ns
    return not is_outdated and (view.asked_ns is None or view.asked_ns >= order.heard_ns)


def _quantity(ours: Decimal, view: View) -> Finding:
    return Finding(
        kind=DiscrepancyKind.QUANTITY_DIFFERS, expected=canonical(ours), observed=canonical(view.filled_quantity)
    )


def differences(order: Order, view: View) -> Iterator[Finding]:
    """What still differs between an order and its broker's view once every fact was taken.

    Averages are compared at the scale the broker prints, at least to the cent. A MULTILEG parent's figures are the
    broker's own.
    """
    if not is_comparable(order, view):
        return
    link = order.link(view.broker_order_id)
    if link is not None and link is not order.links[-1]:
        yield from _of_elder(order, link, view)
    else:
        yield from _of_current(order, link, view)


def _of_current(order: Order, link: BrokerLink | None, view: View) -> Iterator[Finding]:
    is_waiting = link is not None and (_is_missing(order, link, view) or view.phase is Phase.REPLACED)
    is_full = order.state is OrderState.FILLED and not order.is_short  # "calculated" comes after "filled"
    if order.is_open != (view.phase not in ENDS) and not is_waiting and not is_full:
        yield Finding(kind=DiscrepancyKind.STATE_DIFFERS, expected=order.state, observed=view.status)
    if len(order.links) > 1:
        if link is not None and not is_waiting and not _is_explained(order, link, view):
            yield _quantity(order.filled_quantity, view)
        return
    if order.filled_quantity != view.filled_quantity:
        yield _quantity(order.filled_quantity, view)
    elif order.average_fill_price is not None and view.average_price is not None:
        printed = add(view.average_price, _CENT)  # its scale only: "80" is 80.00 without its zeros, and no 80.4
        ours = order.average_fill_price.quantize(printed, rounding=ROUND_HALF_EVEN, context=ROUNDED)
        if ours != view.average_price:
            yield Finding(
                kind=DiscrepancyKind.AVERAGE_DIFFERS,
                expected=canonical(order.average_fill_price),
                observed=canonical(view.average_price),
            )


def _of_elder(order: Order, link: BrokerLink, view: View) -> Iterator[Finding]:
    """Whatever an elder carries, it counts no less than was executed under itself: else some of that was taken back.

    Its successor need not show it: that one may count from nothing, or have begun after it.
    """
    booked = booked_quantity(order, link)
    if view.filled_quantity < booked and not order.is_parent_of_legs:
        yield _quantity(booked, view)


def _is_missing(order: Order, link: BrokerLink, view: View) -> bool:
    """Whether executions are still to come: by what was counted, and by what the broker counts now.

    What it took back unheard never comes.
    """
    now = msgspec.structs.replace(link, phase=view.phase, reported_quantity=view.filled_quantity)
    return missing(order, link) and missing(order, now)


def _is_explained(order: Order, link: BrokerLink, view: View) -> bool:
    """Whether a successor's figure is its own executions or the whole chain's: from where it counts is not documented.
    It never falls by itself: that is an execution taken back without our hearing of it. Nothing is lost by that only
    when it had not been booked either.
    """
    figures = (order.filled_quantity, booked_quantity(order, link))
    is_booked = fits_chain(order, link) or not missing(order, link)
    has_fallen = view.filled_quantity < link.reported_quantity and is_booked
    return not has_fallen and (view.filled_quantity in figures or is_own_share(order, view.filled_quantity))


def _named(leg: View, parent: Order) -> View:
    """A leg that matches none of its parent's: it keeps the parent's name, so that it is imported as a leg."""
    return msgspec.structs.replace(
        leg, parent_broker_order_id=leg.parent_broker_order_id or parent.broker_order_id or ""
    )


def _fresher(a: View | None, b: View) -> View:
    """Of two views of one broker order: the later one, or the one that knows more."""
    if a is None:
        return b
    return max(a, b, key=lambda v: (v.updated_ns, v.filled_quantity, v.phase in ENDS))


def _elders_first(chain: Sequence[str], views: dict[str, View]) -> list[View]:
    """In the order of the chain; then those that are not in it yet, each behind the one that it replaces."""
    ordered = [views[i] for i in chain if i in views]
    rest = [view for broker_order_id, view in views.items() if broker_order_id not in chain]
    while rest:
        unseen = {view.broker_order_id for view in rest}
        eldest = next((view for view in rest if view.replaces not in unseen), rest[0])
        rest.remove(eldest)
        ordered.append(eldest)
    return ordered


def _cumulative(execution: Execution) -> tuple[bool, Decimal]:
    return execution.cum_after is None, execution.cum_after or ZERO


def _is_seen(order: Order, seen: _Seen) -> bool:
    """Whether a list shows its current broker order (any, when it has none yet)."""
    current = order.broker_order_id
    return current in seen.ids if current is not None else order.order_id in seen.by_order


def _lookups(absent: Iterable[Order], index: Index) -> Iterator[OrderId]:
    """Legs are never looked up by themselves: their parent names them."""
    for order in absent:
        if order.links:
            continue
        parent = None if order.parent_order_id is None else index.orders.get(order.parent_order_id)
        if order.parent_order_id is None:
            yield order.order_id
        elif parent is not None and not parent.links:
            yield parent.order_id


def _externals(seen: _Seen, index: Index) -> Iterator[View]:
    """Whatever matches nothing, chains by their eldest; not while it may be a leg of an order without an answer."""
    for view in seen.unmatched.values():
        if view.replaces in seen.unmatched or is_withheld(view, index):
            continue
        yield view


def _is_mass_disappearance(
    orders: Iterable[Order],
    seen: _Seen,
    traded: dict[str, list[Execution]],
    seen_open: Sequence[View],
    in_flight: Collection[OrderId],
) -> bool:
    """An order that a list shows ended, or that traded, has not vanished: it is explained."""
    known = [o for o in orders if o.is_open and o.links and o.parent_order_id is None and o.order_id not in in_flight]
    explained = any(o.order_id in seen.by_order or any(x.broker_order_id in traded for x in o.links) for o in known)
    return len(known) >= MASS and not seen_open and not explained
