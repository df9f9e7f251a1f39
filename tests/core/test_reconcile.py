"""Two snapshots compared: what the plan asks for, and that carrying it out twice adds nothing."""

from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.core.facts import Executed, Execution, Reported, View
from orderd.core.lifecycle import decide, imported
from orderd.core.order import EventSource, Order, OrderState, Phase
from orderd.core.reconcile import Plan, differences, plan
from orderd.core.values import BrokerOrderId, ExecutionId, OrderId
from orderd.core.verdicts import Apply
from tests.core.broker_model import Model, agrees
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    SENT,
    after,
    bust,
    cancel,
    created,
    dec,
    execution,
    fill,
    intent,
    multileg,
    replace,
    report,
    seen,
    terms,
    when,
)
from tests.core.test_histories import CHAINS, SIMPLE, acknowledged, ask_replace, happen, histories
from tests.core.test_imports import found, imported_as
from tests.core.test_own_facts import lost

S = OrderState
NOW = 10**6
WORKING = after(ACCEPTED)


def planned(
    orders: Sequence[Order],
    seen_open: Sequence[View] = (),
    seen_since: Sequence[View] = (),
    executions: Sequence[Execution] = (),
    **said: object,
) -> Plan:
    return plan(
        orders=orders,
        seen_open=seen_open,
        seen_since=seen_since,
        executions=executions,
        asked_ns=said.pop("asked_ns", NOW),  # type: ignore[arg-type]
        at=when(500),
        **said,  # type: ignore[arg-type]
    )


def carried_out(orders: Sequence[Order], plan: Plan) -> list[Order]:
    by_id = {order.order_id: order for order in orders}
    for order_id, fact in plan.facts:
        verdict = decide(by_id[order_id], fact)
        if isinstance(verdict, Apply):
            by_id[order_id] = verdict.order
    return list(by_id.values())


def view_of(order: Order, phase: Phase = Phase.WORKING, status: str = "new", **changes: object) -> View:
    return seen(order, NOW, phase, status, **changes)


def other(number: int, **changes: object) -> Order:
    """Another working order of the account."""
    links = tuple(msgspec.structs.replace(link, broker_order_id=f"b-{number}") for link in WORKING.links)
    return msgspec.structs.replace(WORKING, order_id=OrderId(f"o-{number}"), links=links, **changes)


def traded(order: Order, name: str, quantity: str, cum: str) -> Execution:
    return execution(order, 400, name, quantity, "20", cum, order.broker_order_id or "b-1")


def test_what_agrees_needs_nothing() -> None:
    assert planned([WORKING], [view_of(WORKING, updated_ns=WORKING.links[0].updated_ns)]) == Plan()


def test_missed_executions_come_first_then_the_end() -> None:
    ended = view_of(WORKING, Phase.CANCELED, "canceled", filled_quantity="4", average_price="20")
    result = planned([WORKING], [], [ended], [traded(WORKING, "e-2", "1", "4"), traded(WORKING, "e-1", "3", "3")])
    assert [type(fact) for _, fact in result.facts] == [Executed, Executed, Reported]
    order = carried_out([WORKING], result)[0]
    assert (order.state, order.filled_quantity, [f.execution_id for f in order.fills]) == (
        S.CANCELED,
        4,
        ["e-1", "e-2"],
    )


def test_what_no_execution_explains_is_inferred_unless_they_could_not_be_read() -> None:
    ended = view_of(WORKING, Phase.FILLED, "filled", filled_quantity="10", average_price="20")
    assert carried_out([WORKING], planned([WORKING], [], [ended]))[0].state is S.FILLED
    kept = carried_out([WORKING], planned([WORKING], [], [ended], may_infer=False))[0]
    assert (kept.state, kept.broker_status) == (S.ACCEPTED, "filled")


