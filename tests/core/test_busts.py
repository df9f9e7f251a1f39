"""Executions taken back or restated: the trail stays, the totals follow, the state waits for a read."""

import pytest

from orderd.core.events import EventType, FillBusted
from orderd.core.order import FillStatus, Order, OrderState, Phase
from orderd.core.values import nanoseconds
from orderd.core.verdicts import Duplicate, Stale
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    EXPIRED,
    QUEUED,
    Told,
    after,
    applied,
    bust,
    by_notional,
    correct,
    dec,
    executed,
    fill,
    kinds,
    needs,
    replace,
    report,
    steps,
    successor,
    tell,
    when,
)
from tests.core.test_chains import BOUND

S = OrderState
READ = [("ORDER", "b-1")]
FULL = after(ACCEPTED, fill("e-1", "4"), fill("e-2", "6"))
CARRIED = after(
    ACCEPTED,
    fill("e-1", "4"),
    replace(quantity=dec("8")),
    successor(Phase.WORKING, "new", filled_quantity="4", average_price="20"),
)
"""A successor whose figure begins with what its elder executed."""


def trail(order: Order) -> list[tuple[str, str, str]]:
    return [(f.execution_id, str(f.quantity), f.status.value) for f in order.fills]


def works(quantity: str, average: str | None = "20") -> Told:
    return report(Phase.WORKING, "partially_filled", filled_quantity=quantity, average_price=average, asked_ns=10**6)


def test_a_bust_keeps_the_fill_and_takes_its_quantity_back() -> None:
    verdict = applied(tell(FULL, bust("e-1")))
    order = verdict.order
    assert trail(order) == [("e-1", "4", "BUSTED"), ("e-2", "6", "LIVE")]
    assert (order.filled_quantity, order.filled_value, order.is_busted) == (6, 120, True)
    assert (order.state, needs(verdict)) == (S.FILLED, READ)


def test_the_same_bust_again_is_stale() -> None:
    assert isinstance(tell(after(bust("e-1"), start=FULL), bust("e-1")), Stale)


def test_after_a_bust_a_working_order_goes_on_by_its_cumulative_quantity() -> None:
    order = after(bust("e-1"), works("6"), start=FULL)
    assert (order.state, order.leaves_quantity, order.closed_time) == (S.PARTIALLY_FILLED, 4, None)
    empty = after(bust("e-1"), bust("e-2"), works("0", None), start=FULL)
    assert (empty.state, empty.leaves_quantity) == (S.ACCEPTED, 10)


@pytest.mark.parametrize("phase", [Phase.CANCELED, Phase.EXPIRED, Phase.FILLED, Phase.REJECTED])
def test_after_a_bust_an_ended_order_ends_busted(phase: Phase) -> None:
    order = after(bust("e-1"), report(phase, filled_quantity="6", asked_ns=10**6), start=FULL)
    assert (order.state, order.leaves_quantity, order.filled_quantity) == (S.CANCELED, 0, 6)
    assert order.reason is not None
    assert order.reason.code == "BUSTED"


def test_what_was_said_before_the_bust_is_not_growth_after_it() -> None:
    order = after(bust("e-1"), start=FULL)
    old = report(Phase.FILLED, "filled", n=-1, filled_quantity="10", average_price="20", updated_ns=15)
    assert isinstance(tell(order, old), Stale)
    assert isinstance(tell(order, report(Phase.FILLED, filled_quantity="10", asked_ns=1)), Stale)
    assert after(old, start=order) == order


def test_the_message_of_the_bust_itself_may_tell_the_state() -> None:
    order = after(bust("e-1"), start=FULL)
    later = report(Phase.WORKING, "partially_filled", filled_quantity="6", updated_ns=2 * 10**18)
    assert after(later, start=order).state is S.PARTIALLY_FILLED


def test_it_may_fill_again() -> None:
    order = after(bust("e-1"), works("6"), start=FULL)
    order = after(executed("e-3", "4", "19", cum="10", n=10**6), start=order)
    assert (order.state, order.filled_quantity) == (S.FILLED, 10)
    assert after(report(Phase.FILLED, "filled", asked_ns=10**7, filled_quantity="10"), start=order).state is S.FILLED


