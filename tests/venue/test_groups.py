"""Brackets, one-cancels-other, one-triggers-other, and multi-leg options."""

from decimal import Decimal
from typing import Any

from orderd.venue.orders import (
    NewLeg,
    Order,
    OrderClass,
    OrderType,
    PositionIntent,
    Reason,
    Refused,
    Side,
    Status,
    TimeInForce,
)
from orderd.venue.state import Settings
from tests.venue.desk import Desk, Json, d


def bracket(desk: Desk, **fields: object) -> Order:
    return desk.submit(
        quantity=d(10),
        order_class=OrderClass.BRACKET,
        take_profit_limit=d(200),
        stop_loss_stop=d(180),
        **fields,
    )


def statuses(desk: Desk, order: Order) -> list[Status]:
    return [desk.see(order).status, *(leg.status for leg in desk.legs(order))]


def test_the_exits_of_a_bracket_are_held_until_the_entry_filled() -> None:
    desk = Desk()
    order = bracket(desk, type=OrderType.LIMIT, limit_price=d(185))
    desk.go()
    profit, stop = desk.legs(order)
    assert statuses(desk, order) == [Status.NEW, Status.HELD, Status.HELD]
    assert (profit.type, profit.limit_price, profit.side) == (OrderType.LIMIT, 200, Side.SELL)
    assert (stop.type, stop.stop_price, stop.position_intent) == (OrderType.STOP, 180, PositionIntent.SELL_TO_CLOSE)
    assert {leg.order_class for leg in (profit, stop)} == {OrderClass.BRACKET}
    desk.quote("184", "184.5")
    assert statuses(desk, order) == [Status.FILLED, Status.NEW, Status.HELD]


def test_the_exits_wait_for_the_whole_entry() -> None:
    desk = Desk()
    desk.venue.set_auto_fill(is_on=False)
    order = bracket(desk)
    desk.venue.fill(order.order_id, d(4), d(190))
    assert statuses(desk, order) == [Status.PARTIALLY_FILLED, Status.HELD, Status.HELD]
    desk.venue.fill(order.order_id, d(6), d(190))
    assert statuses(desk, order) == [Status.FILLED, Status.NEW, Status.HELD]


def test_a_filled_take_profit_cancels_the_stop() -> None:
    desk = Desk()
    order = bracket(desk)
    desk.go()
    desk.quote("201", "201.02")
    profit, stop = desk.legs(order)
    assert statuses(desk, order) == [Status.FILLED, Status.FILLED, Status.CANCELED]
    assert profit.average_price == 201
    assert desk.told(stop) == ["canceled"]
    assert desk.account.held("AAPL") == 0


def test_a_triggered_stop_cancels_the_take_profit_first_and_sells() -> None:
    desk = Desk()
    order = bracket(desk)
    desk.go()
    desk.events.clear()
    desk.quote("179", "179.02")
    profit, stop = desk.legs(order)
    assert statuses(desk, order) == [Status.FILLED, Status.CANCELED, Status.FILLED]
    assert [(e.order.order_id == stop.order_id, e.kind.value) for e in desk.events] == [
        (False, "canceled"),
        (True, "new"),
        (True, "fill"),
    ]
    assert desk.told(profit) == ["canceled"]


def test_a_partly_filled_take_profit_shrinks_the_stop() -> None:
    desk = Desk()
    order = bracket(desk)
    desk.go()
    profit, _ = desk.legs(order)
    desk.venue.fill(profit.order_id, d(3), d(200))
    assert [leg.quantity for leg in desk.legs(order)] == [10, 7]


def test_cancelling_any_part_cancels_the_group() -> None:
    for chosen in range(3):
        desk = Desk()
        order = bracket(desk, type=OrderType.LIMIT, limit_price=d(185))
        desk.go()
        member = (desk.see(order), *desk.legs(order))[chosen]
        desk.cancel(member)
        desk.go()
        assert statuses(desk, order) == [Status.CANCELED] * 3


def test_an_expired_entry_takes_its_exits_along() -> None:
    desk = Desk()
    order = bracket(desk, type=OrderType.LIMIT, limit_price=d(185))
    desk.go()
    desk.venue.expire_day()
    assert statuses(desk, order) == [Status.EXPIRED] * 3


def test_the_exits_of_a_filled_bracket_expire_with_the_day() -> None:
    desk = Desk()
    order = bracket(desk)
    desk.go()
    assert order.expires_at is not None
    desk.venue.advance(order.expires_at)
    assert statuses(desk, order) == [Status.FILLED, Status.EXPIRED, Status.EXPIRED]


