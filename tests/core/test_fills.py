"""Executions: what is booked, what is a repeat, and what a contradiction leaves behind."""

from decimal import Decimal

import pytest

from orderd.core.facts import Reported
from orderd.core.order import FillStatus, Order, OrderState, Phase
from orderd.core.verdicts import Duplicate, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    REJECTED,
    Told,
    after,
    applied,
    by_notional,
    dec,
    executed,
    fill,
    kinds,
    needs,
    report,
    tell,
)

S = OrderState


def counted(order: Order) -> list[tuple[str, str, str]]:
    return [(f.execution_id, str(f.quantity), str(f.price)) for f in order.fills if f.is_counted]


def test_a_fill_that_crosses_the_cancel_is_still_counted() -> None:
    order = after(ACCEPTED, CANCELED, fill("e-1", "4"))
    assert order.state is OrderState.CANCELED
    assert (order.filled_quantity, order.leaves_quantity) == (4, 0)


def test_a_part_leaves_the_rest() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "19.99"))
    assert (order.state, order.filled_quantity, order.leaves_quantity) == (S.PARTIALLY_FILLED, 4, 6)
    assert order.average_fill_price == dec("19.99")


def test_the_rest_fills_it() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "19.99"), fill("e-2", "6", "20.01"))
    assert (order.state, order.leaves_quantity) == (S.FILLED, 0)
    assert order.filled_value == dec("200.02")
    assert order.average_fill_price == dec("20.002")


def test_the_average_is_rounded_half_even_at_eighteen_places() -> None:
    order = after(fill("e-1", "2", "10"), fill("e-2", "1", "11"))
    assert order.filled_value == 31
    assert order.average_fill_price == Decimal("10.333333333333333333")


@pytest.mark.parametrize("start", [after(), after(QUEUED)], ids=["unacknowledged", "queued"])
def test_a_fill_may_be_the_first_word(start: Order) -> None:
    """The fill binds the broker's order when no answer has yet."""
    order = after(fill("e-1", "4"), start=start)
    assert (order.state, order.broker_order_id, order.filled_quantity) == (S.PARTIALLY_FILLED, "b-1", 4)


def test_fill_ids_are_counted_per_order() -> None:
    assert [f.fill_id for f in after(fill("e-1", "1"), fill("e-2", "1")).fills] == ["o-1-f1", "o-1-f2"]


@pytest.mark.parametrize(
    "again", [fill("e-1", "4", cum="4"), executed("e-1", "4", cum="4"), executed("e-1", "4", cum=None)]
)
def test_the_same_execution_is_booked_once(again: Told) -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    assert after(again, start=order).fills == order.fills


def test_a_repeated_message_is_a_duplicate() -> None:
    told = fill("e-1", "4")(after(ACCEPTED), 50)
    order = after(lambda o, n: told, start=after(ACCEPTED))
    assert isinstance(tell(order, lambda o, n: told), Duplicate)


def test_one_execution_under_two_ids_is_one_fill_with_two_names() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), executed("20260105::e-1", "4", cum="4"))
    assert order.filled_quantity == 4
    assert order.fills[0].aliases == ("e-1", "20260105::e-1")
    assert isinstance(tell(order, executed("20260105::e-1", "4", cum="4")), Duplicate)


def test_an_execution_without_an_id_is_told_by_its_place() -> None:
    order = after(ACCEPTED, fill(None, "4", cum="4"))
    assert (order.filled_quantity, order.fills[0].execution_id) == (4, "")
    assert isinstance(tell(order, executed(None, "4", cum="4")), Duplicate)


def test_neither_id_nor_place_is_nothing_to_book() -> None:
    verdict = tell(after(ACCEPTED), executed(None, "4", cum=None))
    assert isinstance(verdict, Duplicate)
    assert needs(verdict) == [("EXECUTIONS", "b-1")]


def test_gaps_are_filled_in_whatever_order_they_come() -> None:
    later = applied(tell(after(ACCEPTED), fill("e-2", "2", cum="5")))
    assert (later.order.filled_quantity, needs(later)) == (2, [("EXECUTIONS", "b-1")])
    order = after(executed("e-1", "3", cum="3"), start=later.order)
    assert (order.filled_quantity, order.leaves_quantity) == (5, 5)