def test_the_broker_counts_one_interval_twice() -> None:
    """6 on the books: the next execution ends at 10 again, and is not the one that ended there before."""
    order = after(bust("e-2"), start=FULL)
    order = after(executed("e-3", "6", "19", cum="10", n=10**6), start=order)
    assert trail(order) == [("e-1", "4", "LIVE"), ("e-2", "6", "BUSTED"), ("e-3", "6", "LIVE")]


def test_what_was_executed_before_the_bust_is_known_by_other_names_still() -> None:
    order = after(bust("e-1"), start=FULL)
    again = after(executed("a-1", "4", cum="4", n=21), executed("a-2", "6", cum="10", n=31), start=order)
    assert again.filled_quantity == 6
    assert [f.aliases for f in again.fills] == [("e-1", "a-1"), ("e-2", "a-2")]


def test_the_first_bust_of_a_working_order_takes_it_back_to_accepted() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), bust("e-1"))
    assert (order.state, order.filled_quantity, order.average_fill_price) == (S.ACCEPTED, 0, None)


@pytest.mark.parametrize("end", [CANCELED, EXPIRED])
def test_a_bust_of_an_ended_order_leaves_its_end(end: Told) -> None:
    order = after(ACCEPTED, fill("e-1", "4"), fill("e-2", "1"), end, bust("e-1"))
    assert (order.state, order.filled_quantity) == (after(ACCEPTED, end).state, 1)


def test_an_order_by_notional_stays_filled_while_something_is_left() -> None:
    done = after(ACCEPTED, fill("e-1", "10"), fill("e-2", "5", phase=Phase.FILLED), start=by_notional())
    order = after(bust("e-2"), start=done)
    said = report(Phase.FILLED, filled_quantity="10", asked_ns=10**6)
    assert after(said, start=order).state is S.FILLED
    assert after(works("10"), start=order).state is S.PARTIALLY_FILLED
    assert (
        after(bust("e-1"), report(Phase.FILLED, filled_quantity="0", asked_ns=10**6), start=order).state is S.CANCELED
    )


def test_filled_short_after_a_bust_ends_busted_though_it_was_never_filled_here() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), fill("e-2", "1"), bust("e-1"), start=None)
    said = report(Phase.FILLED, filled_quantity="1", asked_ns=10**6)
    assert after(said, start=order).state is S.CANCELED


def test_filled_short_ends_busted_though_the_bust_overtook_all_that_was_executed() -> None:
    order = after(ACCEPTED, bust("e-1"), report(Phase.FILLED, "filled", filled_quantity="0", asked_ns=10**6))
    assert (order.state, order.filled_quantity, order.reason and order.reason.code) == (S.CANCELED, 0, "BUSTED")
    told = after(fill("e-1", "10"), start=order)
    assert (told.state, trail(told)) == (S.CANCELED, [("e-1", "10", "BUSTED")])


def test_a_bust_on_the_elder_id_of_a_chain() -> None:
    order = after(
        executed("e-1", "3", cum="3", on="b-1"), executed("e-2", "2", cum="2", on="b-2"), bust("e-1"), start=BOUND
    )
    assert (order.filled_quantity, order.links[0].reported_quantity, order.links[1].reported_quantity) == (2, 0, 2)


def test_what_a_successor_took_over_falls_with_the_bust_of_its_elder() -> None:
    """Its figure was 4, all of it its elder's: the end that a later read tells with 0 is believed."""
    busted = applied(tell(CARRIED, bust("e-1")))
    assert (busted.order.state, needs(busted)) == (S.ACCEPTED, [("ORDER", "b-2"), ("ORDER", "b-1")])
    ended = report(Phase.CANCELED, "canceled", filled_quantity="0", average_price=None, asked_ns=10**6)
    order = after(ended, start=busted.order)
    assert (order.state, order.filled_quantity, order.links[-1].reported_quantity) == (S.CANCELED, 0, 0)


