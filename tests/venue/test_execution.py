"""What a test may do to trades: force, bust, correct, overfill, fill late; and accounts reset or emptied."""

import pytest

from orderd.venue import fees
from orderd.venue.accounts import START_CASH
from orderd.venue.orders import EventKind, ExecutionState, Order, OrderType, Side, Status
from orderd.venue.state import Settings
from tests.venue.desk import WHOLE, Desk, d


def quiet() -> Desk:
    desk = Desk()
    desk.venue.set_auto_fill(is_on=False)
    return desk


def test_a_forced_fill_is_of_exactly_that_quantity_and_price() -> None:
    desk = quiet()
    order = desk.submit(quantity=d(10), client_order_id="mine")
    desk.go()
    desk.venue.fill("mine", d("2.5"), d("123.456"))
    order = desk.see(order)
    assert (order.filled_quantity, order.average_price, order.status) == (
        d("2.5"),
        d("123.456"),
        Status.PARTIALLY_FILLED,
    )
    desk.venue.fill(order.order_id)
    assert desk.see(order).status is Status.FILLED
    assert desk.told(order) == ["pending_new", "new", "partial_fill", "fill"]


def test_a_forced_fill_routes_a_pending_order_first() -> None:
    desk = quiet()
    order = desk.submit()
    desk.venue.fill(order.order_id)
    assert desk.told(order) == ["pending_new", "new", "fill"]


def test_nothing_left_to_fill_is_an_error_but_an_overfill_is_not() -> None:
    desk = quiet()
    order = desk.submit(quantity=d(2))
    desk.venue.fill(order.order_id)
    with pytest.raises(ValueError, match="nothing left"):
        desk.venue.fill(order.order_id)
    desk.venue.fill(order.order_id, d(3), d(190))
    order = desk.see(order)
    assert (order.filled_quantity, order.leaves, order.status) == (5, 0, Status.FILLED)
    assert desk.account.held("AAPL") == 5


def test_a_late_fill_reaches_a_cancelled_order_which_stays_cancelled() -> None:
    desk = Desk()
    order = desk.limit("100", quantity=d(4))
    desk.cancel(order)
    desk.go()
    desk.venue.fill(order.order_id, d(1), d(100))
    assert desk.see(order).status is Status.CANCELED
    assert desk.see(order).filled_quantity == 1
    assert desk.told(order)[-2:] == ["canceled", "partial_fill"]


def test_a_bust_takes_cash_position_and_totals_back() -> None:
    desk = Desk()
    desk.bought("10")
    order = desk.submit(quantity=d(4))
    desk.go()
    execution = desk.events[-1].execution
    assert execution is not None
    event = desk.venue.bust(execution.execution_id)
    assert desk.account.held("AAPL") == 10
    assert desk.account.cash == START_CASH - 10 * d("190.01")
    assert (event.kind, event.previous_execution_id) == (EventKind.TRADE_BUST, execution.execution_id)
    assert event.execution_id != execution.execution_id
    assert event.position_quantity == 10
    order = desk.see(order)
    assert (order.filled_quantity, order.average_price, order.filled_at) == (0, None, None)
    assert desk.venue.ledger.executions[execution.execution_id].state is ExecutionState.BUSTED
    with pytest.raises(LookupError):
        desk.venue.bust(execution.execution_id)


def test_a_correction_books_another_trade_in_its_place() -> None:
    desk = Desk()
    order = desk.submit(quantity=d(4))
    desk.go()
    execution = desk.events[-1].execution
    assert execution is not None
    event = desk.venue.correct(execution.execution_id, d(3), d("189.5"))
    assert event.execution is not None
    assert (event.kind, event.previous_execution_id) == (EventKind.TRADE_CORRECT, execution.execution_id)
    assert desk.account.held("AAPL") == 3
    assert desk.account.cash == START_CASH - 3 * d("189.5")
    assert desk.see(order).filled_quantity == 3
    assert desk.see(order).average_price == d("189.5")
    states = {each.execution_id: each.state for each in desk.venue.ledger.executions.values()}
    assert states == {
        execution.execution_id: ExecutionState.CORRECTED,
        event.execution.execution_id: ExecutionState.LIVE,
    }


def test_a_bust_of_an_unknown_execution_is_an_error() -> None:
    with pytest.raises(LookupError):
        Desk().venue.bust("nobody")


