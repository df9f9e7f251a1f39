"""A broker's figure and the executions behind it: what waits, what is inferred, what explains an inference later."""

from decimal import Decimal

from orderd.core.order import FillStatus, Order, OrderState, Phase
from orderd.core.verdicts import Duplicate
from tests.core.builders import (
    ACCEPTED,
    QUEUED,
    Told,
    after,
    applied,
    dec,
    executed,
    fill,
    kinds,
    needs,
    report,
    tell,
)

S = OrderState
FETCH = [("EXECUTIONS", "b-1")]


def poll(quantity: str, average: str | None, phase: Phase = Phase.WORKING, **changes: object) -> Told:
    return report(phase, filled_quantity=quantity, average_price=average, **changes)


def guess(quantity: str, average: str | None, phase: Phase = Phase.WORKING) -> Told:
    """What the engine says once executions were asked for."""
    return poll(quantity, average, phase, may_infer=True)


def shape(order: Order) -> list[tuple[str, str, str, str]]:
    """The counted fills by place: (execution id, quantity, price, cumulative)."""
    counted = sorted((f for f in order.fills if f.is_counted), key=lambda f: f.cum_after)
    return [(f.execution_id, str(f.quantity), str(f.price.normalize()), str(f.cum_after)) for f in counted]


def test_growth_that_nobody_explains_asks_for_executions() -> None:
    verdict = applied(tell(after(ACCEPTED), poll("4", "20")))
    assert (verdict.order.filled_quantity, verdict.order.links[0].reported_quantity) == (0, 4)
    assert needs(verdict) == FETCH


def test_the_end_waits_for_the_executions_behind_it() -> None:
    waiting = applied(tell(after(ACCEPTED), poll("4", "20", Phase.CANCELED)))
    assert (waiting.order.state, waiting.order.broker_status, needs(waiting)) == (S.ACCEPTED, "canceled", FETCH)
    order = after(executed("e-1", "4", cum="4"), start=waiting.order)
    assert (order.state, order.filled_quantity, order.leaves_quantity) == (S.CANCELED, 4, 0)


def test_filled_waits_for_every_execution() -> None:
    waiting = after(ACCEPTED, poll("10", "20", Phase.FILLED))
    part = applied(tell(waiting, executed("e-1", "4", cum="4")))
    assert (part.order.state, needs(part)) == (S.PARTIALLY_FILLED, FETCH)
    assert after(executed("e-2", "6", cum="10"), start=part.order).state is S.FILLED


def test_the_stream_explains_a_poll_that_was_quicker() -> None:
    order = after(ACCEPTED, poll("4", "20"), fill("e-1", "4", cum="4"))
    assert shape(order) == [("e-1", "4", "2E+1", "4")]


def test_what_no_execution_explains_is_inferred_from_the_averages() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "20"), guess("10", "20.6", Phase.FILLED))
    assert shape(order) == [("e-1", "4", "2E+1", "4"), ("", "6", "21", "10")]
    assert (order.state, order.average_fill_price, order.fills[1].status) == (
        S.FILLED,
        dec("20.6"),
        FillStatus.INFERRED,
    )


def test_an_inference_is_made_once() -> None:
    order = after(ACCEPTED, guess("4", "20"))
    assert isinstance(tell(order, guess("4", "20")), Duplicate)


def test_every_hole_is_inferred() -> None:
    order = after(ACCEPTED, executed("e-2", "2", "21", cum="5"), guess("8", "20.25"))
    assert shape(order) == [("", "3", "2E+1", "3"), ("e-2", "2", "21", "5"), ("", "3", "2E+1", "8")]
    assert order.filled_value == 162


def test_a_canceled_order_is_inferred_before_it_ends() -> None:
    order = after(ACCEPTED, guess("4", "20", Phase.CANCELED))
    assert (order.state, order.filled_quantity) == (S.CANCELED, 4)


def test_without_a_price_nothing_is_inferred_and_nothing_ends() -> None:
    verdict = applied(tell(after(ACCEPTED), guess("10", None, Phase.FILLED)))
    assert (verdict.order.state, verdict.order.fills, kinds(verdict)) == (S.ACCEPTED, (), ["PRICE_MISSING"])
    order = after(guess("10", "20", Phase.FILLED), start=verdict.order)
    assert (order.state, order.average_fill_price) == (S.FILLED, 20)


def test_a_price_that_comes_later_is_taken_though_nothing_else_is_new() -> None:
    order = after(ACCEPTED, poll("10", None, Phase.FILLED))
    assert after(poll("10", "20", Phase.FILLED, n=-10, may_infer=True), start=order).state is S.FILLED


def test_rounded_averages_never_make_a_negative_price() -> None:
    order = after(ACCEPTED, executed("e-1", "9", "20", cum="9"), guess("10", "17"))
    assert shape(order)[1] == ("", "1", "17", "10")


# ---------------------------------------------------------------------------------------- what explains an inference


def test_an_execution_consumes_the_inference_that_it_explains() -> None:
    guessed = after(ACCEPTED, guess("10", "20", Phase.FILLED))
    order = after(executed("e-1", "10", "20", cum="10"), start=guessed)
    assert shape(order) == [("e-1", "10", "2E+1", "10")]
    assert order.fills[0].status is FillStatus.CORRECTED
    assert (order.state, order.is_busted) == (S.FILLED, False)


def test_the_part_that_is_not_explained_keeps_the_rest_of_the_value() -> None:
    guessed = after(ACCEPTED, guess("10", "20"))
    order = after(executed("e-2", "4", "21", cum="7"), start=guessed)
    assert order.filled_quantity == 10
    assert shape(order)[1] == ("e-2", "4", "21", "7")
    assert order.filled_value.quantize(Decimal("1e-12")) == 200
    whole = after(executed("e-1", "3", "19", cum="3"), executed("e-3", "3", "19.5", cum="10"), start=order)
    assert shape(whole) == [("e-1", "3", "19", "3"), ("e-2", "4", "21", "7"), ("e-3", "3", "19.5", "10")]


def test_an_execution_that_explains_more_than_was_inferred_grows_the_total() -> None:
    guessed = after(ACCEPTED, guess("3", "20"))
    order = after(executed("e-1", "10", "20", cum="10"), start=guessed)
    assert (order.filled_quantity, order.state, shape(order)) == (10, S.FILLED, [("e-1", "10", "2E+1", "10")])


def test_an_execution_may_explain_several_inferences() -> None:
    guessed = after(ACCEPTED, guess("3", "20"), guess("6", "20"))
    assert len([f for f in guessed.fills if f.is_counted]) == 2
    assert shape(after(executed("e-1", "6", "20", cum="6"), start=guessed)) == [("e-1", "6", "2E+1", "6")]


def test_the_rest_of_a_wrong_guess_is_never_priced_below_zero() -> None:
    guessed = after(ACCEPTED, guess("10", "2"))
    order = after(executed("e-1", "9", "20", cum="9"), start=guessed)
    assert shape(order)[1] == ("", "1", "2", "10")


def test_filled_short_of_what_was_asked_is_a_finding() -> None:
    verdict = tell(after(ACCEPTED), guess("4", "20", Phase.FILLED))
    assert kinds(verdict) == ["FILLED_SHORT"]
    assert applied(verdict).order.state is S.PARTIALLY_FILLED


def test_a_queued_word_moves_nothing_that_works() -> None:
    assert after(ACCEPTED, QUEUED).state is S.ACCEPTED
