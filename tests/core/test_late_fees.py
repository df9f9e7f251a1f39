"""A broker that names an execution's fee later than the execution itself."""

from decimal import Decimal

import msgspec
import pytest

from orderd.core.events import EventType
from orderd.core.facts import Executed, Fact
from orderd.core.order import FillStatus, Order
from orderd.core.verdicts import Duplicate
from tests.core.builders import ACCEPTED, Told, after, applied, bust, executed, fill, tell


def with_fee(fee: str | None, told: Told) -> Told:
    def telling(order: Order, n: int) -> Fact:
        fact = told(order, n)
        assert isinstance(fact, Executed)
        named = msgspec.structs.replace(fact.execution, fee=None if fee is None else Decimal(fee))
        return msgspec.structs.replace(fact, execution=named)

    return telling


LISTED = executed("e-1", "4", cum="4")


def test_a_fee_that_is_named_late_is_booked_and_nothing_else_changes() -> None:
    order = after(ACCEPTED, fill("e-1", "4"))
    verdict = applied(tell(order, with_fee("0.37", LISTED)))
    assert [step.type for step in verdict.steps] == [EventType.FILL_CORRECTED]
    assert not verdict.findings
    named = verdict.order
    assert [(f.status, f.fee) for f in named.fills] == [
        (FillStatus.CORRECTED, None),
        (FillStatus.LIVE, Decimal("0.37")),
    ]
    assert [f.occurred_time for f in named.fills] == [order.fills[0].occurred_time] * 2
    assert (named.filled_quantity, named.filled_value, named.state) == (4, 80, order.state)
    again = tell(named, with_fee("0.37", LISTED))
    assert isinstance(again, Duplicate)


@pytest.mark.parametrize("fee", [None, "0.37"])
def test_a_list_that_says_nothing_new_of_fees_changes_nothing(fee: str | None) -> None:
    order = after(ACCEPTED, fill("e-1", "4"), with_fee("0.37", LISTED))
    assert isinstance(tell(order, with_fee(fee, LISTED)), Duplicate)


def test_another_fee_takes_the_place_of_the_one_before() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), with_fee("0.37", LISTED), with_fee("0.40", LISTED))
    assert [f.fee for f in order.fills if f.is_counted] == [Decimal("0.40")]
    assert order.filled_quantity == 4


def test_the_bust_of_an_execution_whose_fee_came_late_takes_it_back() -> None:
    order = after(ACCEPTED, fill("e-1", "4"), with_fee("0.37", LISTED), bust("e-1"))
    assert order.filled_quantity == 0
    assert isinstance(tell(order, with_fee("0.37", LISTED)), Duplicate)