def test_an_aggregate_of_known_executions_is_told_twice() -> None:
    order = after(ACCEPTED, fill("e-1", "3"), fill("e-2", "2"))
    assert isinstance(tell(order, executed("sum", "5", cum="5")), Duplicate)
    assert isinstance(tell(order, executed("part", "1", cum="2")), Duplicate)


@pytest.mark.parametrize(("quantity", "cum"), [("4", "5"), ("6", "7"), ("4", "6")])
def test_an_execution_across_known_ones_is_a_contradiction(quantity: str, cum: str) -> None:
    order = after(ACCEPTED, fill("e-1", "3"), executed("e-2", "1", cum="6"))
    verdict = tell(order, executed("odd", quantity, cum=cum))
    assert kinds(verdict) == ["EXECUTION_OVERLAPS"]
    assert ("EXECUTIONS", "b-1") in needs(verdict)
    assert after(executed("odd", quantity, cum=cum), start=order).filled_quantity == 4


@pytest.mark.parametrize("content", [("4", "20.01"), ("3", "20")])
def test_the_same_id_with_other_content_leaves_the_first(content: tuple[str, str]) -> None:
    order = after(ACCEPTED, fill("e-1", "4", "20"))
    verdict = tell(order, executed("e-1", *content, cum="4"))
    assert kinds(verdict) == ["EXECUTION_CHANGED"]
    assert counted(after(executed("e-1", *content, cum="4"), start=order)) == [("e-1", "4", "20")]


def test_the_same_place_at_another_price_is_the_same_execution_and_a_finding() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "20"))
    verdict = tell(order, executed("a-1", "4", "20.5", cum="4"))
    assert isinstance(verdict, Duplicate), "its id may be another one's: it is no name of this one"
    assert kinds(verdict) == ["EXECUTION_CHANGED"]
    assert counted(after(executed("a-1", "4", "20.5", cum="4"), start=order)) == [("e-1", "4", "20")]


def test_executions_of_nothing_are_ignored() -> None:
    assert isinstance(tell(after(ACCEPTED), executed("e-0", "0", cum="0")), Duplicate)


@pytest.mark.parametrize("end", [CANCELED, EXPIRED])
def test_a_late_fill_is_booked_and_the_end_stays(end: Told) -> None:
    ended = after(ACCEPTED, fill("e-1", "4"), end)
    order = after(executed("e-2", "2", cum="6"), start=ended)
    assert (order.state, order.filled_quantity, order.leaves_quantity) == (ended.state, 6, 0)
    assert order.closed_time == ended.closed_time


@pytest.mark.parametrize("end", [CANCELED, EXPIRED])
def test_a_late_fill_of_everything_makes_it_filled(end: Told) -> None:
    order = after(ACCEPTED, end, executed("e-1", "10", cum="10"))
    assert (order.state, order.filled_quantity) == (S.FILLED, 10)


def test_a_fill_on_a_rejected_order_brings_it_back() -> None:
    verdict = applied(tell(after(QUEUED, REJECTED), fill("e-1", "4", phase=Phase.REJECTED, status="rejected")))
    assert (verdict.steps[0].after.state, kinds(verdict)) == (S.PARTIALLY_FILLED, ["REVIVED"])


def test_a_fill_of_everything_on_a_rejected_order_fills_it() -> None:
    verdict = applied(tell(after(QUEUED, REJECTED), executed("e-1", "10", cum="10")))
    assert (verdict.order.state, kinds(verdict)) == (S.FILLED, ["REVIVED"])


def test_a_rejection_after_a_fill_is_a_cancel_with_the_brokers_word() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), REJECTED)
    assert (order.state, order.filled_quantity) == (S.CANCELED, 4)
    assert order.reason is not None
    assert (order.reason.code, order.reason.message) == ("REJECTED", "no such luck")


