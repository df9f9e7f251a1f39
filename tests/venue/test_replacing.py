"""Replace: a successor with a new id, and the races it may lose."""

from datetime import timedelta
from decimal import Decimal

import pytest

from orderd.venue.orders import Change, Order, OrderClass, OrderType, Reason, Refused, Side, Status, TimeInForce
from orderd.venue.state import Settings
from tests.venue.desk import Desk, d

SLOW = Settings(partial_rate=Decimal(0), replace_delay=timedelta(milliseconds=50))


def replaced(desk: Desk, order: Order, **fields: object) -> Order:
    answer = desk.replace(order, **fields)
    assert isinstance(answer, Order), answer
    return answer


def test_the_old_order_is_replaced_and_the_new_one_has_its_own_id() -> None:
    desk = Desk()
    old = desk.limit("100", quantity=d(5))
    new = replaced(desk, old, limit_price=d(101), quantity=d(6))
    assert desk.see(old).status is Status.PENDING_REPLACE
    desk.go()
    old, new = desk.see(old), desk.see(new)
    assert (old.status, old.replaced_by, old.canceled_at) == (Status.REPLACED, new.order_id, None)
    assert old.replaced_at is not None
    assert (new.status, new.replaces, new.limit_price, new.quantity) == (Status.NEW, old.order_id, 101, 6)
    assert new.created_at == old.created_at
    assert new.submitted_at > old.submitted_at
    assert new.client_order_id != old.client_order_id
    assert desk.told(old) == ["pending_new", "new", "replaced"]
    assert desk.told(new) == ["new"]


def test_the_replaced_event_carries_the_old_order() -> None:
    desk = Desk()
    old = desk.limit("100")
    new = replaced(desk, old, limit_price=d(101))
    desk.go()
    event = next(event for event in desk.events if event.kind == "replaced")
    assert (event.order.order_id, event.order.limit_price, event.order.replaced_by) == (
        old.order_id,
        100,
        new.order_id,
    )


def test_a_chain_can_grow() -> None:
    desk = Desk()
    order = desk.limit("100")
    for price in range(101, 105):
        order = replaced(desk, order, limit_price=d(price))
        desk.go()
    assert desk.see(order).status is Status.NEW
    assert len([o for o in desk.venue.state.book.of_account(desk.account.account_id) if o.is_open]) == 1


def test_the_client_may_name_the_successor_once() -> None:
    desk = Desk()
    old = desk.limit("100")
    new = replaced(desk, old, limit_price=d(101), client_order_id="second")
    assert desk.venue.state.book.by_client_id(desk.account.account_id, "second") == desk.see(new)
    desk.go()
    again = desk.replace(desk.see(new), limit_price=d(102), client_order_id="second")
    assert isinstance(again, Refused)
    assert again.reason is Reason.CLIENT_ORDER_ID_TAKEN


def test_a_fill_that_is_faster_rejects_the_successor() -> None:
    desk = Desk(settings=SLOW)
    old = desk.limit("100", quantity=d(5))
    new = replaced(desk, old, limit_price=d(101))
    desk.venue.fill(old.order_id)
    desk.go()
    assert (desk.see(old).status, desk.see(new).status) == (Status.FILLED, Status.REJECTED)
    assert desk.told(old) == ["pending_new", "new", "fill", "order_replace_rejected"]
    assert desk.told(new) == ["rejected"]


@pytest.mark.parametrize("carries", [True, False])
def test_the_quantity_is_the_chain_s_total(carries: bool) -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(0), carries_fills=carries))
    old = desk.limit("100", quantity=d(10))
    desk.venue.fill(old.order_id, d(4), d(100))
    new = replaced(desk, old, quantity=d(12))
    desk.go()
    assert desk.see(new).filled_quantity == (4 if carries else 0)
    assert desk.see(new).status is (Status.PARTIALLY_FILLED if carries else Status.NEW)
    desk.quote("99", "99.5")
    assert desk.see(new).status is Status.FILLED
    assert desk.account.held("AAPL") == 12
    assert desk.see(new).filled_quantity == (12 if carries else 8)


def test_a_partial_fill_meanwhile_lowers_what_is_left() -> None:
    desk = Desk(settings=SLOW)
    old = desk.limit("100", quantity=d(10))
    new = replaced(desk, old, quantity=d(8))
    desk.venue.fill(old.order_id, d(5), d(100))
    assert desk.see(old).status is Status.PENDING_REPLACE
    desk.go()
    assert desk.see(new).leaves == 3


def test_a_partial_fill_beyond_the_new_quantity_rejects_the_successor() -> None:
    desk = Desk(settings=SLOW)
    old = desk.limit("100", quantity=d(10))
    new = replaced(desk, old, quantity=d(5))
    desk.venue.fill(old.order_id, d(5), d(100))
    desk.go()
    assert (desk.see(old).status, desk.see(new).status) == (Status.PARTIALLY_FILLED, Status.REJECTED)