def test_the_exits_of_a_bracket_hold_the_shares_once() -> None:
    desk = Desk()
    bracket(desk)
    desk.go()
    refused = desk.refused(side=Side.SELL, type=OrderType.TRAILING_STOP, trail_price=d(3))
    assert refused.reason is Reason.INSUFFICIENT_QUANTITY
    assert refused.details["held_for_orders"] == "10"
    assert len(refused.related) == 2


def test_one_cancels_other_is_a_limit_with_a_watched_stop() -> None:
    desk = Desk()
    desk.bought("5")
    order = desk.submit(
        side=Side.SELL,
        quantity=d(5),
        type=OrderType.LIMIT,
        limit_price=d(200),
        order_class=OrderClass.OCO,
        stop_loss_stop=d(180),
        stop_loss_limit=d(179),
    )
    desk.go()
    assert statuses(desk, order) == [Status.NEW, Status.HELD]
    desk.quote("179.5", "179.6")
    (stop,) = desk.legs(order)
    assert statuses(desk, order) == [Status.CANCELED, Status.FILLED]
    assert (stop.type, stop.average_price) == (OrderType.STOP_LIMIT, d("179.5"))


def test_one_cancels_other_filled_at_its_limit_cancels_the_stop() -> None:
    desk = Desk()
    desk.bought("5")
    order = desk.submit(
        side=Side.SELL,
        quantity=d(5),
        type=OrderType.LIMIT,
        limit_price=d(200),
        order_class=OrderClass.OCO,
        stop_loss_stop=d(180),
    )
    desk.quote("200", "200.01")
    assert statuses(desk, order) == [Status.FILLED, Status.CANCELED]


def test_one_triggers_other_starts_its_leg() -> None:
    desk = Desk()
    order = desk.submit(order_class=OrderClass.OTO, stop_loss_stop=d(180))
    desk.go()
    assert statuses(desk, order) == [Status.FILLED, Status.NEW]
    desk.quote("179", "179.1")
    assert statuses(desk, order) == [Status.FILLED, Status.FILLED]


def test_group_rules() -> None:
    desk = Desk()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"order_class": OrderClass.BRACKET, "take_profit_limit": d(200)}, "bracket orders require"),
        ({"order_class": OrderClass.OTO}, "exactly one"),
        ({"order_class": OrderClass.OTO, "take_profit_limit": d(200), "stop_loss_stop": d(1)}, "exactly one"),
        ({"order_class": OrderClass.OCO, "stop_loss_stop": d(180)}, "must be limit"),
        (
            {"order_class": OrderClass.OCO, "type": OrderType.LIMIT, "limit_price": d(200)},
            "require stop_loss",
        ),
        (
            {
                "order_class": OrderClass.OCO,
                "type": OrderType.LIMIT,
                "limit_price": d(200),
                "stop_loss_stop": d(180),
            },
            "exit orders",
        ),
        (
            {"order_class": OrderClass.BRACKET, "take_profit_limit": d(190), "stop_loss_stop": d(180)},
            "take_profit.limit_price must be >= base_price + 0.01",
        ),
        (
            {"order_class": OrderClass.BRACKET, "take_profit_limit": d(200), "stop_loss_stop": d("190.01")},
            "stop_loss.stop_price must be <= base_price - 0.01",
        ),
        (
            {
                "order_class": OrderClass.BRACKET,
                "take_profit_limit": d(200),
                "stop_loss_stop": d(180),
                "time_in_force": TimeInForce.IOC,
            },
            "DAY or GTC",
        ),
    ]
    for fields, words in cases:
        assert words in desk.refused(**fields).message, fields


# --- multi-leg ----------------------------------------------------------------------------------------

CALLS = ("AAPL261120C00190000", "AAPL261120C00200000")


def spread(desk: Desk, *, limit: str | None = "9", quantity: str = "2", ratios: tuple[str, str] = ("1", "1")) -> Json:
    for symbol, price in zip(CALLS, ("8", "3"), strict=True):
        desk.venue.set_quote(symbol, d(price), d(price) + d("0.1"))
    return desk.ask(
        symbol="",
        side=None,
        quantity=d(quantity),
        type=OrderType.LIMIT if limit else OrderType.MARKET,
        limit_price=d(limit) if limit else None,
        order_class=OrderClass.MLEG,
        legs=(
            NewLeg(symbol=CALLS[0], ratio=d(ratios[0]), side=Side.BUY),
            NewLeg(symbol=CALLS[1], ratio=d(ratios[1]), side=Side.SELL),
        ),
    )


