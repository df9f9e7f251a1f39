"""Orders that belong together: attached parts and legs, and what of them is not in order."""

from decimal import Decimal
from typing import Any

import pytest

from oms.v1 import order_pb2 as pb
from orderd.core.order import LegIntent, OrderClass, PositionIntent, Side, StopLoss
from tests.wire.samples import fields_of, multileg, refused, request, taken


def test_a_multileg_order() -> None:
    intent = taken(multileg())
    assert (intent.symbol, intent.side, intent.order_class) == ("", None, OrderClass.MULTILEG)
    assert intent.terms.limit_price == Decimal("-1.25")
    assert intent.legs == (
        LegIntent(
            symbol="AAPL250117C00150000",
            ratio=Decimal(1),
            side=Side.BUY,
            position_intent=PositionIntent.BUY_TO_OPEN,
        ),
        LegIntent(symbol="AAPL250117C00155000", ratio=Decimal(1), side=Side.SELL),
    )
    assert taken(multileg(limit_price="-0")).terms.limit_price == Decimal(0)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"order_class": 99}, ["order_class"]),
        ({"order_class": pb.ORDER_CLASS_BRACKET}, ["take_profit", "stop_loss"]),
        ({"order_class": pb.ORDER_CLASS_BRACKET, "take_profit": pb.TakeProfit(limit_price="1")}, ["stop_loss"]),
        ({"order_class": pb.ORDER_CLASS_OCO, "stop_loss": pb.StopLoss(stop_price="1")}, ["take_profit"]),
        ({"order_class": pb.ORDER_CLASS_OTO}, ["take_profit"]),
        (
            {
                "order_class": pb.ORDER_CLASS_OTO,
                "take_profit": pb.TakeProfit(limit_price="1"),
                "stop_loss": pb.StopLoss(stop_price="1"),
            },
            ["stop_loss"],
        ),
        ({"take_profit": pb.TakeProfit(limit_price="1")}, ["take_profit"]),
        ({"order_class": pb.ORDER_CLASS_SIMPLE, "stop_loss": pb.StopLoss(stop_price="1")}, ["stop_loss"]),
        (
            {"order_class": pb.ORDER_CLASS_BRACKET, "take_profit": pb.TakeProfit(), "stop_loss": pb.StopLoss()},
            ["take_profit.limit_price", "stop_loss.stop_price"],
        ),
        (
            {
                "order_class": pb.ORDER_CLASS_BRACKET,
                "take_profit": pb.TakeProfit(limit_price="NaN"),
                "stop_loss": pb.StopLoss(stop_price="0", limit_price="1e3"),
            },
            ["take_profit.limit_price", "stop_loss.stop_price", "stop_loss.limit_price"],
        ),
        ({"legs": [pb.Leg(symbol="AAPL", ratio=1, side=pb.SIDE_BUY)]}, ["legs"]),
    ],
)
def test_attached_parts_that_are_not_in_order_are_named(changes: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(refused(request(**changes))) == fields


LEG = pb.Leg(symbol="AAPL250117C00150000", ratio=1, side=pb.SIDE_BUY)
OTHER_LEG = pb.Leg(symbol="AAPL250117C00155000", ratio=1, side=pb.SIDE_SELL)


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"symbol": "AAPL"}, ["symbol"]),
        ({"side": pb.SIDE_BUY}, ["side"]),
        ({"position_intent": pb.POSITION_INTENT_BUY_TO_OPEN}, ["position_intent"]),
        ({"legs": []}, ["legs"]),
        ({"legs": [LEG]}, ["legs"]),
        ({"legs": [LEG] * 5}, ["legs"]),
        ({"legs": [LEG, LEG]}, ["legs"]),
        ({"legs": [LEG, pb.Leg()]}, ["legs[1].symbol", "legs[1].ratio", "legs[1].side"]),
        ({"legs": [LEG, pb.Leg(symbol="x", ratio=-1, side=99)]}, ["legs[1].symbol", "legs[1].ratio", "legs[1].side"]),
        ({"legs": [pb.Leg(symbol="MSFT", ratio=10_001, side=pb.SIDE_BUY), LEG]}, ["legs[0].ratio"]),
        ({"legs": [pb.Leg(symbol="MSFT", ratio=1, side=pb.SIDE_BUY, order_id="x"), LEG]}, ["legs[0].order_id"]),
        (
            {
                "legs": [
                    LEG,
                    pb.Leg(
                        symbol="MSFT",
                        ratio=1,
                        side=pb.SIDE_SELL,
                        position_intent=pb.POSITION_INTENT_BUY_TO_OPEN,
                    ),
                ]
            },
            ["legs[1].position_intent"],
        ),
        ({"quantity": None, "notional": "100"}, ["notional"]),
        ({"quantity": "1.5"}, ["quantity"]),
        ({"type": pb.ORDER_TYPE_STOP, "limit_price": None, "stop_price": "1"}, ["type"]),
        ({"take_profit": pb.TakeProfit(limit_price="1")}, ["take_profit"]),
    ],
)
def test_what_is_not_in_order_with_legs_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(refused(multileg(**changes))) == fields


def test_an_oco_is_a_limit_at_its_take_profit() -> None:
    parts = {
        "order_class": pb.ORDER_CLASS_OCO,
        "side": pb.SIDE_SELL,
        "take_profit": pb.TakeProfit(limit_price="160"),
        "stop_loss": pb.StopLoss(stop_price="140"),
    }
    assert taken(request(**parts, limit_price=None)).terms.limit_price == Decimal(160)
    assert taken(request(**parts, limit_price="160.0")).terms.limit_price == Decimal(160)
    assert fields_of(refused(request(**parts))) == ["limit_price"]
    assert fields_of(refused(request(**parts, limit_price=None, type=pb.ORDER_TYPE_MARKET))) == ["type"]
    assert fields_of(refused(request(**parts, limit_price=None, stop_price="1"))) == ["stop_price"]


def test_an_oto_has_one_part() -> None:
    with_profit = taken(request(order_class=pb.ORDER_CLASS_OTO, take_profit=pb.TakeProfit(limit_price="160")))
    assert (with_profit.take_profit, with_profit.stop_loss) == (Decimal(160), None)
    with_loss = taken(request(order_class=pb.ORDER_CLASS_OTO, stop_loss=pb.StopLoss(stop_price="140")))
    assert (with_loss.take_profit, with_loss.stop_loss) == (None, StopLoss(stop_price=Decimal(140)))
