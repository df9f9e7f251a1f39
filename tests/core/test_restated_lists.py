"""A list shows a corrected execution as it has become: that is no contradiction."""

from orderd.core.verdicts import Duplicate
from tests.core.builders import ACCEPTED, after, correct, executed, fill, kinds, tell


def test_a_corrected_execution_in_a_list_is_the_one_that_was_told() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "86"), correct("e-1", "e-2", "4", "85.5"))
    listed = executed("activity-2", "4", "85.5", cum="4", n=5)
    assert kinds(tell(order, listed)) == []
    assert isinstance(tell(after(listed, start=order), listed), Duplicate)
    assert kinds(tell(after(listed, start=order), listed)) == []


def test_a_corrected_execution_at_a_third_price_is_a_finding() -> None:
    order = after(ACCEPTED, fill("e-1", "4", "86"), correct("e-1", "e-2", "4", "85.5"))
    assert kinds(tell(order, executed("activity-2", "4", "85.7", cum="4", n=5))) == ["EXECUTION_CHANGED"]