def test_an_order_without_a_broker_id_is_bound_before_its_executions() -> None:
    unknown = after(lost())
    result = planned([unknown], [view_of(unknown)], [], [traded(unknown, "e-1", "3", "3")])
    order = carried_out([unknown], result)[0]
    assert (order.state, order.filled_quantity) == (S.PARTIALLY_FILLED, 3)
    assert result.unmatched_executions == ()


def test_absent_from_every_list_is_read_by_id_never_canceled() -> None:
    result = planned([WORKING])
    assert (result.reads, result.facts, result.lookups, result.is_mass_disappearance) == (("b-1",), (), (), False)


def test_absent_without_a_broker_id_is_looked_up() -> None:
    assert planned([after(lost())]).lookups == ("o-1",)


def test_what_is_in_flight_is_given_time() -> None:
    result = planned([after(), other(5)], in_flight={OrderId("o-1"), OrderId("o-5")})
    assert (result.reads, result.lookups) == ((), ())


def test_a_leg_without_a_broker_id_is_its_parents_to_name() -> None:
    parent = multileg()
    legs = [created(order_id=OrderId(f"l-{n}"), parent_order_id=parent.order_id) for n in (1, 2)]
    orphan = created(order_id=OrderId("l-3"), parent_order_id=OrderId("gone"))
    assert planned([parent, *legs, orphan]).lookups == ("o-1",)
    acknowledged_parent = after(ACCEPTED, start=parent)
    assert planned([acknowledged_parent, *legs]).lookups == ()


def test_legs_are_matched_inside_their_parent() -> None:
    parent = multileg()
    asked = [intent(symbol=leg.symbol, side=leg.side) for leg in parent.intent.legs]
    legs = [
        after(SENT, start=created(one, order_id=OrderId(f"l-{n}"), leg_number=n, parent_order_id=parent.order_id))
        for n, one in enumerate(asked, start=1)
    ]
    nested = tuple(
        view_of(leg, broker_order_id=BrokerOrderId(f"b-{leg.order_id}"), client_order_id="auto") for leg in legs
    )
    stranger = view_of(WORKING, broker_order_id=BrokerOrderId("b-odd"), client_order_id="auto2", symbol="ODD")
    view = view_of(parent, symbol="", side=None, legs=(*nested, stranger))
    result = planned([parent, *legs], [view])
    assert [order.broker_order_id for order in carried_out([parent, *legs], result)] == ["b-1", "b-l-1", "b-l-2"]
    assert [(v.broker_order_id, v.parent_broker_order_id) for v in result.externals] == [("b-odd", "")]


def test_a_strange_leg_of_a_known_parent_keeps_its_parents_name() -> None:
    parent = after(ACCEPTED, start=multileg())
    stranger = view_of(WORKING, broker_order_id=BrokerOrderId("b-odd"), client_order_id="auto", symbol="ODD")
    result = planned([parent], [view_of(parent, symbol="", side=None, legs=(stranger,))])
    assert [(v.broker_order_id, v.parent_broker_order_id) for v in result.externals] == [("b-odd", "b-1")]


def test_what_matches_nothing_is_external_with_its_executions() -> None:
    stranger = view_of(WORKING, broker_order_id=BrokerOrderId("b-9"), client_order_id="by hand")
    trade = msgspec.structs.replace(traded(WORKING, "e-9", "1", "1"), broker_order_id=BrokerOrderId("b-9"))
    result = planned([WORKING], [view_of(WORKING), stranger], [stranger], [trade])
    assert [v.broker_order_id for v in result.externals] == ["b-9"]
    assert (result.unmatched_executions, result.reads) == ((trade,), ())


def test_an_external_is_imported_by_planning_again() -> None:
    view = found(Phase.FILLED, "filled", filled_quantity=dec("10"), average_price=dec("20"))
    trade = msgspec.structs.replace(traded(WORKING, "e-9", "10", "10"), broker_order_id=view.broker_order_id)
    first = planned([], [], [view], [trade])
    order = imported_as(first.externals[0])
    again = planned([order], [], [view], [trade])
    assert carried_out([order], again)[0].state is S.FILLED
    assert again.externals == ()


