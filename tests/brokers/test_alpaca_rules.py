"""What Alpaca cannot take is refused before it is sent, and the rule is named."""
# ruff: noqa: ANN401 - the makers pass on whatever a case changes

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.brokers.alpaca import rules
from orderd.core.order import (
    AssetClass,
    Order,
    OrderClass,
    OrderType,
    PositionIntent,
    Side,
    StopLoss,
    Terms,
    TimeInForce,
)
from tests.brokers.making import option_leg, order, terms

D = Decimal
LIMIT, MARKET, STOP, STOP_LIMIT, TRAIL = (
    OrderType.LIMIT, OrderType.MARKET, OrderType.STOP, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP,
)  # fmt: skip
DAY, GTC, IOC, FOK, OPG, CLS = TimeInForce
SL = StopLoss(stop_price=D("80"))
SIDES = {
    MARKET: {}, LIMIT: {"limit": "90"}, STOP: {"stop": "90"}, STOP_LIMIT: {"stop": "90", "limit": "91"},
    TRAIL: {"trail_percent": "5"},
}  # fmt: skip
CALL, PUT, FAR = "AAPL261218C00250000", "AAPL261218P00250000", "AAPL261218C00260000"


def asked(type: OrderType = LIMIT, quantity: str | None = "10", **more: Any) -> Terms:
    """Terms that have the prices their type needs."""
    return terms(type, quantity, **(SIDES[type] | more))


def crypto(of: Terms) -> Order:
    return order("k", of, symbol="BTC/USD", asset_class=AssetClass.CRYPTO)


def option(of: Terms) -> Order:
    return order("k", of, symbol=CALL, asset_class=AssetClass.US_OPTION)


def spread(*legs: Any, of: Terms | None = None, **more: Any) -> Order:
    given_legs = legs or (option_leg(CALL, Side.BUY, "3"), option_leg(FAR, Side.SELL))
    base: dict[str, Any] = {"symbol": "", "side": None, "asset_class": AssetClass.US_OPTION}
    return order("k", of or asked(), order_class=OrderClass.MULTILEG, legs=given_legs, **(base | more))


def bracket(of: Terms | None = None, order_class: OrderClass = OrderClass.BRACKET, **more: Any) -> Order:
    base: dict[str, Any] = {"take_profit": "110", "stop_loss": SL}
    return order("k", of or asked(), order_class=order_class, **(base | more))


def oco(of: Terms | None = None, **more: Any) -> Order:
    return bracket(of or asked(limit="110"), OrderClass.OCO, **({"side": Side.SELL} | more))


def oto(of: Terms | None = None, **more: Any) -> Order:
    return bracket(of, OrderClass.OTO, **({"take_profit": None} | more))


def _taken() -> Iterator[Order]:
    for type_ in OrderType:
        for tif in (DAY, GTC):
            yield order("k", asked(type_, tif=tif))
    for tif in (IOC, FOK, OPG, CLS):
        yield from (order("k", asked(type_, tif=tif)) for type_ in (MARKET, LIMIT))
    yield from (order("k", asked(type_, "0.5")) for type_ in (MARKET, LIMIT, STOP, STOP_LIMIT))
    yield from (
        crypto(asked(type_, "0.000000001", tif=tif)) for type_ in (MARKET, LIMIT, STOP_LIMIT) for tif in (GTC, IOC)
    )
    yield from (option(asked(type_)) for type_ in (MARKET, LIMIT))
    yield order("k", terms(MARKET, None, notional="1"))
    yield crypto(terms(MARKET, None, notional="25", tif=GTC))
    yield order("k", asked(extended_hours=True))
    yield order("k", asked(extended_hours=True, tif=GTC))
    yield order("k", asked(limit="0.0001"))
    yield order("k", asked(limit="1.10000"))
    yield order("k" * 128)
    yield order("k", asked(TRAIL, trail_percent=None, trail_price="2"))
    yield bracket()
    yield bracket(asked(MARKET))
    yield bracket(side=Side.SELL, take_profit="80", stop_loss=StopLoss(stop_price=D(110), limit_price=D(111)))
    yield oco()
    yield oco(terms(LIMIT))
    yield oco(take_profit=None)
    yield oco(side=Side.BUY, of=asked(limit="70"), take_profit="70", stop_loss=StopLoss(stop_price=D(110)))
    yield oto()
    yield oto(take_profit="110", stop_loss=None)
    yield spread()
    yield spread(of=asked(MARKET))
    yield spread(of=asked(limit="-1.25"))
    yield spread(of=asked(limit="0"))
    yield spread(*(option_leg(f"AAPL261218C002{n}000", Side.BUY) for n in range(10, 14)))


@pytest.mark.parametrize("one", list(_taken()), ids=lambda one: f"{one.intent.order_class}-{one.terms.type}")
def test_what_alpaca_takes_is_not_refused_here(one: Order) -> None:
    assert rules.complaint(one) == ""