def test_refusals() -> None:
    desk = Desk()
    desk.venue.set_auto_fill(is_on=False)
    pending = desk.submit()
    reasons = {"pending": desk.replace(pending, quantity=d(2))}
    desk.go()
    order = desk.limit("100", quantity=d(10))
    desk.venue.fill(order.order_id, d(4), d(100))
    reasons["filled"] = desk.replace(order, quantity=d(4))
    reasons["same"] = desk.replace(order, limit_price=d(100))
    reasons["nothing"] = desk.replace(order)
    reasons["penny"] = desk.replace(order, limit_price=d("100.001"))
    reasons["dear"] = desk.replace(order, limit_price=d(90_000))
    reasons["stop"] = desk.replace(order, stop_price=d(90))
    reasons["trail"] = desk.replace(order, trail=d(1))
    reasons["fraction"] = desk.replace(order, quantity=d("9.5"))
    notional = desk.submit(notional=d(50), symbol="KO")
    desk.go()
    reasons["notional"] = desk.replace(notional, quantity=d(1))
    desk.cancel(order)
    reasons["cancelling"] = desk.replace(order, quantity=d(9))
    desk.go()
    reasons["ended"] = desk.replace(order, quantity=d(9))
    assert {name: refused.reason for name, refused in reasons.items() if isinstance(refused, Refused)} == {
        "pending": Reason.NOT_SENT_YET,
        "filled": Reason.BELOW_FILLED,
        "same": Reason.UNCHANGED,
        "nothing": Reason.UNCHANGED,
        "penny": Reason.SUB_PENNY,
        "dear": Reason.INSUFFICIENT_BUYING_POWER,
        "stop": Reason.INVALID,
        "trail": Reason.INVALID,
        "fraction": Reason.INVALID,
        "notional": Reason.INVALID,
        "cancelling": Reason.NOT_OPEN,
        "ended": Reason.NOT_OPEN,
    }


def test_neither_cancel_nor_a_second_replace_while_one_is_under_way() -> None:
    desk = Desk(settings=SLOW)
    order = desk.limit("100")
    replaced(desk, order, limit_price=d(101))
    cancel, second = desk.cancel(order), desk.replace(order, limit_price=d(102))
    assert isinstance(cancel, Refused)
    assert cancel.details == {"status": "pending_replace"}
    assert isinstance(second, Refused)
    assert second.reason is Reason.NOT_OPEN


def test_a_larger_sell_needs_the_shares() -> None:
    desk = Desk()
    desk.bought("5")
    order = desk.limit("250", side=Side.SELL, quantity=d(3))
    refused = desk.replace(order, quantity=d(6))
    assert isinstance(refused, Refused)
    assert refused.reason is Reason.INSUFFICIENT_QUANTITY
    assert replaced(desk, order, quantity=d(5))


def test_the_shares_are_held_once_while_a_replace_is_under_way() -> None:
    desk = Desk(settings=SLOW)
    desk.bought("5")
    order = desk.limit("250", side=Side.SELL, quantity=d(3))
    replaced(desk, order, limit_price=d(251))
    assert desk.submit(side=Side.SELL, quantity=d(2))


def test_a_trail_and_a_time_in_force_can_be_changed() -> None:
    desk = Desk()
    desk.bought("1")
    order = desk.submit(side=Side.SELL, type=OrderType.TRAILING_STOP, trail_percent=d(5))
    new = replaced(desk, order, trail=d(10), time_in_force=TimeInForce.GTC)
    desk.go()
    new = desk.see(new)
    assert (new.trail_percent, new.trail_price, new.stop_price) == (10, None, 171)
    assert new.time_in_force is TimeInForce.GTC
    assert new.expires_at is not None
    assert order.expires_at is not None
    assert new.expires_at > order.expires_at


def test_a_held_stop_of_a_bracket_is_replaced_in_its_place() -> None:
    desk = Desk()
    order = desk.submit(quantity=d(10), order_class=OrderClass.BRACKET, take_profit_limit=d(200), stop_loss_stop=d(180))
    desk.go()
    stop = desk.legs(order)[1]
    new = replaced(desk, stop, stop_price=d(185))
    desk.go()
    assert desk.see(order).leg_ids[1] == new.order_id
    assert desk.see(new).status is Status.HELD
    desk.quote("184", "184.1")
    assert [leg.status for leg in desk.legs(order)] == [Status.CANCELED, Status.FILLED]


def test_a_person_at_the_broker_may_replace_too() -> None:
    desk = Desk()
    order = desk.limit("100")
    answer = desk.venue.replace_by_person(order.client_order_id, Change(limit_price=d(99)))
    assert isinstance(answer, Order)
    desk.go()
    assert desk.told(order)[-1] == "replaced"


@pytest.mark.parametrize("carries_fills", [True, False])
def test_what_a_successor_took_over_changes_with_its_elder(carries_fills: bool) -> None:
    desk = Desk(settings=Settings(carries_fills=carries_fills, is_auto_fill=False))
    old = desk.limit("100", quantity=d(10))
    desk.go()
    desk.venue.fill(old.order_id, d(4), d(100))
    execution = desk.events[-1].execution
    assert execution is not None
    new = replaced(desk, old, quantity=d(12))
    desk.go()
    desk.venue.bust(execution.execution_id)
    new = desk.see(new)
    assert (new.status, new.filled_quantity, new.leaves) == (Status.NEW, 0, 12)