def test_more_than_was_asked_is_booked_and_flagged() -> None:
    verdict = applied(tell(after(ACCEPTED, fill("e-1", "4")), fill("e-2", "7")))
    assert (verdict.order.state, verdict.order.filled_quantity, verdict.order.is_overfilled) == (S.FILLED, 11, True)
    assert verdict.order.leaves_quantity == 0
    assert kinds(verdict) == ["OVERFILL"]
    more = applied(tell(verdict.order, fill("e-3", "1")))
    assert (more.order.state, more.order.filled_quantity, kinds(more)) == (S.FILLED, 12, ["OVERFILL"])


def test_an_execution_of_an_unknown_broker_order_asks_for_it() -> None:
    verdict = tell(after(ACCEPTED), executed("e-1", "4", cum="4", on="b-9"))
    assert isinstance(verdict, Stale)
    assert needs(verdict) == [("ORDER", "b-9")]


def test_a_message_with_another_orders_execution_books_none() -> None:
    def told(order: Order, n: int) -> Reported:
        said = fill("e-1", "4", cum="0")(order, n)
        one = executed("e-1", "4", cum="4", on="b-9")(order, n)
        return said.__class__(at=said.at, source=said.source, view=said.view, execution=one.execution)

    verdict = tell(after(ACCEPTED), told)
    assert after(told, start=after(ACCEPTED)).fills == ()
    assert ("EXECUTIONS", "b-9") in needs(verdict)


# ---------------------------------------------------------------------------------------- executions without a place


def test_without_a_place_it_lies_behind_what_is_booked() -> None:
    order = after(ACCEPTED, executed("x-1", "1", cum=None), executed("x-2", "1", cum=None))
    assert [f.cum_after for f in order.fills] == [1, 2]
    assert after(executed("y-1", "1", cum="1"), executed("y-2", "1", cum="2"), start=order).filled_quantity == 2


def test_without_a_place_it_is_told_twice_when_the_broker_counts_no_more() -> None:
    order = after(ACCEPTED, executed("y-1", "1", cum="1"))
    verdict = tell(order, executed("x-1", "1", cum=None))
    assert isinstance(verdict, Duplicate)
    assert needs(verdict) == [("EXECUTIONS", "b-1")]


def test_without_a_place_it_explains_what_was_inferred() -> None:
    order = after(ACCEPTED, report(Phase.WORKING, filled_quantity="3", average_price="20", may_infer=True))
    order = after(executed("x-1", "2", cum=None), start=order)
    assert order.filled_quantity == 3
    assert [(f.execution_id, f.quantity, f.status) for f in order.fills if f.is_counted] == [
        ("x-1", 2, FillStatus.LIVE),
        ("", 1, FillStatus.INFERRED),
    ]


# ------------------------------------------------------------------------------------------------------- by notional


def test_an_order_by_notional_is_filled_by_the_brokers_word_alone() -> None:
    order = after(ACCEPTED, fill("e-1", "10"), fill("e-2", "10"), start=by_notional())
    assert (order.state, order.filled_quantity, order.leaves_quantity) == (S.PARTIALLY_FILLED, 20, None)
    done = after(fill("e-3", "5", phase=Phase.FILLED, status="filled"), start=order)
    assert (done.state, done.filled_quantity, done.leaves_quantity) == (S.FILLED, 25, 0)


def test_an_order_by_notional_that_is_filled_first_waits_for_its_executions() -> None:
    said = applied(
        tell(after(ACCEPTED, start=by_notional()), report(Phase.FILLED, filled_quantity="25", average_price="20"))
    )
    assert (said.order.state, needs(said)) == (S.ACCEPTED, [("EXECUTIONS", "b-1")])
    part = after(executed("e-1", "15", cum="15"), start=said.order)
    assert part.state is S.PARTIALLY_FILLED
    assert after(executed("e-2", "10", cum="25"), start=part).state is S.FILLED


def test_an_order_by_notional_is_filled_by_the_word_that_comes_last() -> None:
    order = after(ACCEPTED, fill("e-1", "25"), start=by_notional())
    assert order.state is S.PARTIALLY_FILLED
    assert after(report(Phase.FILLED, "filled"), start=order).state is S.FILLED