def test_a_read_of_the_successor_from_before_the_bust_is_not_believed() -> None:
    order = after(bust("e-1"), start=CARRIED)
    assert isinstance(tell(order, report(Phase.WORKING, filled_quantity="4", average_price="20", asked_ns=1)), Stale)
    assert isinstance(tell(order, report(Phase.WORKING, filled_quantity="4", updated_ns=1)), Stale)


def test_nor_is_a_successor_bound_by_it() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), replace(quantity=dec("8")), bust("e-1"))
    old = tell(order, successor(Phase.WORKING, "new", filled_quantity="4", average_price="20", asked_ns=1))
    assert isinstance(old, Stale)
    assert needs(old) == [("ORDER", "b-2")]
    bound = after(successor(Phase.WORKING, "new", asked_ns=10**6), start=order)
    assert (bound.broker_order_id, bound.links[-1].reported_quantity) == ("b-2", 0)


def test_a_successor_counts_its_executions_anew_after_the_bust_of_its_elder() -> None:
    """It counted to 5, of which 4 were its elder's; with 1 left, the next 4 end at 5 again."""
    order = after(fill("e-2", "1", "20", cum="5", on="b-2"), bust("e-1"), start=CARRIED)
    order = after(executed("e-3", "4", "19", cum="5", on="b-2", n=10**6), start=order)
    assert trail(order) == [("e-1", "4", "BUSTED"), ("e-2", "1", "LIVE"), ("e-3", "4", "LIVE")]


def test_a_view_asked_for_in_the_instant_of_the_bust_is_dated_by_the_broker() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), bust("e-1"))
    asked = {"filled_quantity": "4", "average_price": "20", "asked_ns": order.heard_ns}
    assert isinstance(tell(order, report(Phase.WORKING, updated_ns=1, **asked)), Stale)
    again = {"filled_quantity": "1", "average_price": "20", "asked_ns": order.heard_ns}
    later = after(report(Phase.WORKING, updated_ns=2 * 10**18, **again), start=order)
    assert (later.links[0].phase, later.links[0].reported_quantity) == (Phase.WORKING, 1)


def test_nothing_is_inferred_after_a_bust() -> None:
    order = after(bust("e-1"), works("6"), start=FULL)
    grown = report(
        Phase.WORKING, "partially_filled", filled_quantity="8", average_price="20", asked_ns=10**7, may_infer=True
    )
    verdict = tell(order, grown)
    assert (kinds(verdict), applied(verdict).order.filled_quantity) == (["EXECUTIONS_MISSING"], 6)


# ---------------------------------------------------------------------------------------------- busts before the fill


def test_a_bust_that_overtakes_its_fill_waits_for_it() -> None:
    waiting = applied(tell(after(ACCEPTED), bust("e-1")))
    assert ([s.type for s in waiting.steps], needs(waiting)) == ([EventType.RESTATED], READ)
    assert isinstance(tell(waiting.order, bust("e-1")), Duplicate)
    verdict = applied(tell(waiting.order, fill("e-1", "4", cum="4", updated_ns=1)))
    assert [s.type for s in verdict.steps] == [EventType.FILL_BUSTED]
    order = verdict.order
    assert (trail(order), order.filled_quantity, order.pending_busts) == ([("e-1", "4", "BUSTED")], 0, ())
    assert (order.state, needs(verdict)) == (S.ACCEPTED, READ)


def test_nor_does_it_disturb_what_was_executed_after_it() -> None:
    order = after(
        ACCEPTED, bust("e-1", n=20), executed("e-2", "4", "19", cum="4", n=30), executed("e-1", "4", cum="4", n=10)
    )
    assert trail(order) == [("e-2", "4", "LIVE"), ("e-1", "4", "BUSTED")]


def test_it_takes_an_inference_back_at_once() -> None:
    guessed = after(ACCEPTED, report(Phase.WORKING, filled_quantity="4", average_price="20", may_infer=True))
    order = after(bust("e-1"), start=guessed)
    assert (order.state, order.filled_quantity, order.fills[0].status) == (S.ACCEPTED, 0, FillStatus.CORRECTED)
    assert after(executed("e-1", "4", cum="4", n=1), start=order).filled_quantity == 0