REFUSED: list[tuple[str, Order]] = [
    ("CLIENT_ORDER_ID", order("k" * 129)),
    ("CLIENT_ORDER_ID", order("")),
    ("SYMBOL", order("k", symbol="BRK/B")),
    ("SYMBOL", order("k", symbol="")),
    ("SYMBOL", order("k", asked(tif=GTC), symbol="BTCUSD", asset_class=AssetClass.CRYPTO)),
    ("SYMBOL", order("k", symbol="AAPL", asset_class=AssetClass.US_OPTION)),
    ("SIDE", order("k", side=None)),
    ("ORDER_TYPE", crypto(asked(STOP, tif=GTC))),
    ("ORDER_TYPE", crypto(asked(TRAIL, tif=GTC))),
    ("ORDER_TYPE", option(asked(STOP))),
    ("ORDER_TYPE", option(asked(STOP_LIMIT))),
    ("TIME_IN_FORCE", crypto(asked(tif=DAY))),
    ("TIME_IN_FORCE", crypto(asked(tif=FOK))),
    ("TIME_IN_FORCE", option(asked(tif=GTC))),
    ("TIME_IN_FORCE", order("k", asked(STOP, tif=IOC))),
    ("TIME_IN_FORCE", order("k", asked(TRAIL, tif=OPG))),
    ("ORDER_CLASS", bracket(asked(tif=GTC), symbol="BTC/USD", asset_class=AssetClass.CRYPTO)),
    ("ORDER_CLASS", bracket(asked(), symbol=CALL, asset_class=AssetClass.US_OPTION)),
    ("ORDER_CLASS", spread(asset_class=AssetClass.US_EQUITY)),
    ("QUANTITY", order("k", terms(MARKET, None))),
    ("QUANTITY", order("k", terms(MARKET, "1", notional="5"))),
    ("QUANTITY", order("k", terms(MARKET, "0"))),
    ("QUANTITY", order("k", terms(MARKET, "-1"))),
    ("QUANTITY", order("k", terms(MARKET, "0.0000000001"))),
    ("QUANTITY", option(asked(quantity="1.5"))),
    ("NOTIONAL", order("k", asked(LIMIT, None, notional="5"))),
    ("NOTIONAL", order("k", terms(MARKET, None, notional="5", tif=GTC))),
    ("NOTIONAL", order("k", terms(MARKET, None, notional="0.99"))),
    ("NOTIONAL", order("k", terms(MARKET, None, notional="1.0000000001"))),
    ("NOTIONAL", option(terms(MARKET, None, notional="5"))),
    ("NOTIONAL", bracket(terms(MARKET, None, notional="5"))),
    ("FRACTIONAL", order("k", asked(LIMIT, "0.5", tif=GTC))),
    ("FRACTIONAL", order("k", asked(TRAIL, "0.5"))),
    ("FRACTIONAL", bracket(asked(quantity="1.5"))),
    ("LIMIT_PRICE", order("k", terms(LIMIT))),
    ("LIMIT_PRICE", order("k", terms(STOP_LIMIT, stop="90"))),
    ("LIMIT_PRICE", order("k", terms(MARKET, limit="90"))),
    ("LIMIT_PRICE", order("k", terms(STOP, stop="90", limit="90"))),
    ("STOP_PRICE", order("k", terms(STOP))),
    ("STOP_PRICE", order("k", terms(STOP_LIMIT, limit="90"))),
    ("STOP_PRICE", order("k", asked(LIMIT, stop="90"))),
    ("TRAIL", order("k", terms(TRAIL))),
    ("TRAIL", order("k", asked(TRAIL, trail_price="2"))),
    ("TRAIL", order("k", asked(TRAIL, trail_percent="0"))),
    ("TRAIL", order("k", asked(LIMIT, trail_percent="5"))),
    ("OTO", oto(asked(TRAIL))),
    ("PRICE", order("k", asked(limit="0"))),
    ("PRICE", order("k", asked(limit="-5"))),
    ("SUB_PENNY", order("k", asked(limit="41.085"))),
    ("SUB_PENNY", order("k", asked(limit="0.99995"))),
    ("SUB_PENNY", order("k", asked(STOP, stop="1.001"))),
    ("SUB_PENNY", bracket(take_profit="110.001")),
    ("SUB_PENNY", bracket(stop_loss=StopLoss(stop_price=D("80.001")))),
    ("SUB_PENNY", bracket(stop_loss=StopLoss(stop_price=D("80"), limit_price=D("79.999")))),
    ("SIMPLE", order("k", take_profit="110")),
    ("SIMPLE", order("k", stop_loss=SL)),
    ("LEGS", order("k", legs=(option_leg(CALL, Side.BUY),))),
    ("BRACKET", bracket(take_profit=None)),
    ("BRACKET", bracket(stop_loss=None)),
    ("BRACKET", bracket(asked(STOP))),
    ("BRACKET", bracket(asked(tif=IOC))),
    ("BRACKET", bracket(take_profit="90")),
    ("BRACKET", bracket(stop_loss=StopLoss(stop_price=D("90")))),
    ("BRACKET", bracket(asked(MARKET), take_profit="79")),
    ("BRACKET", bracket(side=Side.SELL)),
    ("OCO", oco(asked(MARKET))),
    ("OCO", oco(stop_loss=None)),
    ("OCO", oco(take_profit="111")),
    ("OCO", oco(side=Side.BUY)),
    ("OTO", oto(take_profit="110")),
    ("OTO", oto(stop_loss=None)),
    ("OTO", oto(stop_loss=StopLoss(stop_price=D("95")))),
    ("MULTILEG_PARENT", spread(symbol="AAPL")),
    ("MULTILEG_PARENT", spread(side=Side.BUY)),
    ("MULTILEG_PARENT", spread(position_intent=PositionIntent.BUY_TO_OPEN)),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY))),
    ("MULTILEG", spread(*(option_leg(f"AAPL261218C002{n}000", Side.BUY) for n in range(10, 15)))),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY), option_leg(CALL, Side.SELL))),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY), option_leg("AAPL", Side.SELL))),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY, "2"), option_leg(PUT, Side.SELL, "4"))),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY, "1.5"), option_leg(PUT, Side.SELL))),
    ("MULTILEG", spread(option_leg(CALL, Side.BUY, "0"), option_leg(PUT, Side.SELL))),
    ("MULTILEG", spread(take_profit="5")),
    ("EXTENDED_HOURS", order("k", asked(MARKET, extended_hours=True))),
    ("EXTENDED_HOURS", order("k", asked(tif=IOC, extended_hours=True))),
    ("EXTENDED_HOURS", bracket(asked(extended_hours=True))),
    ("EXTENDED_HOURS", spread(of=asked(extended_hours=True))),
    ("EXTENDED_HOURS", crypto(asked(tif=GTC, extended_hours=True))),
]


