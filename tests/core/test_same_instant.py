"""Two words of one instant: times cannot say which was said last, the order's life can."""

import msgspec

from orderd.core.facts import Fact
from orderd.core.order import Order, OrderState, Phase
from orderd.core.verdicts import Stale
from tests.core.builders import ACCEPTED, QUEUED, Told, after, fill, report, tell


def at_once(told: Told) -> Told:
    """The same, with the broker's time of the last thing heard."""

    def same_instant(order: Order, n: int) -> Fact:
        fact = told(order, n)
        return msgspec.structs.replace(
            fact, view=msgspec.structs.replace(fact.view, updated_ns=order.links[-1].updated_ns)
        )

    return same_instant


def test_an_end_of_the_same_instant_as_a_fill_ends_the_order() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), at_once(report(Phase.CANCELED, "canceled")))
    assert (order.state, order.filled_quantity) == (OrderState.CANCELED, 4)


def test_working_follows_queued_within_an_instant() -> None:
    assert after(QUEUED, at_once(ACCEPTED)).state is OrderState.ACCEPTED


def test_within_an_instant_nothing_goes_back() -> None:
    for first, second in ((ACCEPTED, QUEUED), (report(Phase.CANCELED, "canceled"), ACCEPTED)):
        order = after(first)
        assert isinstance(tell(order, at_once(second)), Stale)