def test_legs_of_an_external_come_with_it_unless_they_are_known() -> None:
    leg = other(7)
    nested = (
        view_of(leg, Phase.CANCELED, "canceled"),
        view_of(WORKING, broker_order_id=BrokerOrderId("b-8"), client_order_id="x"),
    )
    parent = found(broker_order_id=BrokerOrderId("b-9"), legs=nested)
    result = planned([leg], [parent])
    assert ([v.broker_order_id for v in result.externals], result.reads) == (["b-9"], ())
    assert [order_id for order_id, _ in result.facts] == ["o-7"]


def test_what_may_be_a_leg_of_an_unanswered_order_waits_for_it() -> None:
    parent = multileg()
    flat = view_of(WORKING, broker_order_id=BrokerOrderId("b-9"), client_order_id="auto", symbol="AAPL260116C00200000")
    result = planned([parent], [flat])
    assert (result.externals, result.lookups) == ((), ("o-1",))


def test_an_external_chain_is_imported_by_its_eldest_and_lives_in_its_successor() -> None:
    elder = found(Phase.REPLACED, "replaced", replaced_by="b-2")
    heir = found(
        broker_order_id=BrokerOrderId("b-2"), client_order_id="other", replaces="b-1", terms=terms(quantity=dec("7"))
    )
    first = planned([], [heir], [elder])
    assert [v.broker_order_id for v in first.externals] == ["b-1"]
    order = imported_as(first.externals[0])
    again = planned([order], [heir], [elder])
    after_it = carried_out([order], again)[0]
    assert (after_it.state, after_it.terms.quantity, len(after_it.links)) == (S.ACCEPTED, 7, 2)
    assert again.externals == ()


def test_a_chain_that_grew_by_two_while_nobody_looked() -> None:
    elder = view_of(WORKING, Phase.REPLACED, "replaced", replaced_by="b-2")
    middle = view_of(
        WORKING,
        Phase.REPLACED,
        "replaced",
        broker_order_id=BrokerOrderId("b-2"),
        client_order_id="m",
        replaces="b-1",
        replaced_by="b-3",
    )
    heir = view_of(WORKING, broker_order_id=BrokerOrderId("b-3"), client_order_id="h", replaces="b-2")
    order = carried_out([WORKING], planned([WORKING], [heir], [middle, elder]))[0]
    assert [link.broker_order_id for link in order.links] == ["b-1", "b-2", "b-3"]


def test_a_successor_that_no_list_shows_is_read() -> None:
    elder = view_of(WORKING, Phase.REPLACED, "replaced", replaced_by="b-2")
    assert planned([WORKING], [], [elder]).reads == ("b-2",)


def test_the_fresher_of_two_views_of_one_order_counts() -> None:
    ended = view_of(WORKING, Phase.CANCELED, "canceled", updated_ns=NOW + 1)
    for lists in ([view_of(WORKING)], [ended]), ([ended], [view_of(WORKING)]):
        assert carried_out([WORKING], planned([WORKING], *lists))[0].state is S.CANCELED


def test_views_inside_one_another_are_as_old_as_the_question() -> None:
    moved = after(CANCELED, start=msgspec.structs.replace(WORKING))
    late = msgspec.structs.replace(moved, heard_ns=NOW + 5)
    result = planned([late], [view_of(WORKING, updated_ns=NOW, asked_ns=NOW + 9)])
    assert (result.facts, result.findings) == ((), ())


# ----------------------------------------------------------------------------------------------------------- findings


def kinds(result: Plan) -> list[str]:
    return [finding.kind for _, finding in result.findings]