@pytest.mark.parametrize(("rule", "one"), REFUSED, ids=lambda one: one if isinstance(one, str) else "")
def test_what_alpaca_cannot_take_is_refused_by_name(rule: str, one: Order) -> None:
    assert rules.complaint(one).partition(":")[0] == rule


@given(st.data())
def test_any_order_at_all_is_judged_without_an_exception(data: st.DataObject) -> None:
    number = st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-10, max_value=1000)
    made = Terms(
        type=data.draw(st.sampled_from(OrderType)),
        time_in_force=data.draw(st.sampled_from(TimeInForce)),
        extended_hours=data.draw(st.booleans()),
        **{name: data.draw(number) for name in ("quantity", "notional", "limit_price", "stop_price", "trail_price")},
    )
    one = order(
        "k",
        made,
        symbol=data.draw(st.sampled_from(["AAPL", "BTC/USD", CALL, ""])),
        side=data.draw(st.sampled_from([*Side, None])),
        asset_class=data.draw(st.sampled_from(AssetClass)),
        order_class=data.draw(st.sampled_from(OrderClass)),
        stop_loss=data.draw(st.sampled_from([None, SL])),
    )
    one = msgspec.structs.replace(one, intent=msgspec.structs.replace(one.intent, take_profit=data.draw(number)))
    assert isinstance(rules.complaint(one), str)


REPLACES: list[tuple[str, Terms, Terms]] = [
    ("", asked(), asked(limit="91")),
    ("", asked(), asked(quantity="12")),
    ("", asked(quantity="0.5"), asked(quantity="0.5", limit="91")),
    ("", asked(TRAIL), asked(TRAIL, trail_percent="6")),
    ("", asked(), asked(tif=GTC)),
    ("REPLACE_NOTIONAL", terms(MARKET, None, notional="5"), terms(MARKET, None, notional="6")),
    ("REPLACE_TYPE", asked(), asked(STOP)),
    ("REPLACE_TYPE", asked(), asked(extended_hours=True)),
    ("REPLACE_TRAIL", asked(TRAIL), asked(TRAIL, trail_percent=None, trail_price="2")),
    ("REPLACE_PRICE", asked(), asked(limit=None)),
    ("REPLACE_PRICE", asked(), asked(quantity=None)),
    ("REPLACE_FRACTIONAL", asked(quantity="0.5"), asked(quantity="1")),
    ("REPLACE_FRACTIONAL", asked(), asked(quantity="1.5")),
    ("QUANTITY", asked(), asked(quantity="0")),
    ("SUB_PENNY", asked(), asked(limit="91.001")),
    ("PRICE", asked(), asked(limit="-1")),
    ("TIME_IN_FORCE", asked(STOP), asked(STOP, tif=IOC)),
]


@pytest.mark.parametrize(("rule", "old", "new"), REPLACES)
def test_a_replace_that_alpaca_cannot_make_is_refused_by_name(rule: str, old: Terms, new: Terms) -> None:
    assert rules.replace_complaint(order("k", old), new).partition(":")[0] == rule


@pytest.mark.parametrize(
    ("value", "places"),
    [
        ("1", 0),
        ("1.0", 0),
        ("1.10", 1),
        ("0.000000001", 9),
        ("100", 0),
        ("1E+3", 0),
        ("0.00", 0),
        ("0", 0),
        ("NaN", 10),
    ],
)
def test_places_are_those_that_are_needed(value: str, places: int) -> None:
    assert rules.places(D(value)) == places
