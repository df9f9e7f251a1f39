"""Orders of others, written down as their broker describes them."""

import msgspec
import pytest

from orderd.core.facts import View
from orderd.core.imports import external_order, lost_key
from orderd.core.keys import leg_key, replace_key
from orderd.core.lifecycle import imported
from orderd.core.order import (
    AssetClass,
    EventSource,
    LegIntent,
    Mode,
    Order,
    OrderClass,
    OrderRole,
    OrderState,
    OrderType,
    Phase,
    PositionIntent,
    Side,
)
from orderd.core.values import AccountId, BrokerOrderId, ClientOrderId, OrderId
from tests.core.builders import AT, after, created, dec, executed, report, seen, terms, when

S = OrderState


def found(phase: Phase = Phase.WORKING, status: str = "new", **changes: object) -> View:
    view = seen(created(), 5, phase, status, client_order_id="my own reference!", updated_ns=5)
    return msgspec.structs.replace(view, **changes)


def imported_as(view: View, **said: object) -> Order:
    order = external_order(
        view,
        order_id=OrderId("x-1"),
        account_id=AccountId("paper"),
        broker="alpaca",
        mode=Mode.LIVE,
        at=AT,
        **said,  # type: ignore[arg-type]
    )
    return imported(order, source=EventSource.IMPORT).after


def test_the_reference_is_kept_and_is_no_key() -> None:
    order = imported_as(found())
    assert (order.is_external, order.broker_client_reference, order.intent.client_order_id) == (
        True,
        "my own reference!",
        "",
    )
    assert (order.broker, order.mode, order.version, order.broker_order_id) == ("alpaca", Mode.LIVE, 1, "b-1")
    assert (order.terms, order.intent.symbol, order.intent.side) == (terms(), "AAPL", Side.BUY)


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.QUEUED, S.SUBMITTED),
        (Phase.WORKING, S.ACCEPTED),
        (Phase.PENDING_CANCEL, S.ACCEPTED),
        (Phase.PENDING_REPLACE, S.ACCEPTED),
        (Phase.UNKNOWN, S.ACCEPTED),
        (Phase.FILLED, S.ACCEPTED),
        (Phase.CANCELED, S.CANCELED),
        (Phase.EXPIRED, S.EXPIRED),
        (Phase.REJECTED, S.REJECTED),
        (Phase.REPLACED, S.REPLACED),
    ],
)
def test_its_state_is_what_is_known_without_its_fills(phase: Phase, state: OrderState) -> None:
    order = imported_as(found(phase, ended_time=when(3)))
    assert order.state is state
    if order.is_open:
        assert (order.closed_time, order.closed_by) == (None, None)
    else:
        assert (order.closed_time, order.closed_by) == (when(3), EventSource.IMPORT)


def test_an_end_without_a_time_ended_when_it_was_found() -> None:
    assert imported_as(found(Phase.CANCELED)).closed_time == AT


def test_ended_with_fills_it_ends_when_they_are_booked() -> None:
    order = imported_as(found(Phase.CANCELED, "canceled", filled_quantity=dec("4"), average_price=dec("20")))
    assert (order.state, order.filled_quantity, order.links[0].reported_quantity) == (S.ACCEPTED, 0, 4)
    part = after(executed("e-1", "3", cum="3"), start=order)
    assert part.state is S.PARTIALLY_FILLED
    assert after(executed("e-2", "1", cum="4"), start=part).state is S.CANCELED


def test_or_inferred_when_executions_are_not_to_be_had() -> None:
    order = imported_as(found(Phase.FILLED, "filled", filled_quantity=dec("10"), average_price=dec("20")))
    told = report(
        Phase.FILLED, "filled", filled_quantity="10", average_price="20", may_infer=True, updated_ns=5, asked_ns=9
    )
    assert after(told, start=order).state is S.FILLED


def test_it_was_created_when_the_broker_says_or_at_the_latest_now() -> None:
    assert imported_as(found(created_time=when(-9))).created_time == when(-9)
    assert imported_as(found(submitted_time=when(-8))).created_time == when(-8)
    assert imported_as(found(filled_time=when(-7))).created_time == when(-7)
    assert imported_as(found()).created_time == AT


def test_what_is_not_told_is_taken_for_the_plainest() -> None:
    order = imported_as(found(terms=None, asset_class=None, side=None, symbol=""))
    assert (order.terms.type, order.terms.quantity, order.asset_class) == (OrderType.MARKET, None, AssetClass.US_EQUITY)