def test_what_differs_after_all_is_found() -> None:
    booked = after(fill("e-1", "4", "20"), start=WORKING)
    fewer = view_of(booked, filled_quantity="3", average_price="20")
    assert kinds(planned([booked], [fewer])) == ["QUANTITY_DIFFERS"]
    dearer = view_of(booked, "WORKING", average_price="20.01")
    assert kinds(planned([booked], [dearer])) == ["AVERAGE_DIFFERS"]
    canceled = after(CANCELED, start=WORKING)
    assert kinds(planned([canceled], [view_of(canceled)])) == ["STATE_DIFFERS"]


def test_what_is_being_settled_is_not_found() -> None:
    waiting = after(report(Phase.FILLED, filled_quantity="10", average_price=None), start=WORKING)
    view = view_of(waiting, Phase.FILLED, "filled", average_price=None)
    assert kinds(planned([waiting], [], [view])) == ["QUANTITY_DIFFERS"]
    elder = view_of(WORKING, Phase.REPLACED, "replaced", replaced_by="b-2")
    assert kinds(planned([WORKING], [], [elder])) == []
    full = after(fill("e-1", "10"), start=WORKING)
    assert kinds(planned([full], [view_of(full, status="calculated")])) == []


def test_executions_that_are_news_may_be_younger_than_the_view() -> None:
    view = view_of(WORKING, filled_quantity="0")
    assert kinds(planned([WORKING], [view], [], [traded(WORKING, "e-1", "3", "3")])) == []


def test_a_view_older_than_what_is_known_proves_no_difference() -> None:
    order = after(CANCELED, start=WORKING)
    assert list(differences(order, view_of(order, asked_ns=order.heard_ns - 1))) == []
    assert list(differences(order, view_of(order, updated_ns=order.links[0].updated_ns - 1))) == []


def test_of_a_chain_nothing_is_compared_but_whether_it_lives() -> None:
    heir = view_of(WORKING, broker_order_id=BrokerOrderId("b-2"), client_order_id="h", replaces="b-1")
    chained = carried_out([WORKING], planned([WORKING], [heir]))[0]
    assert kinds(planned([chained], [view_of(chained, filled_quantity="0", average_price="7")])) == []


def test_a_second_broker_order_of_ours_is_told_every_time() -> None:
    twin = view_of(WORKING, broker_order_id=BrokerOrderId("b-9"))
    result = planned([WORKING], [view_of(WORKING), twin])
    assert "b-9" in [fact.view.broker_order_id for _, fact in result.facts if isinstance(fact, Reported)]
    assert result.externals == ()
    assert carried_out([WORKING], result)[0].links == WORKING.links


# ------------------------------------------------------------------------------------------------ everything vanished


@pytest.mark.parametrize("orders", [[WORKING, other(2)], [WORKING, other(2), other(3)]])
def test_everything_gone_at_once_is_not_believed(orders: list[Order]) -> None:
    result = planned(orders)
    assert result.is_mass_disappearance
    assert len(result.reads) == len(orders)


@pytest.mark.parametrize(
    ("orders", "lists"),
    [
        ([WORKING], {}),
        ([WORKING, other(2)], {"seen_open": [view_of(other(2))]}),
        ([WORKING, other(2)], {"seen_open": [found(broker_order_id=BrokerOrderId("b-77"))]}),
        ([WORKING, other(2)], {"seen_since": [view_of(WORKING, Phase.CANCELED, "canceled")]}),
        ([WORKING, other(2)], {"executions": [traded(WORKING, "e-1", "10", "10")]}),
        ([WORKING, other(2)], {"in_flight": {OrderId("o-2")}}),
        ([WORKING, other(2, parent_order_id=OrderId("o-1"))], {}),
        ([WORKING, after(lost())], {}),
    ],
    ids=["one", "one is there", "the list is not empty", "ended", "traded", "in flight", "a leg", "unplaced"],
)
def test_but_this_is_explained(orders: list[Order], lists: dict[str, object]) -> None:
    assert not planned(orders, **lists).is_mass_disappearance  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------------------- properties