def test_a_bust_heard_before_its_order_is_known_has_begun_the_count_anew() -> None:
    """Nothing lists the execution: what is left of a filled order is its end, and nobody waits for the rest."""
    filled = report(Phase.FILLED, "filled", filled_quantity="6", average_price="20", asked_ns=10**6, may_infer=True)
    order = after(bust("e-2"), filled, executed("e-1", "6", cum="6", n=1), filled)
    assert (len(order.links[0].bust_times), len(order.pending_busts)) == (1, 1)
    assert (order.state, order.filled_quantity, trail(order)) == (S.CANCELED, 6, [("e-1", "6", "LIVE")])
    late = after(executed("e-2", "4", cum="10", n=1), start=order)
    assert (late.state, late.filled_quantity, late.fills[1].status) == (S.CANCELED, 6, FillStatus.BUSTED)


def test_a_fill_whose_bust_came_before_it_and_before_its_order_is_no_word_about_what_is_left() -> None:
    """The first that is heard of the order is older than the bust: its count holds no more, and it is read again."""
    told = applied(tell(after(bust("e-1", n=50)), fill("e-1", "4")))
    order = told.order
    assert (order.filled_quantity, trail(order), needs(told)) == (0, [("e-1", "4", "BUSTED")], READ)
    assert (order.links[0].reported_quantity, order.links[0].phase) == (0, Phase.UNKNOWN)
    for said_later in ({"updated_ns": nanoseconds(when(60))}, {"asked_ns": 10**6}):
        assert after(report(Phase.CANCELED, "canceled", **said_later), start=order).state is S.CANCELED
        working = after(report(Phase.WORKING, "new", **said_later), start=order)
        assert (working.state, working.leaves_quantity) == (S.ACCEPTED, 10)


def test_on_a_chain_it_waits_until_the_fill_says_which_order_it_was() -> None:
    waiting = applied(tell(BOUND, bust("e-1")))
    assert (needs(waiting), waiting.order.links) == ([], BOUND.links)
    order = after(executed("e-1", "3", cum="3", on="b-1"), start=waiting.order)
    assert (order.filled_quantity, trail(order)) == (0, [("e-1", "3", "BUSTED")])
    named = after(bust("e-1", on="b-1"), start=BOUND)
    assert len(named.links[0].bust_times) == 1


def test_a_fill_known_by_another_name_is_busted_when_the_name_comes() -> None:
    order = after(ACCEPTED, executed("a-1", "4", cum="4"), bust("e-1"))
    assert order.filled_quantity == 4
    named = after(executed("e-1", "4", cum="4", n=order.version), start=order)
    assert (named.filled_quantity, named.fills[0].aliases, named.fills[0].status) == (
        0,
        ("a-1", "e-1"),
        FillStatus.BUSTED,
    )


def test_an_undone_execution_across_known_ones_is_in_the_trail_only() -> None:
    order = after(ACCEPTED, executed("e-1", "4", cum="4", n=1), bust("odd", n=50), executed("odd", "4", cum="6", n=2))
    assert trail(order) == [("e-1", "4", "LIVE"), ("odd", "4", "BUSTED")]


def test_a_bust_names_the_other_execution_of_an_interval_counted_twice() -> None:
    """e-2 took e-1's interval after e-1 was busted, and was told first: the bust must not hit it."""
    order = after(ACCEPTED, executed("e-2", "4", cum="4", n=60), executed("e-1", "4", cum="4", n=10))
    assert order.fills[0].aliases == ("e-2", "e-1")
    busted = after(bust("e-1", n=30), start=order)
    assert (busted.filled_quantity, trail(busted)) == (4, [("e-2", "4", "LIVE")])


def test_a_later_bust_names_an_execution_that_was_taken_for_a_busted_one() -> None:
    order = after(ACCEPTED, executed("e-1", "4", cum="4", n=10), executed("e-2", "4", cum="4", n=60), bust("e-1", n=30))
    waiting = after(bust("e-2", n=90), start=order)
    assert [b.previous_execution_id for b in waiting.pending_busts] == ["e-2"]
    again = after(executed("e-2", "4", cum="4", n=60), start=waiting)
    assert (again.filled_quantity, again.pending_busts) == (0, ())
    assert trail(again) == [("e-1", "4", "BUSTED"), ("e-2", "4", "BUSTED")]


