"""The gate: which limit says no, in which order, and what it never judges."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.order import LegIntent, OrderClass, OrderIntent, OrderRole, OrderType, PositionIntent, Side
from orderd.core.turnstiles import Approved, Later
from orderd.risk.gate import notional_of, reduces, review
from orderd.risk.limits import Exposure, Limits, TradingState
from tests.core.builders import dec, intent, terms

NO_LIMITS = Limits()
TIGHT = Limits(
    max_order_notional=Decimal(100),
    max_order_quantity=Decimal(1),
    max_open_orders=0,
    price_collar_percent=Decimal(0),
    allowed_symbols=frozenset({"MSFT"}),
)
MARKET = terms(type=OrderType.MARKET, limit_price=None)
STOP = terms(type=OrderType.STOP, limit_price=None, stop_price=dec("25"))
BY_NOTIONAL = terms(type=OrderType.MARKET, limit_price=None, quantity=None, notional=dec("500"))


def asked(**changes: object) -> OrderIntent:
    return msgspec.structs.replace(intent(), **changes)


def spread(*intents: PositionIntent | None, limit_price: str | None = "1.25") -> OrderIntent:
    legs = tuple(
        LegIntent(symbol=f"L{n}", ratio=Decimal(1), side=Side.BUY, position_intent=each)
        for n, each in enumerate(intents)
    )
    return asked(
        symbol="", side=None, order_class=OrderClass.MULTILEG, legs=legs, terms=terms(limit_price=dec(limit_price))
    )


def verdict(order: OrderIntent, limits: Limits = NO_LIMITS, **exposure: object) -> str:
    """The code of the denial, empty when it passes."""
    answer = review(order, Exposure(**exposure), limits)  # type: ignore[arg-type]
    if isinstance(answer, Approved):
        assert answer.intent == order
        return ""
    if isinstance(answer, Later):
        assert answer.retry_after_s > 0
        return f"LATER {answer.reason.code}"
    assert answer.intent == order
    assert answer.reason.message
    assert answer.reason.origin == "RISK"
    return answer.reason.code


def test_without_limits_everything_passes() -> None:
    assert verdict(intent()) == ""
    assert verdict(asked(terms=MARKET)) == ""
    assert verdict(asked(terms=BY_NOTIONAL)) == ""
    assert verdict(spread(None)) == ""


# ------------------------------------------------------------------------------------------------------ trading states


@pytest.mark.parametrize("role", [OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT, OrderRole.EXIT])
@pytest.mark.parametrize("state", list(TradingState))
def test_our_own_stops_and_exits_always_pass(role: OrderRole, state: TradingState) -> None:
    assert verdict(asked(role=role), TIGHT, trading_state=state, blocked_symbols=frozenset({"AAPL"})) == ""


@pytest.mark.parametrize(
    ("state", "code"), [("ACTIVE", ""), ("REDUCING", "TRADING_REDUCING"), ("HALTED", "TRADING_HALTED")]
)
def test_entries_pass_only_while_trading_is_active(state: str, code: str) -> None:
    assert verdict(intent(), trading_state=TradingState(state)) == code
    assert verdict(asked(role=OrderRole.ENTRY), trading_state=TradingState(state)) == code


def test_what_is_proven_to_reduce_passes_unless_halted() -> None:
    sell = asked(side=Side.SELL)
    assert verdict(sell, TIGHT, position=Decimal(10)) == ""
    assert verdict(sell, TIGHT, position=Decimal(10), trading_state=TradingState.REDUCING) == ""
    more = asked(side=Side.BUY)
    assert verdict(more, position=Decimal(10), trading_state=TradingState.REDUCING) == "TRADING_REDUCING"
    assert verdict(sell, position=Decimal(10), trading_state=TradingState.HALTED) == "TRADING_HALTED"


@pytest.mark.parametrize("role", [None, OrderRole.ENTRY, OrderRole.STOP_LOSS, OrderRole.EXIT])
def test_a_frozen_account_sends_nothing(role: OrderRole | None) -> None:
    frozen = {"trading_state": TradingState.HALTED, "freeze_protection": True}
    assert verdict(asked(role=role, side=Side.SELL), position=Decimal(10), **frozen) == "TRADING_FROZEN"
    thawed = {"trading_state": TradingState.ACTIVE, "freeze_protection": True}
    assert verdict(asked(role=role), **thawed) == "", "freezing is for halted accounts"


@pytest.mark.parametrize(
    ("order", "exposure", "proven"),
    [
        (asked(side=Side.SELL), {"position": Decimal(10)}, True),
        (asked(side=Side.SELL), {"position": Decimal(11), "closing_leaves": Decimal(1)}, True),
        (asked(side=Side.BUY), {"position": Decimal(-10)}, True),
        (asked(side=Side.SELL), {"position": Decimal(9)}, False),
        (asked(side=Side.SELL), {"position": Decimal(10), "closing_leaves": Decimal(1)}, False),
        (asked(side=Side.SELL), {"position": Decimal(-10)}, False),
        (asked(side=Side.BUY), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL), {"position": Decimal(0)}, False),
        (asked(side=Side.SELL), {}, False),
        (asked(side=Side.SELL, terms=BY_NOTIONAL), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL, position_intent=PositionIntent.SELL_TO_CLOSE), {}, False),
        (asked(side=Side.SELL, position_intent=PositionIntent.SELL_TO_OPEN), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL, role=OrderRole.ENTRY), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL, order_class=OrderClass.BRACKET), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL, order_class=OrderClass.OTO), {"position": Decimal(10)}, False),
        (asked(side=Side.SELL, order_class=OrderClass.OCO), {"position": Decimal(10)}, True),
        (asked(side=Side.SELL), {"position": Decimal("NaN")}, False),
        (asked(side=Side.SELL, terms=terms(quantity=dec("NaN"))), {"position": Decimal(10)}, False),
        (spread(PositionIntent.BUY_TO_CLOSE, PositionIntent.SELL_TO_CLOSE), {}, True),
        (spread(PositionIntent.BUY_TO_CLOSE, PositionIntent.SELL_TO_OPEN), {}, False),
        (spread(PositionIntent.BUY_TO_CLOSE, None), {}, False),
        (spread(), {}, False),
    ],
)  # fmt: skip
def test_what_reduces(order: OrderIntent, exposure: dict[str, Decimal], proven: bool) -> None:
    assert reduces(order, Exposure(**exposure)) is proven  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------------- symbols


def test_a_symbol_with_an_open_discrepancy_takes_no_entries() -> None:
    assert verdict(intent(), blocked_symbols=frozenset({"AAPL"})) == "SYMBOL_BLOCKED"
    assert verdict(intent(), blocked_symbols=frozenset({"MSFT"})) == ""
    assert verdict(asked(side=Side.SELL), position=Decimal(10), blocked_symbols=frozenset({"AAPL"})) == ""


def test_only_listed_symbols() -> None:
    assert verdict(intent(), Limits(allowed_symbols=frozenset({"MSFT"}))) == "SYMBOL_NOT_ALLOWED"
    assert verdict(intent(), Limits(allowed_symbols=frozenset({"AAPL"}))) == ""
    assert verdict(intent(), Limits(allowed_symbols=frozenset())) == "SYMBOL_NOT_ALLOWED"


def test_every_leg_counts_and_a_parents_blank_symbol_does_not() -> None:
    order = spread(PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN)
    assert verdict(order, Limits(allowed_symbols=frozenset({"L0", "L1"}))) == ""
    assert verdict(order, Limits(allowed_symbols=frozenset({"L0"}))) == "SYMBOL_NOT_ALLOWED"
    assert verdict(order, blocked_symbols=frozenset({"L1"})) == "SYMBOL_BLOCKED"


# --------------------------------------------------------------------------------------------------- size and notional


@pytest.mark.parametrize(("limit", "code"), [("10", ""), ("9.999999999", "MAX_ORDER_QUANTITY")])
def test_the_quantity_limit_is_exact(limit: str, code: str) -> None:
    assert verdict(intent(), Limits(max_order_quantity=Decimal(limit))) == code


@pytest.mark.parametrize(
    ("reference", "multiplier", "code"),
    [
        ("50", "1", ""),
        ("49.99", "1", "MAX_ORDER_QUANTITY"),
        ("0.5", "100", ""),
        (None, "1", "PRICE_UNAVAILABLE"),
        ("0", "1", "PRICE_UNAVAILABLE"),
        ("NaN", "1", "PRICE_UNAVAILABLE"),
        ("50", None, "MULTIPLIER_UNKNOWN"),
    ],
)
def test_the_quantity_of_an_order_by_notional_follows_from_its_price(
    reference: str | None, multiplier: str | None, code: str
) -> None:
    order = asked(terms=BY_NOTIONAL, reference_price=dec(reference))
    assert verdict(order, Limits(max_order_quantity=Decimal(10)), multiplier=dec(multiplier)) == code


def test_an_order_of_neither_quantity_nor_notional_fails_closed() -> None:
    order = asked(terms=terms(quantity=None), reference_price=dec("20"))
    assert verdict(order, Limits(max_order_quantity=Decimal(10))) == "PRICE_UNAVAILABLE"
    assert verdict(order, Limits(max_order_notional=Decimal(10))) == "PRICE_UNAVAILABLE"


@pytest.mark.parametrize(("limit", "code"), [("200", ""), ("199.99", "MAX_ORDER_NOTIONAL")])
def test_the_notional_limit_is_exact(limit: str, code: str) -> None:
    assert verdict(intent(), Limits(max_order_notional=Decimal(limit))) == code
    by_notional = asked(terms=terms(quantity=None, limit_price=None, notional=dec("200")))
    assert verdict(by_notional, Limits(max_order_notional=Decimal(limit))) == code


def test_a_market_order_under_a_notional_limit_needs_a_price() -> None:
    limits = Limits(max_order_notional=Decimal(1000))
    assert verdict(asked(terms=MARKET), limits) == "PRICE_UNAVAILABLE"
    assert verdict(asked(terms=MARKET, reference_price=dec("100")), limits) == ""
    assert verdict(asked(terms=MARKET, reference_price=dec("100.01")), limits) == "MAX_ORDER_NOTIONAL"
    assert verdict(asked(terms=MARKET, reference_price=dec("NaN")), limits) == "PRICE_UNAVAILABLE"
    assert verdict(asked(terms=MARKET, reference_price=dec("1")), limits, last_price=dec("101")) == "MAX_ORDER_NOTIONAL"


@pytest.mark.parametrize(
    ("order", "multiplier", "worth"),
    [
        (asked(reference_price=dec("30")), "1", "200"),
        (asked(side=Side.SELL, reference_price=dec("30")), "1", "300"),
        (asked(side=Side.SELL), "1", "200"),
        (asked(terms=STOP, reference_price=dec("24")), "1", "250"),
        (intent(), "100", "20000"),
        (spread(None), "100", "1250"),
        (spread(None, limit_price="-1.25"), "100", "1250"),
        (spread(None, limit_price=None), "100", None),
        (asked(terms=BY_NOTIONAL), "1", "500"),
        (asked(terms=terms(quantity=dec("NaN"))), "1", None),
        (asked(terms=terms(limit_price=dec("Infinity"))), "1", None),
        (intent(), None, None),
    ],
)  # fmt: skip
def test_what_an_order_is_worth_at_most(order: OrderIntent, multiplier: str | None, worth: str | None) -> None:
    assert notional_of(order, Exposure(multiplier=dec(multiplier))) == dec(worth)


# -------------------------------------------------------------------------------------------------------------- prices


@pytest.mark.parametrize(
    ("price", "code"), [("19", ""), ("21", ""), ("18.99", "PRICE_COLLAR"), ("21.01", "PRICE_COLLAR")]
)
def test_the_collar_is_exact_and_holds_either_way(price: str, code: str) -> None:
    limits = Limits(price_collar_percent=Decimal(5))
    order = asked(terms=terms(limit_price=dec(price)), reference_price=dec("20"))
    assert verdict(order, limits) == code
    stop = terms(type=OrderType.STOP, limit_price=None, stop_price=dec(price))
    assert verdict(asked(terms=stop, reference_price=dec("20")), limits) == code


@pytest.mark.parametrize("reference", [None, "0", "-1", "NaN"])
def test_a_collar_without_a_reference_fails_closed(reference: str | None) -> None:
    order = asked(reference_price=dec(reference))
    assert verdict(order, Limits(price_collar_percent=Decimal(5))) == "PRICE_UNAVAILABLE"


def test_the_last_price_goes_before_what_the_caller_says() -> None:
    limits = Limits(price_collar_percent=Decimal(5))
    order = asked(reference_price=dec("20"))
    assert verdict(order, limits, last_price=dec("21")) == ""
    assert verdict(order, limits, last_price=dec("22")) == "PRICE_COLLAR"
    assert verdict(asked(terms=terms(limit_price=dec("NaN")), reference_price=dec("20")), limits) == "PRICE_UNAVAILABLE"


def test_a_collar_is_not_for_orders_without_a_price_of_their_own() -> None:
    limits = Limits(price_collar_percent=Decimal(5))
    assert verdict(asked(terms=MARKET), limits) == ""
    assert verdict(spread(None), limits) == ""


# ---------------------------------------------------------------------------------------------------------- the number


@pytest.mark.parametrize(("open_orders", "code"), [(0, ""), (1, ""), (2, "MAX_OPEN_ORDERS"), (3, "MAX_OPEN_ORDERS")])
def test_the_judged_order_counts_too(open_orders: int, code: str) -> None:
    assert verdict(intent(), Limits(max_open_orders=2), open_orders=open_orders) == code


# -------------------------------------------------------------------------------------------------- which is told first


def test_the_first_no_is_told() -> None:
    order = asked(reference_price=dec("10"))
    halted = {"trading_state": TradingState.HALTED, "blocked_symbols": frozenset({"AAPL"}), "open_orders": 5}
    assert verdict(order, TIGHT, **halted) == "TRADING_HALTED"
    blocked = {"blocked_symbols": frozenset({"AAPL"}), "open_orders": 5}
    assert verdict(order, TIGHT, **blocked) == "SYMBOL_BLOCKED"
    told: list[str] = []
    limits = TIGHT
    for name in (
        "allowed_symbols",
        "max_order_quantity",
        "max_order_notional",
        "price_collar_percent",
        "max_open_orders",
    ):
        told.append(verdict(order, limits))
        limits = msgspec.structs.replace(limits, **{name: None})
    first, *rest = told
    assert first == "SYMBOL_NOT_ALLOWED"
    assert rest == ["MAX_ORDER_QUANTITY", "MAX_ORDER_NOTIONAL", "PRICE_COLLAR", "MAX_OPEN_ORDERS"]
    assert verdict(order, limits) == ""


# ---------------------------------------------------------------------------------------------------------- properties

AMOUNT = st.decimals(min_value="1e-9", max_value="1e12", allow_nan=False, allow_infinity=False, places=9).filter(bool)
SOME = st.one_of(st.none(), AMOUNT)


@given(quantity=AMOUNT, price=AMOUNT, limit=AMOUNT)
def test_an_approved_order_is_never_worth_more_than_its_limit(
    quantity: Decimal, price: Decimal, limit: Decimal
) -> None:
    order = asked(terms=terms(quantity=quantity, limit_price=price))
    passes = verdict(order, Limits(max_order_notional=limit)) == ""
    worth = Decimal(quantity.as_integer_ratio()[0] * price.as_integer_ratio()[0]) / 1
    exact = quantity.as_integer_ratio()[1] * price.as_integer_ratio()[1]
    assert passes is (worth <= exact * limit)


@given(
    quantity=AMOUNT,
    price=SOME,
    reference=SOME,
    limits=st.builds(Limits, max_order_notional=SOME, max_order_quantity=SOME, price_collar_percent=SOME),
    stricter=st.decimals(min_value="0.001", max_value=1, places=3),
)
def test_a_stricter_limit_never_lets_more_through(
    quantity: Decimal, price: Decimal | None, reference: Decimal | None, limits: Limits, stricter: Decimal
) -> None:
    order = asked(terms=terms(quantity=quantity, limit_price=price), reference_price=reference)
    names = ("max_order_notional", "max_order_quantity", "price_collar_percent")
    smaller = {n: getattr(limits, n) * stricter for n in names if getattr(limits, n) is not None}
    if verdict(order, limits):
        assert verdict(order, msgspec.structs.replace(limits, **smaller))


@given(
    position=st.decimals(min_value=-1000, max_value=1000, places=3),
    quantity=AMOUNT,
    leaves=st.decimals(0, 100, places=3),
)
def test_what_passes_as_reducing_never_turns_a_position(position: Decimal, quantity: Decimal, leaves: Decimal) -> None:
    for side, sign in ((Side.BUY, 1), (Side.SELL, -1)):
        order = asked(side=side, terms=terms(quantity=quantity))
        if reduces(order, Exposure(position=position, closing_leaves=leaves)):
            closed = leaves * (1 if position < 0 else -1)
            rest = position + closed + sign * quantity
            assert abs(rest) < abs(position)
            assert rest == 0 or (rest > 0) == (position > 0)
