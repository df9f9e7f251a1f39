"""A list shows a corrected execution as it has become, under its new id and with the broker's total of that moment:
that total is no place of its own, and the stream's word of the correction may come before or after.
"""

from orderd.core.order import Order, OrderState, Phase
from orderd.core.verdicts import Duplicate
from tests.core.builders import (
    ACCEPTED,
    Told,
    after,
    applied,
    bust,
    correct,
    dec,
    executed,
    fill,
    kinds,
    needs,
    report,
    tell,
)
from tests.core.test_chains import BOUND

FIRST = executed("e-1", "3", cum="3", n=1)
SECOND = executed("e-2", "1", cum="4", n=2)
LAST = executed("e-3", "1", cum="5", n=3)
AMENDED = executed("c-2", "1", "20.5", cum="5", n=10)
"""What became of the second one when all three were traded: the broker counted 5 then."""
AGAIN = executed("d-2", "1", "21", cum="5", n=20)
"""And what became of that."""


def counted(order: Order) -> list[tuple[str, str]]:
    return sorted((f.execution_id, str(f.price)) for f in order.fills if f.is_counted)


def trail(order: Order) -> list[tuple[str, str, str]]:
    return [(f.execution_id, str(f.cum_after), f.status.value) for f in order.fills]


def amend(*, n: int = 10) -> Told:
    return correct("e-2", "c-2", "1", "20.5", n=n)


def amend_again() -> Told:
    return correct("c-2", "d-2", "1", "21", n=20)


S = OrderState
WANTED = [("c-2", "20.5"), ("e-1", "20"), ("e-3", "20")]


def test_a_corrected_execution_in_a_list_is_the_one_that_was_told() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "86"), correct("e-1", "e-2", "4", "85.5"))
    listed = executed("activity-2", "4", "85.5", cum="4", n=5)
    assert kinds(tell(order, listed)) == []
    assert isinstance(tell(after(listed, start=order), listed), Duplicate)
    assert kinds(tell(after(listed, start=order), listed)) == []


def test_a_corrected_execution_at_a_third_price_is_a_finding() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "86"), correct("e-1", "e-2", "4", "85.5"))
    assert kinds(tell(order, executed("activity-2", "4", "85.7", cum="4", n=5))) == ["EXECUTION_CHANGED"]


def test_what_a_waiting_correction_led_to_is_booked_when_a_list_shows_it() -> None:
    """It is not the other execution that the broker's total of that moment ended with."""
    order = after(ACCEPTED, FIRST, amend(), LAST, AMENDED)
    assert (counted(order), order.filled_quantity) == (WANTED, 5)
    assert isinstance(tell(order, AMENDED), Duplicate)


def test_the_execution_that_was_corrected_comes_last_and_is_in_the_trail_only() -> None:
    verdict = applied(tell(after(ACCEPTED, FIRST, amend(), LAST, AMENDED), SECOND))
    assert (counted(verdict.order), verdict.order.pending_busts, verdict.findings) == (WANTED, (), ())
    assert ("e-2", "4", "CORRECTED") in trail(verdict.order)
    assert isinstance(tell(verdict.order, SECOND), Duplicate)


def test_a_correction_of_quantity_that_was_listed_first_begins_a_count_of_its_own() -> None:
    smaller = correct("e-2", "c-2", "1", "20", n=10)
    order = after(ACCEPTED, FIRST, smaller, executed("c-2", "1", cum="4", n=10), executed("e-2", "2", cum="5", n=2))
    assert (order.filled_quantity, len(order.links[0].bust_times)) == (4, 1)


def test_a_correction_of_a_correction_is_the_end_of_both() -> None:
    order = after(ACCEPTED, FIRST, amend_again(), amend(), LAST, AGAIN, SECOND)
    assert (counted(order), order.pending_busts) == ([("d-2", "21"), ("e-1", "20"), ("e-3", "20")], ())
    assert trail(order)[-2:] == [("e-2", "4", "CORRECTED"), ("c-2", "4", "CORRECTED")]
    ahead = after(ACCEPTED, FIRST, LAST, executed("d-2", "1", "21", cum="6", n=20), amend_again(), amend(), SECOND)
    assert (counted(ahead), ahead.pending_busts) == (counted(order), ())
    assert trail(ahead)[-1] == ("d-2", "4", "LIVE")