@pytest.mark.parametrize(
    ("word", "order_class"),
    [
        ("", OrderClass.SIMPLE),
        ("simple", OrderClass.SIMPLE),
        ("mleg", OrderClass.MULTILEG),
        ("bracket", OrderClass.BRACKET),
        ("OCO", OrderClass.OCO),
        ("novel", OrderClass.SIMPLE),
    ],
)
def test_its_class(word: str, order_class: OrderClass) -> None:
    assert imported_as(found(order_class=word)).intent.order_class is order_class


def test_a_multileg_order_and_its_legs() -> None:
    legs = (
        found(
            symbol="A", broker_order_id=BrokerOrderId("l-1"), ratio=dec("2"), position_intent=PositionIntent.BUY_TO_OPEN
        ),
        found(symbol="B", broker_order_id=BrokerOrderId("l-2"), side=Side.SELL),
        found(symbol="C", broker_order_id=BrokerOrderId("l-3"), side=None),
    )
    view = found(symbol="", side=None, order_class="mleg", legs=legs)
    parent = imported_as(view, leg_order_ids=(OrderId("x-2"), OrderId("x-3")))
    assert parent.is_parent_of_legs
    assert parent.intent.legs == (
        LegIntent(symbol="A", ratio=dec("2"), side=Side.BUY, position_intent=PositionIntent.BUY_TO_OPEN),
        LegIntent(symbol="B", ratio=dec("1"), side=Side.SELL),
    )
    leg = imported_as(legs[0], parent=parent, leg_number=1)
    assert (leg.parent_order_id, leg.leg_number, parent.leg_order_ids) == ("x-1", 1, ("x-2", "x-3"))


# ----------------------------------------------------------------------------------- ours, whose record was lost

OURS = ClientOrderId("ours-1")


def test_an_order_whose_record_was_lost_is_ours_under_its_key() -> None:
    order = imported_as(found(client_order_id=OURS), key=OURS)
    assert (order.is_external, order.is_taken_up, order.broker_client_reference) == (False, True, "")
    assert order.intent.client_order_id == OURS
    step = imported(msgspec.structs.replace(order, version=0), source=EventSource.RECONCILER)
    assert step.event.reason is not None
    assert (step.event.reason.code, step.event.reason.origin) == ("TAKEN_UP", EventSource.RECONCILER)
    assert imported(imported_as(found()), source=EventSource.IMPORT).event.reason is None


@pytest.mark.parametrize(
    ("client_order_id", "is_key"),
    [
        ("ours-1", True),
        ("a" * 128, True),
        ("d-rnbmk3y2q3aqjotdm54pe2jskq", True),
        ("r-mine", True),
        ("", False),
        ("a" * 129, False),
        ("with space", False),
        ("sälf", False),
        ("line\n", False),
        (replace_key(OrderId("o-1"), 1), False),
    ],
)
def test_which_ids_can_have_been_keys(client_order_id: str, is_key: bool) -> None:
    key = lost_key(found(client_order_id=client_order_id), None, 0, AccountId("paper"))
    assert key == (client_order_id if is_key else None)


@pytest.mark.parametrize(
    ("order_class", "type_", "role"),
    [
        ("bracket", OrderType.LIMIT, OrderRole.TAKE_PROFIT),
        ("bracket", OrderType.STOP, OrderRole.STOP_LOSS),
        ("oto", OrderType.STOP_LIMIT, OrderRole.STOP_LOSS),
        ("mleg", OrderType.LIMIT, None),
        ("bracket", None, None),
    ],
)
def test_its_legs_are_named_and_known_by_what_they_are_for(
    order_class: str, type_: OrderType | None, role: OrderRole | None
) -> None:
    parent = imported_as(found(client_order_id=OURS, order_class=order_class), key=OURS)
    leg = found(client_order_id="broker's own", terms=None if type_ is None else terms(type=type_))
    key = lost_key(leg, parent, 2, AccountId("paper"))
    assert key == leg_key(OURS, AccountId("paper"), 2)
    order = imported_as(leg, parent=parent, leg_number=2, key=key)
    assert (order.intent.client_order_id, order.intent.role, order.is_taken_up) == (key, role, True)


def test_a_leg_of_somebody_elses_order_is_theirs() -> None:
    parent = imported_as(found(order_class="bracket"))
    assert lost_key(found(client_order_id="fine"), parent, 1, AccountId("paper")) is None
