"""What an activity explains, and what belongs together."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from orderd.core.activities import Activity, ActivityKind, is_delivery_for, occurrences

D = Decimal
K = ActivityKind
ROW = Activity(activity_id="1", kind=K.EXPIRED, symbol="KO", quantity=D(-2), day="2026-03-02")


def row(**changes: Any) -> Activity:  # noqa: ANN401
    return msgspec.structs.replace(ROW, **changes)


def test_rows_come_day_by_day_options_before_what_is_delivered_and_each_once() -> None:
    delivered = row(activity_id="0", kind=K.DELIVERED, symbol="AAPL", quantity=D(200))
    earlier = row(activity_id="9", day="2026-03-01")
    exercised = row(kind=K.EXERCISED)
    assert [event.first for event in occurrences([delivered, exercised, earlier, exercised])] == [
        earlier,
        exercised,
        delivered,
    ]


def test_rows_of_one_split_are_one_event() -> None:
    gone, came = row(kind=K.SPLIT, quantity=D(-10)), row(activity_id="2", kind=K.SPLIT, quantity=D(30))
    (event,) = occurrences([came, gone])
    assert (event.quantity, event.rate(D(10))) == (D(20), (D(30), D(10)))
    short = occurrences([row(kind=K.SPLIT, quantity=D(10)), row(kind=K.SPLIT, quantity=D(-30))])[0]
    assert short.rate(D(-10)) == (D(30), D(10))
    net = occurrences([row(kind=K.SPLIT, quantity=D(20))])[0]
    assert net.rate(D(10)) == (D(30), D(10)), "a broker that lists only what changed"
    other = row(activity_id="3", kind=K.SPLIT, group_id="g", quantity=D(5))
    assert len(occurrences([gone, came, other])) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "explains"),
    [("2", "0", True), ("5", "3", True), ("3", "0", True), ("0", "0", False), ("0", "2", False), ("1", "0", False)],
)
def test_an_activity_explains_only_what_it_brings_nearer(ours: str, theirs: str, explains: bool) -> None:
    (event,) = occurrences([ROW])
    assert event.explains(D(ours), D(theirs)) is explains


def test_a_delivery_belongs_to_the_option_of_its_event() -> None:
    option = row(kind=K.ASSIGNED, symbol="AAPL251219C00250000")
    units = row(kind=K.DELIVERED, symbol="AAPL", quantity=D(-200))
    assert is_delivery_for(units, option, "AAPL")
    assert not is_delivery_for(units, option, "MSFT")
    assert not is_delivery_for(row(kind=K.DELIVERED, symbol="AAPL", day="2026-03-03"), option, "AAPL")
    assert not is_delivery_for(units, row(kind=K.EXPIRED), "AAPL")
    assert not is_delivery_for(option, option, "AAPL")
    named = msgspec.structs.replace(units, group_id="g")
    assert not is_delivery_for(named, option, "AAPL"), "the broker says what belongs together"
    assert is_delivery_for(named, msgspec.structs.replace(option, group_id="g", day=""), "AAPL")