def test_one_whose_end_nobody_told_is_applied_in_turn() -> None:
    order = after(ACCEPTED, FIRST, amend_again(), amend(), LAST, SECOND)
    assert counted(order) == [("d-2", "21"), ("e-1", "20"), ("e-3", "20")]
    undone = after(ACCEPTED, FIRST, bust("c-2", n=20), amend(), LAST, SECOND)
    assert (counted(undone), undone.pending_busts) == ([("e-1", "20"), ("e-3", "20")], ())


def test_what_is_booked_under_an_elder_name_is_not_booked_again_as_what_became_of_it() -> None:
    """The second correction is told, the first one is not yet."""
    order = after(ACCEPTED, FIRST, SECOND, LAST, amend_again())
    ahead = tell(order, AGAIN)
    assert (isinstance(ahead, Duplicate), kinds(ahead)) == (True, ["EXECUTION_CHANGED"])
    in_turn = after(amend(), start=order)
    assert (counted(in_turn), in_turn.pending_busts) == ([("d-2", "21"), ("e-1", "20"), ("e-3", "20")], ())


def test_an_execution_that_comes_late_needs_room_in_what_was_counted_after_it() -> None:
    """It became what is listed, and no correction was told that says so."""
    later = executed("d-2", "1", "21", cum="1", n=20)
    order = after(ACCEPTED, later, amend(), executed("e-2", "1", cum="1", n=2), start=None)
    assert order.filled_quantity == 1
    assert counted(after(amend_again(), start=order)) == [("d-2", "21")]


def test_a_list_that_is_ahead_of_the_second_correction_books_nothing_twice() -> None:
    """After the first one an interval may be counted again; but then the broker's total would have room for it."""
    order = after(ACCEPTED, FIRST, amend(), LAST, AMENDED)
    ahead = tell(order, AGAIN)
    assert (isinstance(ahead, Duplicate), kinds(ahead)) == (True, ["EXECUTION_CHANGED"])
    order = after(AGAIN, amend_again(), AGAIN, start=order)
    assert counted(order) == [("d-2", "21"), ("e-1", "20"), ("e-3", "20")]


def test_what_was_listed_in_a_free_place_gives_it_up_when_its_correction_comes() -> None:
    """Two were traded, the first was corrected; the stream is late with the second one and the correction."""
    ahead = executed("c-1", "1", "20.5", cum="2", n=10)
    order = after(ACCEPTED, executed("e-1", "1", cum="1", n=1), ahead, executed("e-2", "1", "20.5", cum="2", n=2))
    assert counted(order) == [("c-1", "20.5"), ("e-1", "20")], "the second one was taken for what is listed there"
    verdict = applied(tell(order, correct("e-1", "c-1", "1", "20.5", n=10)))
    assert (counted(verdict.order), needs(verdict)) == ([("c-1", "20.5")], [("ORDER", "b-1")])
    again = after(ahead, executed("e-2", "1", "20.5", cum="2", n=2), start=verdict.order)
    assert (counted(again), again.filled_quantity) == ([("c-1", "20.5"), ("e-2", "20.5")], 2)


def test_listed_before_its_correction_and_that_before_its_execution_it_counts_once() -> None:
    order = after(ACCEPTED, executed("c-1", "1", "20.5", cum="2", n=10), correct("e-1", "c-1", "1", "20.5", n=10))
    order = after(executed("e-1", "1", cum="1", n=1), executed("e-2", "1", "20.5", cum="2", n=2), start=order)
    assert counted(order) == [("c-1", "20.5"), ("e-2", "20.5")]
    assert trail(order)[2] == ("c-1", "1", "LIVE"), "it stands where the one it was made of stood"


