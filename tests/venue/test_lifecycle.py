"""What happens to one order, and in which order it is told."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orderd.venue.orders import AssetClass, OrderType, Side, Status, TimeInForce
from orderd.venue.state import Settings
from tests.venue.desk import THURSDAY, Desk, d


def test_a_market_order_is_pending_then_new_then_filled_at_the_touch() -> None:
    desk = Desk()
    order = desk.submit(quantity=d(10))
    assert order.status is Status.PENDING_NEW
    desk.go()
    order = desk.see(order)
    assert desk.told(order) == ["pending_new", "new", "fill"]
    assert (order.status, order.filled_quantity, order.average_price) == (Status.FILLED, 10, d("190.01"))
    assert desk.account.cash == 100_000 - 10 * d("190.01")
    assert desk.account.held("AAPL") == 10


def test_only_pending_new_has_no_execution_id() -> None:
    desk = Desk()
    desk.submit()
    desk.go()
    assert [bool(event.execution_id) for event in desk.events] == [False, True, True]
    assert len({event.execution_id for event in desk.events}) == 3


def test_the_event_carries_the_order_as_it_was_then_and_the_position_after() -> None:
    desk = Desk()
    desk.submit(quantity=d(3))
    desk.go()
    assert [event.order.filled_quantity for event in desk.events] == [0, 0, 3]
    assert [event.position_quantity for event in desk.events] == [None, None, 3]


def test_event_ids_rise_strictly_also_within_one_moment() -> None:
    desk = Desk()
    for _ in range(20):
        desk.submit()
    desk.go()
    ids = [event.event_id for event in desk.events]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {26}


def test_submission_time_moves_at_routing_for_whole_shares_only() -> None:
    desk = Desk()
    whole, fraction, notional = desk.submit(), desk.submit(quantity=d("0.5")), desk.submit(quantity=None, notional=d(9))
    desk.go()
    assert desk.see(whole).submitted_at > whole.created_at
    assert desk.see(fraction).submitted_at == fraction.created_at
    assert desk.see(notional).submitted_at == notional.created_at


def test_a_limit_order_rests_until_the_quote_meets_it() -> None:
    desk = Desk()
    order = desk.limit("185", quantity=d(4))
    assert desk.see(order).status is Status.NEW
    desk.quote("184.98", "184.99")
    assert desk.see(order).average_price == d("184.99")
    assert desk.told(order) == ["pending_new", "new", "fill"]


def test_a_limit_order_never_trades_worse_than_its_limit() -> None:
    desk = Desk()
    order = desk.limit("185")
    desk.quote("185", "185.01")
    assert desk.see(order).status is Status.NEW


def test_ten_percent_of_eligible_fills_are_partial_and_the_rest_follows() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal("0.1")))
    orders = [desk.submit(quantity=d(100), symbol="F") for _ in range(150)]
    desk.go(ms=1000)
    partial = [order for order in orders if "partial_fill" in desk.told(order)]
    assert 5 <= len(partial) <= 30
    for order in orders:
        assert desk.see(order).status is Status.FILLED
        fills = [e.execution.quantity for e in desk.events if e.execution and e.order.order_id == order.order_id]
        assert sum(fills) == 100


def test_a_partial_fill_is_whole_shares_for_whole_share_orders() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(1)))
    order = desk.submit(quantity=d(7))
    desk.go(ms=1000)
    fills = [event.execution.quantity for event in desk.events if event.execution]
    assert len(fills) > 1
    assert all(quantity == int(quantity) for quantity in fills)
    assert desk.see(order).filled_quantity == 7


def test_a_fractional_order_fills_in_parts_of_a_billionth() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal("0.9")), seed=3)
    order = desk.submit(quantity=d("0.123456789"))
    desk.go(ms=5000)
    assert desk.see(order).filled_quantity == d("0.123456789")


def test_a_notional_order_buys_what_its_dollars_buy_and_keeps_no_quantity() -> None:
    desk = Desk()
    order = desk.submit(notional=d(500))
    desk.go()
    order = desk.see(order)
    assert (order.status, order.quantity) == (Status.FILLED, None)
    assert order.filled_quantity == d("2.631440450")
    assert order.filled_value <= 500


def test_an_ioc_order_that_finds_nobody_is_cancelled() -> None:
    desk = Desk()
    order = desk.submit(type=OrderType.LIMIT, limit_price=d(180), time_in_force=TimeInForce.IOC)
    desk.go()
    assert desk.told(order) == ["pending_new", "new", "canceled"]


def test_an_ioc_order_keeps_its_part_and_loses_the_rest() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(1)))
    order = desk.submit(quantity=d(10), time_in_force=TimeInForce.IOC)
    desk.go()
    order = desk.see(order)
    assert desk.told(order) == ["pending_new", "new", "partial_fill", "canceled"]
    assert 0 < order.filled_quantity < 10


def test_a_fok_order_is_never_partial() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(1)))
    order = desk.submit(quantity=d(10), time_in_force=TimeInForce.FOK)
    desk.go()
    assert desk.told(order) == ["pending_new", "new", "fill"]


def test_auction_orders_are_treated_as_ordinary_ones() -> None:
    desk = Desk()
    orders = [desk.submit(time_in_force=kind) for kind in (TimeInForce.CLS,)]
    desk.go()
    assert [desk.see(order).status for order in orders] == [Status.FILLED]


def test_a_sell_stop_waits_for_its_price_then_sells_at_the_bid() -> None:
    desk = Desk()
    desk.bought("5")
    order = desk.submit(side=Side.SELL, type=OrderType.STOP, stop_price=d(185), quantity=d(5))
    desk.go()
    desk.quote("185.5", "185.6")
    assert desk.see(order).status is Status.NEW
    desk.quote("184.5", "184.6")
    assert desk.see(order).average_price == d("184.5")


def test_a_buy_stop_pays_at_most_its_hidden_cap() -> None:
    desk = Desk()
    order = desk.submit(type=OrderType.STOP, stop_price=d(200))
    desk.go()
    desk.quote("209", "209.01")  # 2.5 % above 200 is 205
    assert desk.see(order).status is Status.NEW
    desk.quote("204.9", "204.99")
    assert desk.see(order).average_price == d("204.99")
    assert desk.see(order).limit_price is None


def test_a_stop_limit_triggers_and_then_rests_at_its_limit() -> None:
    desk = Desk()
    desk.bought("1")
    order = desk.submit(side=Side.SELL, type=OrderType.STOP_LIMIT, stop_price=d(185), limit_price=d("184.8"))
    desk.go()
    desk.quote("184", "184.1")
    assert desk.see(order).status is Status.NEW
    desk.quote("184.9", "185")
    assert desk.see(order).average_price == d("184.9")


def test_a_trailing_stop_is_new_at_once_with_its_mark_and_stop_filled_in() -> None:
    desk = Desk()
    desk.bought("1")
    order = desk.submit(side=Side.SELL, type=OrderType.TRAILING_STOP, trail_percent=d(5))
    assert (order.status, order.high_water_mark, order.stop_price) == (Status.NEW, 190, d("180.5"))


def test_a_trailing_stop_follows_up_and_never_down() -> None:
    desk = Desk()
    desk.bought("1")
    order = desk.submit(side=Side.SELL, type=OrderType.TRAILING_STOP, trail_price=d(5))
    desk.quote("200", "200.02")
    assert desk.see(order).stop_price == d("195.01")
    desk.quote("196", "196.02")
    assert desk.see(order).stop_price == d("195.01")
    desk.quote("195.01", "195.03")
    assert desk.see(order).status is Status.NEW
    desk.quote("194.99", "195.01")
    assert desk.see(order).average_price == d("194.99")


def test_a_buying_trailing_stop_follows_down() -> None:
    desk = Desk()
    order = desk.submit(type=OrderType.TRAILING_STOP, trail_price=d(5))
    desk.quote("180", "180.02")
    assert desk.see(order).stop_price == d("185.01")


def test_a_cancel_is_pending_first_and_ends_canceled() -> None:
    desk = Desk()
    order = desk.limit("100")
    pending = desk.cancel(order)
    assert pending == desk.see(order)
    assert desk.see(order).status is Status.PENDING_CANCEL
    desk.go()
    assert desk.see(order).status is Status.CANCELED
    assert desk.told(order) == ["pending_new", "new", "canceled"]
    assert desk.see(order).canceled_at is not None


def test_pending_requests_are_told_when_the_venue_is_set_to() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(0), tells_pending=True))
    order = desk.limit("100")
    desk.cancel(order)
    desk.go()
    assert desk.told(order) == ["pending_new", "new", "pending_cancel", "canceled"]


def test_a_fill_may_win_against_the_cancel() -> None:
    settings = Settings(partial_rate=Decimal(0), cancel_delay=timedelta(milliseconds=50))
    desk = Desk(settings=settings)
    order = desk.limit("185")
    desk.cancel(order)
    desk.venue.set_quote("AAPL", d(184), d("184.01"))
    desk.go()
    assert desk.told(order) == ["pending_new", "new", "fill", "order_cancel_rejected"]
    assert desk.see(order).status is Status.FILLED


def test_a_day_order_expires_at_the_close_and_a_gtc_order_does_not() -> None:
    desk = Desk()
    day, gtc = desk.limit("100"), desk.limit("101", time_in_force=TimeInForce.GTC)
    assert day.expires_at == datetime(2026, 10, 8, 20, tzinfo=UTC)
    desk.venue.advance(datetime(2026, 10, 8, 20, 0, 1, tzinfo=UTC))
    assert (desk.see(day).status, desk.see(gtc).status) == (Status.EXPIRED, Status.NEW)
    assert desk.told(day)[-1] == "expired"
    assert desk.see(day).expired_at == datetime(2026, 10, 8, 20, tzinfo=UTC)


def test_a_gtc_order_expires_after_about_ninety_days_as_recorded() -> None:
    desk = Desk(now=datetime(2026, 9, 18, 15, tzinfo=UTC))
    order = desk.limit("100", time_in_force=TimeInForce.GTC)
    assert order.expires_at == datetime(2026, 12, 16, 21, tzinfo=UTC)


def test_after_the_close_an_order_is_accepted_and_works_at_the_next_open() -> None:
    desk = Desk(now=datetime(2026, 10, 8, 22, tzinfo=UTC))
    order = desk.submit()
    assert order.status is Status.ACCEPTED
    desk.venue.advance(datetime(2026, 10, 9, 13, 29, tzinfo=UTC))
    assert desk.told(order) == ["accepted"]
    desk.venue.advance(datetime(2026, 10, 9, 13, 31, tzinfo=UTC))
    assert desk.told(order) == ["accepted", "new", "fill"]


def test_extended_hours_trade_only_orders_that_ask_for_it() -> None:
    desk = Desk(now=datetime(2026, 10, 8, 21, tzinfo=UTC))
    usual = desk.limit("200")
    early = desk.limit("200", extended_hours=True)
    assert (usual.status, early.status) == (Status.ACCEPTED, Status.FILLED)
    assert early.expires_at == datetime(2026, 10, 9, 0, tzinfo=UTC)


def test_coins_trade_at_night() -> None:
    desk = Desk(now=datetime(2026, 10, 11, 3, tzinfo=UTC))
    order = desk.submit(symbol="BTC/USD", quantity=d("0.01"), time_in_force=TimeInForce.GTC)
    desk.go()
    assert desk.see(order).status is Status.FILLED
    assert desk.see(order).asset_class is AssetClass.CRYPTO


def test_nothing_trades_by_itself_while_automatic_fills_are_off() -> None:
    desk = Desk()
    desk.venue.set_auto_fill(is_on=False)
    order = desk.submit()
    desk.go(ms=10_000)
    assert desk.told(order) == ["pending_new", "new"]
    desk.venue.set_auto_fill(is_on=True)
    desk.go()
    assert desk.see(order).status is Status.FILLED


def test_time_never_goes_back_and_nothing_happens_twice() -> None:
    desk = Desk()
    order = desk.submit()
    desk.go()
    desk.venue.advance(THURSDAY - timedelta(days=1))
    desk.venue.advance(desk.venue.now)
    assert desk.told(order) == ["pending_new", "new", "fill"]


def test_next_due_says_when_to_come_back() -> None:
    desk = Desk()
    desk.submit()
    due = desk.venue.next_due()
    assert due == THURSDAY + desk.venue.state.settings.route_delay
    desk.venue.advance(due)
    assert [event.kind.value for event in desk.events] == ["pending_new", "new"]


@pytest.mark.parametrize("status", [Status.CANCELED, Status.EXPIRED, Status.REJECTED])
def test_the_venue_may_end_an_order_unasked(status: Status) -> None:
    desk = Desk()
    order = desk.limit("100")
    desk.venue.end(order.client_order_id, status)
    assert desk.see(order).status is status
    assert desk.told(order)[-1] == status.value


def test_an_unknown_order_or_end_is_refused_by_the_control_calls() -> None:
    desk = Desk()
    order = desk.limit("100")
    with pytest.raises(LookupError):
        desk.venue.fill("nobody")
    with pytest.raises(ValueError, match="not an end"):
        desk.venue.end(order.order_id, Status.NEW)


def test_a_stopped_listener_hears_nothing_more() -> None:
    desk = Desk()
    heard: list[str] = []
    stop = desk.venue.subscribe(lambda event: heard.append(event.kind.value))
    desk.submit()
    stop()
    desk.go()
    assert heard == ["pending_new"]