def test_the_event_of_an_undone_execution_carries_it() -> None:
    event = steps(after(QUEUED), bust("e-1"), executed("e-1", "4", cum="4", n=1))[-1].event
    assert isinstance(event, FillBusted)
    assert (event.removed, event.added[0].fill_id) == (("o-1-f1",), "o-1-f1")


# -------------------------------------------------------------------------------------------------------- corrections


def test_a_correction_marks_the_old_fill_and_adds_a_live_one() -> None:
    order = after(correct("e-1", "c-1", "4", "19.5"), start=FULL)
    assert trail(order) == [("e-1", "4", "CORRECTED"), ("e-2", "6", "LIVE"), ("c-1", "4", "LIVE")]
    assert (order.state, order.filled_value, order.is_busted) == (S.FILLED, dec("198.0"), False)
    assert order.links[0].bust_times == ()


def test_a_correction_is_made_once() -> None:
    order = after(correct("e-1", "c-1", "4", "19.5"), start=FULL)
    assert isinstance(tell(order, correct("e-1", "c-1", "4", "19.5")), Stale)
    same_id = after(correct("e-1", "e-1", "4", "19.5"), start=FULL)
    assert isinstance(tell(same_id, correct("e-1", "e-1", "4", "19.5")), Duplicate)
    assert isinstance(tell(same_id, executed("e-1", "4", cum="4", n=21)), Duplicate)


def test_a_correction_may_be_corrected_and_busted() -> None:
    order = after(correct("e-1", "c-1", "4", "19.5"), correct("c-1", "c-2", "4", "19.6"), bust("c-2"), start=FULL)
    assert trail(order)[-1] == ("c-2", "4", "BUSTED")
    assert order.filled_quantity == 6


def test_a_smaller_quantity_waits_for_a_read_like_a_bust() -> None:
    verdict = applied(tell(FULL, correct("e-2", "c-2", "5", "20")))
    assert (verdict.order.state, verdict.order.filled_quantity, needs(verdict)) == (S.FILLED, 9, READ)
    assert after(works("9"), start=verdict.order).state is S.PARTIALLY_FILLED


def test_a_larger_quantity_may_fill_it() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), correct("e-1", "c-1", "10", "20"))
    assert (order.state, order.filled_quantity) == (S.FILLED, 10)


def test_a_correction_to_nothing_is_a_bust() -> None:
    assert trail(after(correct("e-1", "c-1", "0", "20"), start=FULL))[0] == ("e-1", "4", "BUSTED")


def test_a_correction_without_an_id_of_its_own_keeps_the_old_one() -> None:
    order = after(correct("e-1", "", "4", "19.5"), start=FULL)
    assert trail(order)[-1] == ("e-1", "4", "LIVE")


def test_a_correction_that_overtakes_its_fill_waits_for_it() -> None:
    order = after(ACCEPTED, correct("e-1", "c-1", "4", "19.5"), executed("e-1", "4", "20", cum="4", n=1))
    assert trail(order) == [("e-1", "4", "CORRECTED"), ("c-1", "4", "LIVE")]
    assert order.pending_busts == ()


def test_corrections_that_overtake_each_other_are_applied_in_turn() -> None:
    order = after(bust("c-1"), start=after(ACCEPTED, fill("e-1", "4")))
    order = after(correct("e-1", "c-1", "4", "19.5", n=1), start=order)
    assert trail(order) == [("e-1", "4", "CORRECTED"), ("c-1", "4", "BUSTED")]


def test_other_names_of_a_corrected_execution_are_of_the_old_fill() -> None:
    order = after(correct("e-1", "c-1", "4", "19.5"), executed("a-1", "4", cum="4", n=21), start=FULL)
    assert (order.filled_quantity, order.fills[0].aliases) == (10, ("e-1", "a-1"))


@pytest.mark.parametrize("told", [bust("e-1"), correct("e-1", "c-1", "3", "20")])
def test_before_any_broker_order_is_known_both_wait(told: Told) -> None:
    order = after(told)
    assert (order.state, len(order.pending_busts)) == (S.SUBMITTED, 1)