def test_the_average_entry_price_moves_when_adding_and_stays_when_reducing() -> None:
    desk = quiet()
    for quantity, price in (("10", "100"), ("30", "200")):
        desk.venue.fill(desk.submit(quantity=d(quantity)).order_id, price=d(price))
    assert desk.account.positions["AAPL"].average_price == 175
    order = desk.submit(side=Side.SELL, quantity=d(25))
    desk.venue.fill(order.order_id, price=d(300))
    assert (desk.account.held("AAPL"), desk.account.positions["AAPL"].average_price) == (15, 175)


def test_an_overfill_may_turn_a_position_and_its_average_starts_anew() -> None:
    desk = quiet()
    desk.venue.fill(desk.submit(quantity=d(5)).order_id, price=d(100))
    order = desk.submit(side=Side.SELL, quantity=d(5))
    desk.venue.fill(order.order_id, d(8), d(150))
    position = desk.account.positions["AAPL"]
    assert (position.quantity, position.average_price) == (-3, 150)


def test_marking_gives_an_order_a_status_that_nothing_leads_to() -> None:
    desk = Desk()
    order = desk.limit("100")
    desk.venue.mark(order.order_id, Status.SUSPENDED, EventKind.SUSPENDED)
    assert desk.see(order).status is Status.SUSPENDED
    assert desk.told(order)[-1] == "suspended"


def test_vanished_orders_leave_the_book_without_a_word_but_not_the_ledger() -> None:
    desk = Desk()
    desk.bought("3")
    order = desk.limit("100", client_order_id="mine")
    desk.events.clear()
    assert desk.venue.vanish_orders(desk.account) == 2
    assert desk.venue.own(desk.account, order.order_id) is None
    assert desk.events == []
    assert desk.account.held("AAPL") == 3
    assert order.order_id in desk.venue.ledger.orders
    desk.quote("90", "91")
    assert desk.events == []
    assert desk.submit(client_order_id="mine")
    assert desk.submit(quantity=d(2000))


def test_a_reset_account_is_a_new_one_with_the_start_money() -> None:
    desk = Desk()
    desk.bought("3")
    old = desk.account
    desk.limit("100")
    fresh = desk.venue.reset_account(old, d(500))
    assert fresh.number != old.number
    assert fresh.account_id != old.account_id
    assert (fresh.cash, fresh.positions) == (500, {})
    assert list(desk.venue.state.accounts) == [fresh.account_id]
    desk.quote("90", "91")
    assert [event.account_id for event in desk.events if event.account_id != old.account_id] == []


def test_expiring_the_day_keeps_gtc_orders_and_moves_the_closing_price() -> None:
    desk = Desk()
    order = desk.limit("100")
    desk.quote("200", "200.02")
    desk.venue.expire_day()
    assert desk.see(order).status is Status.EXPIRED
    assert desk.venue.quote("AAPL").previous_close == d("200.01")


def test_the_day_s_end_settles_last_equity() -> None:
    desk = Desk()
    desk.bought("10")
    desk.quote("200", "200")
    expires = desk.limit("100").expires_at
    assert expires is not None
    desk.venue.advance(expires)
    assert desk.account.last_equity == START_CASH - 10 * d("190.01") + 2000


def test_fees_are_off_unless_asked_for() -> None:
    desk = Desk()
    desk.bought("10")
    desk.venue.expire_day()
    assert (desk.account.movements, desk.account.accrued_fees) == ([], 0)


def test_fees_accrue_and_are_booked_rounded_up_when_the_day_ends() -> None:
    settings = Settings(partial_rate=WHOLE.partial_rate, has_fees=True)
    desk = Desk(settings=settings)
    desk.bought("1000")
    desk.submit(side=Side.SELL, quantity=d(1000))
    desk.go()
    # 1000 shares bought and sold at 190: CAT both ways, SEC on 190,000 dollars, TAF on 1000 shares
    expected = 2 * d("0.003") + d("190000") * fees.SEC_RATE + d("0.195")
    assert desk.account.accrued_fees == expected
    cash = desk.account.cash
    desk.venue.expire_day()
    assert desk.account.cash == cash - d("4.12")
    assert [(m.kind, m.net_amount) for m in desk.account.movements] == [("FEE", d("-4.12"))]


def test_coins_and_options_pay_no_share_fees() -> None:
    desk = Desk(settings=Settings(partial_rate=WHOLE.partial_rate, has_fees=True))
    order = desk.submit(symbol="AAPL261120C00190000", type=OrderType.LIMIT, limit_price=d(100))
    desk.go()
    assert isinstance(order, Order)
    assert desk.see(order).status is Status.FILLED
    assert desk.account.accrued_fees == 0
    assert desk.account.cash < START_CASH
