"""The figures of a record and of its broker compared: what differs, and what is only counted or printed otherwise."""

import pytest

from orderd.core.lifecycle import decide
from orderd.core.order import Order, OrderState, Phase
from orderd.core.reconcile import Plan
from orderd.core.values import BrokerOrderId
from tests.core.builders import ACCEPTED, after, dec, execution, fill, multileg, replace, report, successor
from tests.core.test_reconcile import WORKING, carried_out, kinds, planned, view_of

S = OrderState


def found_by_facts(order: Order, plan: Plan) -> list[str]:
    """What the facts of a plan themselves find."""
    return [finding.kind for _, fact in plan.facts for finding in decide(order, fact).findings]


def test_averages_are_compared_as_the_broker_prints_them() -> None:
    booked = after(fill("e-1", "2", "20"), fill("e-2", "1", "20.01"), start=WORKING)
    assert kinds(planned([booked], [view_of(booked, average_price="20.0033")])) == []
    assert kinds(planned([booked], [view_of(booked, average_price=None)])) == []


def test_an_average_without_decimals_is_not_rounded() -> None:
    """A broker prints 80.00 as "80"; 80.5 would be "80.5"."""
    booked = after(fill("e-1", "4", "80.5"), start=WORKING)
    assert kinds(planned([booked], [view_of(booked, average_price="80")])) == ["AVERAGE_DIFFERS"]
    assert kinds(planned([booked], [view_of(booked, average_price="80.5")])) == []


@pytest.mark.parametrize(
    ("figures", "found"),
    [(("4", "4"), []), (("0", "0"), []), (("4", "0"), ["QUANTITY_DIFFERS"]), (("4", "3"), ["QUANTITY_DIFFERS"])],
    ids=["the chain's total", "its own", "it fell", "it is neither"],
)
def test_a_successor_s_figure_is_its_own_or_the_chain_s_and_never_falls(
    figures: tuple[str, str], found: list[str]
) -> None:
    before, now = figures
    booked = after(ACCEPTED, fill("e-1", "4"))
    heir = view_of(booked, broker_order_id=BrokerOrderId("b-2"), replaces="b-1", filled_quantity=before)
    chained = carried_out([booked], planned([booked], [heir]))[0]
    assert [link.reported_quantity for link in chained.links] == [4, int(before)]
    assert kinds(planned([chained], [view_of(chained, filled_quantity=now)])) == found


@pytest.mark.parametrize("phase", [Phase.WORKING, Phase.CANCELED])
def test_nor_does_the_total_of_a_chain_fall_to_what_its_last_one_traded(phase: Phase) -> None:
    """1 under the elder, 1 under its successor, which counts both: with 1 left, one was taken back unheard."""
    order = after(ACCEPTED, fill("e-1", "1"), replace(quantity=dec("12")), successor(Phase.WORKING, "new"))
    order = after(fill("e-2", "1", cum="2", on="b-2"), report(phase, filled_quantity="2"), start=order)
    assert kinds(planned([order], [], [view_of(order, phase, filled_quantity="2")])) == []
    assert kinds(planned([order], [], [view_of(order, phase, filled_quantity="1")])) == ["QUANTITY_DIFFERS"]


@pytest.mark.parametrize(("booked", "found"), [("1", ["QUANTITY_DIFFERS"]), ("0", [])])
def test_what_a_successor_counted_for_a_while_is_missing_no_more(booked: str, found: list[str]) -> None:
    """10 were executed and taken back unheard, and before them what is booked: only that differs by now."""
    order = after(ACCEPTED, replace(quantity=dec("12")), successor(Phase.WORKING, "new"))
    if booked != "0":
        order = after(fill("e-1", booked, on="b-2"), start=order)
    order = after(report(Phase.CANCELED, filled_quantity="10", average_price="20", asked_ns=10**5), start=order)
    missed = planned(
        [order], [], [view_of(order, Phase.CANCELED, "canceled", filled_quantity="10", average_price="20")]
    )
    assert found_by_facts(order, missed) == ["EXECUTIONS_MISSING"]
    fallen = planned([order], [], [view_of(order, Phase.CANCELED, "canceled", filled_quantity="0", average_price=None)])
    assert (found_by_facts(order, fallen), kinds(fallen)) == ([], found)
    assert carried_out([order], fallen)[0].state is S.CANCELED


def test_an_execution_taken_back_unheard_is_no_price_that_is_missing() -> None:
    """The broker ended it with 4, its list of executions counts to 5: the fifth was busted before it was ever told."""
    ended = view_of(WORKING, Phase.FILLED, "filled", filled_quantity="4", average_price="20")
    listed = execution(WORKING, 1, "e-2", "4", "20", "5", "b-1")
    first = planned([WORKING], [], [ended], [listed])
    (order,) = carried_out([WORKING], first)
    assert (order.filled_quantity, order.links[0].reported_quantity, kinds(first)) == (4, 5, [])
    assert kinds(planned([order], [], [ended], [listed])) == ["STATE_DIFFERS"]


@pytest.mark.parametrize(("figure", "found"), [("3", ["QUANTITY_DIFFERS"]), ("4", []), ("6", [])])
def test_an_elder_counts_no_less_than_was_executed_under_itself(figure: str, found: list[str]) -> None:
    """What it counts beyond that it may carry. Its successor began with nothing and shows nothing of it."""
    order = after(ACCEPTED, fill("e-1", "4"), replace(quantity=dec("12")), successor(Phase.WORKING, "new"))
    elder = view_of(order, Phase.REPLACED, "replaced", broker_order_id="b-1", filled_quantity=figure)
    assert kinds(planned([order], [view_of(order)], [elder])) == found


def test_nothing_of_the_elders_of_a_spread_is_compared() -> None:
    """A spread's figures are its broker's own, of the whole chain: none is of one broker order of it."""
    spread = after(ACCEPTED, report(Phase.WORKING, filled_quantity="1", average_price="1"), start=multileg())
    order = after(
        replace(quantity=dec("8")), successor(Phase.WORKING, filled_quantity="1", average_price="1"), start=spread
    )
    elder = view_of(order, Phase.REPLACED, "replaced", broker_order_id="b-1", filled_quantity="0")
    assert [link.broker_order_id for link in order.links] == ["b-1", "b-2"]
    assert kinds(planned([order], [view_of(order)], [elder])) == []