def test_a_replaced_strategy_keeps_its_legs_which_grow_with_it() -> None:
    desk = Desk(settings=Settings(is_auto_fill=False))
    parent = spread(desk, quantity="2")
    assert isinstance(parent, Order)
    desk.go()
    answer = desk.replace(desk.see(parent), quantity=d(3), limit_price=d("9.5"))
    assert isinstance(answer, Order)
    desk.go()
    legs = [leg for leg in desk.venue.ledger.orders.values() if leg.parent_id == answer.order_id]
    assert [leg.quantity for leg in legs] == [3, 3]
    desk.venue.fill(answer.order_id)
    assert {desk.see(each).status for each in (answer, *legs)} == {Status.FILLED}


def test_a_strategy_fills_at_the_net_of_its_legs_and_tells_it_once() -> None:
    desk = Desk()
    order = spread(desk)
    desk.go()
    assert desk.told(order) == ["pending_new", "new", "fill"]
    order = desk.see(order)
    assert (order.average_price, order.filled_quantity) == (d("5.1"), 2)
    event = desk.events[-1]
    assert (event.execution_id, [e.quantity for e in event.leg_executions]) == ("", [2, 2])
    assert dict(event.position_quantities) == {CALLS[0]: 2, CALLS[1]: -2}
    assert desk.account.cash == 100_000 - 2 * 100 * d("5.1")
    assert [leg.status for leg in desk.legs(order)] == [Status.FILLED, Status.FILLED]


def test_a_strategy_rests_until_its_net_price_is_good_enough() -> None:
    desk = Desk()
    order = spread(desk, limit="5")
    desk.go()
    assert desk.see(order).status is Status.NEW
    desk.quote("7.9", "8", CALLS[0])
    assert desk.see(order).status is Status.FILLED


def test_a_strategy_may_fill_in_parts() -> None:
    desk = Desk(settings=Settings(partial_rate=Decimal(1)))
    order = spread(desk, quantity="5")
    desk.go(ms=1000)
    assert "partial_fill" in desk.told(order)
    assert desk.see(order).filled_quantity == 5
    assert [leg.filled_quantity for leg in desk.legs(order)] == [5, 5]


def test_a_strategy_is_cancelled_with_its_legs() -> None:
    desk = Desk()
    order = spread(desk, limit="1")
    desk.go()
    desk.cancel(order)
    desk.go()
    assert statuses(desk, order) == [Status.CANCELED] * 3


def test_strategy_rules() -> None:
    desk = Desk()
    assert "common divisor" in spread(desk, ratios=("2", "2")).message
    assert "whole number" in spread(desk, quantity="0.5").message
    assert "covered" in spread(desk, ratios=("1", "2")).message
    assert spread(desk, limit="900").reason is Reason.INSUFFICIENT_BUYING_POWER
    leg = NewLeg(symbol=CALLS[0], ratio=d(1), side=Side.BUY)
    for legs, words in [
        ((leg,), "between 2 and 4"),
        ((leg, leg), "unique"),
        ((leg, NewLeg(symbol="AAPL", ratio=d(1), side=Side.SELL)), "option legs only"),
    ]:
        refused = desk.ask(symbol="", side=None, order_class=OrderClass.MLEG, legs=legs)
        assert isinstance(refused, Refused)
        assert words in refused.message


def test_a_strategy_is_closed_by_the_opposite_one() -> None:
    desk = Desk()
    spread(desk)
    desk.go()
    legs = (
        NewLeg(symbol=CALLS[0], ratio=d(1), side=Side.SELL),
        NewLeg(symbol=CALLS[1], ratio=d(1), side=Side.BUY),
    )
    asked: dict[str, Any] = {"symbol": "", "side": None, "order_class": OrderClass.MLEG, "legs": legs}
    too_many = desk.refused(quantity=d(3), **asked)
    assert too_many.reason is Reason.INSUFFICIENT_QUANTITY
    order = desk.submit(quantity=d(2), **asked)
    desk.go()
    assert [leg.position_intent for leg in desk.legs(order)] == [
        PositionIntent.SELL_TO_CLOSE,
        PositionIntent.BUY_TO_CLOSE,
    ]
    assert desk.account.positions == {}
    assert desk.see(order).average_price == d("-4.9")  # a credit


def test_a_strategy_s_fill_can_be_forced_at_a_price() -> None:
    desk = Desk()
    order = spread(desk, limit="1")
    desk.go()
    desk.venue.fill(order.order_id)
    assert desk.see(order).status is Status.FILLED