def test_what_was_listed_first_may_be_undone_before_anything_else_is_told() -> None:
    order = after(ACCEPTED, FIRST, amend(), LAST, AMENDED, bust("c-2", n=30), SECOND)
    assert (counted(order), order.pending_busts) == ([("e-1", "20"), ("e-3", "20")], ())
    in_turn = after(ACCEPTED, FIRST, amend(), LAST, AMENDED, amend_again(), SECOND)
    assert counted(in_turn) == [("d-2", "21"), ("e-1", "20"), ("e-3", "20")]


def test_nor_does_what_was_misplaced_come_back_when_its_correction_comes_after_its_bust() -> None:
    ahead, other = executed("c-1", "1", "20.5", cum="2", n=10), executed("e-2", "1", "20.5", cum="2", n=2)
    order = after(ACCEPTED, executed("e-1", "1", cum="1", n=1), ahead, bust("c-1", n=30))
    order = after(correct("e-1", "c-1", "1", "20.5", n=10), start=order)
    assert (counted(order), order.state) == ([], S.ACCEPTED)
    assert counted(after(other, start=order)) == [("e-2", "20.5")]
    late = after(ACCEPTED, ahead, bust("c-1", n=30), correct("e-1", "c-1", "1", "20.5", n=10))
    late = after(executed("e-1", "1", cum="1", n=1), other, start=late)
    assert (counted(late), late.pending_busts) == ([("e-2", "20.5")], ())


def test_an_order_that_seemed_full_waits_for_the_read_that_brings_the_other() -> None:
    order = after(ACCEPTED, fill("e-1", "5"), executed("c-1", "5", "20.5", cum="10", n=10))
    verdict = applied(tell(order, correct("e-1", "c-1", "5", "20.5", n=10)))
    assert (verdict.order.state, verdict.order.filled_quantity, needs(verdict)) == (S.FILLED, 5, [("ORDER", "b-1")])
    said = report(Phase.FILLED, "filled", filled_quantity="10", average_price="20.5", asked_ns=10**6)
    assert needs(tell(verdict.order, said)) == [("EXECUTIONS", "b-1")]
    full = after(said, executed("e-2", "5", cum="10", n=2), start=verdict.order)
    assert (full.state, full.filled_quantity, counted(full)) == (S.FILLED, 10, [("c-1", "20.5"), ("e-2", "20")])


def test_on_a_successor_of_which_nobody_knows_where_it_counts_from_it_is_placed_by_its_own_count() -> None:
    elder = executed("e-1", "3", cum="3", on="b-1", n=1)
    for listed, told in (("1", "1"), ("4", "4")):
        ahead = executed("c-2", "1", "20.5", cum=listed, on="b-2", n=10)
        order = after(elder, amend(), ahead, executed("e-2", "1", cum=told, on="b-2", n=2), start=BOUND)
        assert counted(order) == [("c-2", "20.5"), ("e-1", "20")]


def test_a_bust_names_what_was_corrected_and_not_its_neighbour() -> None:
    """A list showed it where its neighbour is, before the correction was told."""
    order = after(ACCEPTED, FIRST, SECOND, LAST, AMENDED)
    busted = after(bust("c-2", n=30), amend(), start=order)
    assert (counted(busted), busted.pending_busts) == ([("e-1", "20"), ("e-3", "20")], ())
    same_price = after(ACCEPTED, FIRST, SECOND, LAST, executed("c-2", "1", "20", cum="5", n=10))
    amended = after(correct("e-2", "c-2", "1", "20.5", n=10), bust("c-2", n=30), start=same_price)
    assert counted(amended) == [("e-1", "20"), ("e-3", "20")]


def test_its_own_id_goes_before_a_name_that_another_one_was_given() -> None:
    order = after(ACCEPTED, FIRST, SECOND, LAST, executed("c-2", "1", "20", cum="5", n=10))
    order = after(amend(), start=order)
    assert order.filled_value == dec("100.5")
    assert kinds(tell(order, executed("c-2", "1", "20", cum="5", n=10))) == ["EXECUTION_CHANGED"]
    assert counted(after(amend_again(), start=order)) == [("d-2", "21"), ("e-1", "20"), ("e-3", "20")]
