"""Corrections that are told before what they correct: as it happened on simulated days, in the order it was told."""

from orderd.core.order import Order, OrderState, Phase
from orderd.core.verdicts import Duplicate
from tests.core.builders import (
    ACCEPTED,
    CANCELED,
    after,
    bust,
    correct,
    executed,
    kinds,
    report,
    tell,
)

ALL = {"filled_quantity": "10", "average_price": "20.1"}


def counted(order: Order) -> list[tuple[str, str, str]]:
    return sorted((f.execution_id, str(f.quantity), str(f.price)) for f in order.fills if f.is_counted)


def marked(order: Order) -> list[tuple[str, str]]:
    return [(f.execution_id, f.status.value) for f in order.fills if not f.is_counted]


def test_what_came_of_an_execution_is_never_marked_as_what_was_corrected() -> None:
    """A late fill, its correction, and last the fill's own word: the trail says which was corrected."""
    listed = executed("c-1", "1", "20.5", cum="1", n=10)
    late = executed("e-1", "1", "20", cum="1", n=8)
    for told in (
        (correct("e-1", "c-1", "1", "20.5", n=10), listed),
        (listed, correct("e-1", "c-1", "1", "20.5", n=10)),
    ):
        verdict = tell(after(ACCEPTED, CANCELED, *told), late)
        order = after(late, start=after(ACCEPTED, CANCELED, *told))
        assert (counted(order), ("e-1", "CORRECTED") in marked(order)) == ([("c-1", "1", "20.5")], True)
        assert (order.pending_busts, kinds(verdict), order.state) == ((), [], OrderState.CANCELED)


def test_an_order_is_full_with_a_corrected_execution_whose_own_word_was_lost() -> None:
    """The list has it with the broker's total of that moment, which is where its neighbour lies."""
    told = (
        executed("e-1", "6", cum="6", n=1),
        executed("e-3", "3", cum="10", n=3),
        executed("c-2", "1", "21", cum="10", n=9),
    )
    filled = report(Phase.FILLED, "filled", **ALL)
    order = after(filled, correct("e-2", "c-2", "1", "21", n=9), filled, *told, filled)
    assert counted(order) == [("c-2", "1", "21"), ("e-1", "6", "20"), ("e-3", "3", "20")]
    assert order.state is OrderState.FILLED


def test_a_correction_heard_before_the_broker_order_is_known_leads_to_the_right_bust() -> None:
    told = (executed("e-2", "4", cum="10", n=2), executed("c-1", "6", "21", cum="10", n=9))
    filled = report(Phase.FILLED, "filled", filled_quantity="10", average_price="20.6", may_infer=True)
    order = after(
        correct("e-1", "c-1", "6", "21", n=9), report(Phase.FILLED, "filled", filled_quantity="10"), *told, filled
    )
    assert counted(order) == [("c-1", "6", "21"), ("e-2", "4", "20")]
    busted = after(bust("c-1", n=20), start=order)
    assert (counted(busted), marked(busted)) == ([("e-2", "4", "20")], [("c-1", "BUSTED")])
    assert isinstance(tell(busted, told[0]), Duplicate)


def test_what_follows_a_correction_that_nobody_heard_changes_nothing_but_is_kept() -> None:
    """The first became the second, that (unheard) the third, that the fourth, and that was taken back."""
    order = after(ACCEPTED, executed("c-2", "10", "21", cum="10", n=5), correct("e-1", "c-2", "10", "21", n=5))
    order = after(correct("c-3", "c-4", "10", "23", n=15), bust("c-4", n=20), start=order)
    order = after(executed("e-1", "10", cum="10", n=4), start=order)
    assert (counted(order), ("e-1", "CORRECTED") in marked(order)) == ([("c-2", "10", "21")], True)
    assert [waiting.previous_execution_id for waiting in order.pending_busts] == ["c-3", "c-4"]


def test_what_a_bust_took_back_had_its_place_beside_what_was_corrected_before() -> None:
    """A list shows what came of e-1, and the word between the two was lost: it is not a third execution."""
    told = (
        executed("e-2", "6", cum="6", n=1),
        executed("e-1", "4", cum="10", n=2),
        correct("e-2", "c-2", "6", "21", n=3),
        correct("lost", "c-1", "4", "22", n=4),
        bust("c-2", n=5),
    )
    order = after(ACCEPTED, *told)
    assert (counted(order), order.filled_quantity) == ([("e-1", "4", "20")], 4)
    verdict = tell(order, executed("c-1", "4", "22", cum="10", n=4))
    assert kinds(verdict) == ["EXECUTION_CHANGED"]
    assert counted(after(executed("c-1", "4", "22", cum="10", n=4), start=order)) == [("e-1", "4", "20")]
    younger = after(executed("e-3", "6", "23", cum="10", n=9), start=order)
    assert counted(younger) == [("e-1", "4", "20"), ("e-3", "6", "23")], "after the bust there is room"