def lists_of(model: Model) -> dict[str, object]:
    views = [model.view(book) for book in model.books]
    trades = [
        model.execution(book, trade) for book in model.books for trade in book.trades if trade.execution_id[0] == "e"
    ]
    return {
        "seen_open": [v for v in views if v.phase in {Phase.QUEUED, Phase.WORKING, Phase.PENDING_CANCEL}],
        "seen_since": views,
        "executions": trades,
    }


@settings(max_examples=200)
@given(data=st.data(), history=histories(CHAINS), quantity=st.integers(5, 20), carries_over=st.booleans())
def test_whatever_was_dropped_one_plan_brings_back(
    data: st.DataObject, history: list[Callable[[Model], None]], quantity: int, carries_over: bool
) -> None:
    model = Model(10, carries_over=carries_over)
    recorder = acknowledged(model, renames=False)
    ask_replace(recorder, quantity)
    happen(model, history)
    for fact in model.messages:
        if data.draw(st.booleans(), label="arrives"):
            recorder.take(fact)
    first = planned([recorder.order], asked_ns=recorder.number + 1, **lists_of(model))
    order = carried_out([recorder.order], first)[0]
    agrees(order, model)
    assert first.externals == ()
    second = planned([order], asked_ns=recorder.number + 2, **lists_of(model))
    assert second == Plan()


@given(history=histories(SIMPLE))
def test_a_plan_carried_out_twice_adds_nothing(history: list[Callable[[Model], None]]) -> None:
    model = Model(10)
    recorder = acknowledged(model, renames=False)
    happen(model, history)
    first = planned([recorder.order], asked_ns=recorder.number + 1, **lists_of(model))
    once = carried_out([recorder.order], first)
    assert carried_out(once, first) == once
    assert planned(once, asked_ns=recorder.number + 1, **lists_of(model)) == Plan()


@settings(max_examples=50)
@given(history=histories(CHAINS))
def test_an_unknown_history_is_imported_whole(history: list[Callable[[Model], None]]) -> None:
    model = Model(10)
    happen(model, history)
    first = planned([], **lists_of(model))
    assert len(first.externals) == 1
    order = imported_as(first.externals[0])
    order = carried_out([order], planned([order], asked_ns=NOW + 1, **lists_of(model)))[0]
    agrees(order, model)


def test_an_import_has_its_own_source() -> None:
    step = imported(imported_as(found()), source=EventSource.RECONCILER)
    assert (step.before, step.event.source) == (None, EventSource.RECONCILER)


def test_a_successor_of_an_order_that_is_bound_to_nothing_is_handed_on_for_its_elder() -> None:
    """The plan does not read the elder as anybody's: the order that takes the view has it read in its own name."""
    sent = after(lost())
    view = view_of(sent, broker_order_id="b-2", replaces="b-1")
    result = planned([sent], [view])
    assert ([order_id for order_id, _ in result.facts], result.reads) == ([sent.order_id] * 2, ())
    assert carried_out([sent], result) == [sent]


def test_replaces_cancels_and_busts_survive_a_plan() -> None:
    """What only the stream tells stays: the lists neither deny it nor repeat it."""
    order = after(ACCEPTED, fill("e-1", "4"), bust("e-1"), cancel(), start=None)
    view = view_of(order, filled_quantity="0", average_price=None)
    result = planned([order], [view], [], [traded(order, "e-1", "4", "4")])
    kept = carried_out([order], result)[0]
    assert (kept.filled_quantity, kept.pending_cancel, kept.state) == (0, True, S.ACCEPTED)
    asked = after(ACCEPTED, replace(limit_price=dec("21")))
    assert carried_out([asked], planned([asked], [view_of(asked)]))[0].pending_replace == asked.pending_replace
    assert ExecutionId("e-1") in kept.fills[0].aliases
