"""The gate's other checks of what an order opens: breaker, flags, both sides, positions, money, rate, twins."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.assets import Asset
from orderd.core.order import AssetClass, Order, OrderClass, OrderIntent, OrderRole, OrderType, PositionIntent, Side
from orderd.core.turnstiles import Approved
from orderd.core.values import OrderId
from orderd.risk.crossing import crossed
from orderd.risk.gate import reduces, review
from orderd.risk.limits import Exposure, Limits, OppositeOrders, Stake, Standing, TradingState
from tests.core.builders import created, dec, intent, terms
from tests.risk.test_gate import BY_NOTIONAL, MARKET, STOP, asked, spread, verdict

RULE = OppositeOrders.PRICE_RULE
TRAILING = terms(type=OrderType.TRAILING_STOP, limit_price=None, trail_percent=dec("5"))
STOP_LIMIT = terms(type=OrderType.STOP_LIMIT, stop_price=dec("25"))
SELL = asked(side=Side.SELL)


def about(**flags: object) -> Asset:
    """The instrument in the broker's words."""
    return msgspec.convert({"symbol": "AAPL", **flags}, Asset)


def other(side: Side = Side.SELL, **changes: object) -> Order:
    """A live order of ours on the other side."""
    return msgspec.structs.replace(created(asked(side=side, **changes)), order_id=OrderId("o-2"))


# ------------------------------------------------------------------------------------------------------ the breaker


def test_a_tripped_breaker_pauses_what_opens_and_nothing_else() -> None:
    assert verdict(intent(), tripped="3 losing trades in a row") == "CIRCUIT_BREAKER"
    assert verdict(asked(side=Side.SELL), tripped="x", position=Decimal(10)) == ""
    assert verdict(asked(role=OrderRole.STOP_LOSS), tripped="x") == ""


@pytest.mark.parametrize("base", [None, "NaN"])
def test_a_daily_limit_without_its_base_fails_closed(base: str | None) -> None:
    limits = Limits(max_daily_loss_percent=Decimal(2))
    assert verdict(intent(), limits, base_equity=dec(base)) == "PRICE_UNAVAILABLE"
    assert verdict(intent(), limits, base_equity=dec("1000")) == ""
    assert verdict(intent(), Limits(max_losses_in_a_row=3)) == ""


# ------------------------------------------------------------------------------------------------ the broker's flags


def test_the_brokers_own_flags() -> None:
    assert verdict(intent(), standing=Standing(is_trading_blocked=True)) == "TRADING_BLOCKED"
    assert verdict(intent(), asset=about(is_tradable=False)) == "NOT_TRADABLE"
    assert verdict(intent(), asset=about()) == ""
    assert verdict(intent(), multiplier=None) == "MULTIPLIER_UNKNOWN"
    assert verdict(intent(), multiplier=Decimal("NaN")) == "MULTIPLIER_UNKNOWN"


@pytest.mark.parametrize(
    ("order", "exposure", "code"),
    [
        (SELL, {"asset": about(is_shortable=False)}, "NOT_SHORTABLE"),
        (SELL, {"standing": Standing(may_short=False)}, "NOT_SHORTABLE"),
        (SELL, {"asset_class": AssetClass.CRYPTO}, "NOT_SHORTABLE"),
        (SELL, {"asset": about(is_shortable=False), "position": Decimal(-5)}, "NOT_SHORTABLE"),
        (SELL, {"asset": about(), "standing": Standing(may_short=True)}, ""),
        (SELL, {"asset": about(is_shortable=False), "position": Decimal(10)}, ""),
        (SELL, {"asset": about(is_shortable=False), "position": None}, ""),
        (intent(), {"asset": about(is_shortable=False)}, ""),
    ],
)
def test_a_short_sale_needs_what_can_be_borrowed(order: OrderIntent, exposure: dict[str, object], code: str) -> None:
    assert verdict(order, **{"position": Decimal(0), **exposure}) == code


def test_only_whole_units_are_sold_short() -> None:
    half = asked(side=Side.SELL, terms=terms(quantity=dec("0.5")))
    assert verdict(half, position=Decimal(0)) == "NOT_SHORTABLE"
    assert verdict(asked(terms=BY_NOTIONAL, side=Side.SELL), position=Decimal(0)) == "NOT_SHORTABLE"
    assert verdict(half, position=Decimal("0.5")) == ""
    assert verdict(half, position=None) == ""


@pytest.mark.parametrize(
    ("changes", "flags", "code"),
    [
        ({"quantity": dec("1.5")}, {"is_fractionable": False}, "NOT_FRACTIONABLE"),
        ({"quantity": dec("2.000")}, {"is_fractionable": False, "quantity_step": 1}, ""),
        ({"quantity": dec("1.5")}, {"is_fractionable": True}, ""),
        ({"quantity": dec("1.5")}, {}, ""),
        ({"quantity": dec("1.5")}, {"quantity_step": "0.25"}, ""),
        ({"quantity": dec("1.5")}, {"quantity_step": "0.4"}, "QUANTITY_STEP"),
        ({"quantity": dec("1e20")}, {"quantity_step": "1e-18"}, ""),
        ({"quantity": dec("1.5")}, {"minimum_quantity": "1.51"}, "MIN_ORDER_QUANTITY"),
        ({"quantity": dec("1.5")}, {"minimum_quantity": "1.5"}, ""),
        ({"quantity": dec("NaN")}, {"quantity_step": 1, "minimum_quantity": 1, "is_fractionable": False}, ""),
        ({"limit_price": dec("25.3")}, {"price_step": "0.5"}, "PRICE_INCREMENT"),
        ({"limit_price": dec("25.5")}, {"price_step": "0.5"}, ""),
        ({"limit_price": None}, {"price_step": "0.5"}, ""),
        ({"limit_price": None, "stop_price": dec("1.1")}, {"price_step": "0.5"}, "PRICE_INCREMENT"),
    ],
)
def test_the_brokers_steps(changes: dict[str, object], flags: dict[str, object], code: str) -> None:
    assert verdict(asked(terms=terms(**changes)), asset=about(**flags)) == code


def test_no_step_holds_up_an_exit() -> None:
    off = about(is_tradable=False, is_fractionable=False, quantity_step="10", minimum_quantity="10", price_step="7")
    assert verdict(asked(side=Side.SELL, terms=terms(quantity=dec("0.3"))), position=Decimal(1), asset=off) == ""
    assert verdict(asked(role=OrderRole.STOP_LOSS, terms=terms(quantity=dec("0.3"))), asset=off) == ""


@pytest.mark.parametrize(
    ("order", "needed"),
    [(SELL, 1), (intent(), 2), (spread(PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN), 3)],
)
def test_options_need_their_level(order: OrderIntent, needed: int) -> None:
    for level in range(4):
        code = verdict(order, asset_class=AssetClass.US_OPTION, standing=Standing(options_level=level))
        assert code == ("OPTIONS_LEVEL" if level < needed else "")
    assert verdict(order, asset_class=AssetClass.US_OPTION) == "", "a broker that does not say is asked by the order"
    assert verdict(order, standing=Standing(options_level=0)) == "", "shares need none"


# ------------------------------------------------------------------------------------------------------- both sides


@pytest.mark.parametrize(
    ("ours", "theirs", "meets"),
    [
        (MARKET, terms(limit_price=dec("99")), True),
        (STOP, terms(limit_price=dec("99")), True),
        (terms(limit_price=dec("1")), MARKET, True),
        (terms(limit_price=dec("1")), STOP, True),
        (terms(limit_price=dec("1")), STOP_LIMIT, True),
        (terms(limit_price=dec("20")), terms(limit_price=dec("20")), True),
        (terms(limit_price=dec("20.01")), terms(limit_price=dec("20")), True),
        (terms(limit_price=dec("19.99")), terms(limit_price=dec("20")), False),
        (terms(limit_price=None), terms(limit_price=dec("20")), True),
        (TRAILING, MARKET, False),
        (MARKET, TRAILING, False),
    ],
)
def test_alpacas_wash_trade_table(ours: object, theirs: object, meets: bool) -> None:
    """The buyer first; the same table mirrored for the seller."""
    buy, sell = asked(terms=ours), other(terms=theirs)
    assert verdict(buy, opposing=(sell,), opposite_orders=RULE) == ("WOULD_CROSS_OWN_ORDER" if meets else "")
    assert (crossed(msgspec.structs.replace(sell.intent), (created(buy),), RULE) is not None) is meets


def test_complex_orders_are_exempt_either_way() -> None:
    bracket = asked(order_class=OrderClass.BRACKET)
    assert verdict(bracket, opposing=(other(terms=MARKET),), opposite_orders=RULE) == ""
    leg = other(order_class=OrderClass.OCO, terms=MARKET)
    assert verdict(intent(), opposing=(leg,), opposite_orders=RULE) == ""
    assert verdict(intent(), opposing=(leg, other(terms=MARKET)), opposite_orders=RULE) == "WOULD_CROSS_OWN_ORDER"


def test_what_other_brokers_make_of_opposite_orders() -> None:
    far = (other(terms=terms(limit_price=dec("99"))),)
    assert verdict(intent(), opposing=far, opposite_orders=OppositeOrders.REFUSED) == "WOULD_CROSS_OWN_ORDER"
    assert verdict(intent(), opposing=(), opposite_orders=OppositeOrders.REFUSED) == ""
    near = (other(terms=MARKET),)
    assert verdict(intent(), opposing=near, opposite_orders=OppositeOrders.ALLOWED) == ""


@pytest.mark.parametrize(
    ("order", "position", "leaves", "code"),
    [
        (SELL, "9", "0", "CROSSES_ZERO"),
        (SELL, "10", "0.5", "CROSSES_ZERO"),
        (SELL, "10", "0", ""),
        (SELL, "-10", "0", ""),
        (SELL, "0", "0", ""),
        (SELL, None, "0", ""),
        (intent(), "-9", "0", "CROSSES_ZERO"),
        (intent(), "9", "0", ""),
        (asked(side=Side.SELL, role=OrderRole.ENTRY), "100", "0", "CROSSES_ZERO"),
        (asked(side=Side.SELL, role=OrderRole.ENTRY, terms=BY_NOTIONAL), "100", "0", "CROSSES_ZERO"),
        (asked(side=Side.SELL, role=OrderRole.EXIT), "9", "0", ""),
        (asked(side=Side.SELL, terms=BY_NOTIONAL, reference_price=dec("50")), "10", "0", ""),
        (asked(side=Side.SELL, terms=BY_NOTIONAL, reference_price=dec("49.99")), "10", "0", "CROSSES_ZERO"),
        (asked(side=Side.SELL, terms=BY_NOTIONAL), "10", "0", "PRICE_UNAVAILABLE"),
        (spread(PositionIntent.SELL_TO_OPEN), "10", "0", ""),
    ],
)
def test_no_order_turns_a_position(order: OrderIntent, position: str | None, leaves: str, code: str) -> None:
    assert verdict(order, position=dec(position), closing_leaves=Decimal(leaves)) == code


@pytest.mark.parametrize(("position", "code"), [("9", "CROSSES_ZERO"), ("10", ""), ("0", ""), ("-1", "")])
def test_what_is_only_believed_to_be_held_lets_nobody_pass(position: str, code: str) -> None:
    """It may be denied by it, and is then proven before that is told."""
    believed = {"position": dec(position), "is_position_proven": False}
    assert verdict(SELL, **believed) == code
    assert verdict(SELL, tripped="x", **believed) == "CIRCUIT_BREAKER"
    assert verdict(SELL, Limits(max_order_quantity=Decimal(1)), **believed) == (code or "MAX_ORDER_QUANTITY")
    answer = review(SELL, Exposure(position=Decimal(10)), Limits())
    assert isinstance(answer, Approved)
    assert answer.is_closing


def test_two_strategies_are_not_on_two_sides_of_a_symbol() -> None:
    mine = asked(strategy="mine")
    assert verdict(mine, stakes=(Stake(strategy="theirs", side=Side.SELL),)) == "OPPOSITE_STRATEGY"
    assert verdict(mine, stakes=(Stake(strategy="", side=Side.SELL),)) == "", "no strategy is nobody's"
    assert verdict(intent(), stakes=(Stake(strategy="theirs", side=Side.SELL),)) == ""
    assert verdict(mine, stakes=(Stake(strategy="theirs", side=Side.BUY), Stake(strategy="mine", side=Side.SELL))) == ""
    assert verdict(spread(None), stakes=(Stake(strategy="theirs", side=Side.SELL),)) == ""


# -------------------------------------------------------------------------------------------------- counts and money


@pytest.mark.parametrize(
    ("held", "limit", "code"),
    [
        (set(), 1, ""),
        ({"MSFT"}, 1, "MAX_OPEN_POSITIONS"),
        ({"MSFT"}, 2, ""),
        ({"AAPL"}, 1, ""),
        ({"AAPL", "MSFT"}, 1, "MAX_OPEN_POSITIONS"),
        (None, 5, "PRICE_UNAVAILABLE"),
    ],
)
def test_positions_are_counted_with_the_judged_orders(held: set[str] | None, limit: int, code: str) -> None:
    symbols = None if held is None else frozenset(held)
    assert verdict(intent(), Limits(max_open_positions=limit), open_symbols=symbols) == code


def test_every_leg_is_a_position() -> None:
    order = spread(PositionIntent.BUY_TO_OPEN, PositionIntent.SELL_TO_OPEN)
    assert verdict(order, Limits(max_open_positions=2), open_symbols=frozenset()) == ""
    assert verdict(order, Limits(max_open_positions=2), open_symbols=frozenset({"X"})) == "MAX_OPEN_POSITIONS"


@pytest.mark.parametrize(
    ("power", "reserved", "code"),
    [
        ("200", "0", ""),
        ("199.99", "0", "BUYING_POWER"),
        ("300", "100", ""),
        ("300", "100.01", "BUYING_POWER"),
        (None, "0", "PRICE_UNAVAILABLE"),
        ("NaN", "0", "PRICE_UNAVAILABLE"),
    ],
)
def test_buying_power_less_what_it_cannot_know_yet(power: str | None, reserved: str, code: str) -> None:
    limits, figures = Limits(check_buying_power=True), {"buying_power": dec(power), "reserved": Decimal(reserved)}
    assert verdict(intent(), limits, **figures) == code
    assert verdict(intent(), Limits(check_buying_power=False), **figures) == ""


def test_money_needs_a_price() -> None:
    order = asked(terms=MARKET)
    assert verdict(order, Limits(check_buying_power=True), buying_power=dec("9")) == "PRICE_UNAVAILABLE"


# --------------------------------------------------------------------------------------------------- rate and twins


def test_too_many_in_a_minute_come_later_and_are_no_denial() -> None:
    limits = Limits(max_orders_per_minute=3)
    assert verdict(intent(), limits, orders_last_minute=2) == ""
    assert verdict(intent(), limits, orders_last_minute=3, retry_after_s=7.5) == "LATER RATE_LIMITED"
    assert verdict(asked(role=OrderRole.EXIT), limits, orders_last_minute=3) == ""
    assert verdict(intent(), orders_last_minute=999) == ""


def test_a_twin_is_denied_where_that_is_asked_for() -> None:
    assert verdict(intent(), Limits(duplicate_window_s=Decimal(5)), has_twin=True) == "DUPLICATE_ORDER"
    assert verdict(intent(), Limits(duplicate_window_s=Decimal(5))) == ""
    assert verdict(intent(), has_twin=True) == "", "off unless set"


# ------------------------------------------------------------------------------------------------------- properties


EVERY_LIMIT = Limits(
    max_daily_loss_percent=Decimal(1),
    allowed_symbols=frozenset({"MSFT"}),
    max_order_quantity=Decimal(1),
    max_order_notional=Decimal(1),
    price_collar_percent=Decimal(1),
    max_open_positions=1,
    max_open_orders=1,
    check_buying_power=True,
    max_orders_per_minute=1,
    duplicate_window_s=Decimal(1),
)
ALL_WRONG = Exposure(
    trading_state=TradingState.REDUCING,
    tripped="x",
    standing=Standing(is_trading_blocked=True, may_short=False),
    asset=about(is_tradable=False, quantity_step="7", minimum_quantity="99"),
    opposing=(other(Side.BUY, terms=MARKET),),
    opposite_orders=RULE,
    stakes=(Stake(strategy="t", side=Side.BUY),),
    open_orders=1,
    open_symbols=frozenset({"X"}),
    position=Decimal(0),
    multiplier=None,
    blocked_symbols=frozenset({"AAPL"}),
    buying_power=Decimal(0),
    orders_last_minute=1,
    has_twin=True,
)
MENDS: tuple[tuple[str, dict[str, object], dict[str, object]], ...] = (
    ("TRADING_REDUCING", {"trading_state": TradingState.ACTIVE}, {}),
    ("CIRCUIT_BREAKER", {"tripped": ""}, {}),
    ("PRICE_UNAVAILABLE", {"base_equity": Decimal(1)}, {}),
    ("SYMBOL_BLOCKED", {"blocked_symbols": frozenset()}, {}),
    ("SYMBOL_NOT_ALLOWED", {}, {"allowed_symbols": None}),
    ("TRADING_BLOCKED", {"standing": Standing(may_short=False)}, {}),
    ("NOT_TRADABLE", {"asset": about(quantity_step="7", minimum_quantity="99")}, {}),
    ("MULTIPLIER_UNKNOWN", {"multiplier": Decimal(1)}, {}),
    ("NOT_SHORTABLE", {"standing": Standing(), "position": Decimal(9)}, {}),
    ("QUANTITY_STEP", {"asset": about(minimum_quantity="99")}, {}),
    ("MIN_ORDER_QUANTITY", {"asset": None}, {}),
    ("WOULD_CROSS_OWN_ORDER", {"opposing": ()}, {}),
    ("CROSSES_ZERO", {"position": Decimal(0)}, {}),
    ("OPPOSITE_STRATEGY", {"stakes": ()}, {}),
    ("MAX_ORDER_QUANTITY", {}, {"max_order_quantity": None}),
    ("MAX_ORDER_NOTIONAL", {}, {"max_order_notional": None}),
    ("PRICE_COLLAR", {}, {"price_collar_percent": None}),
    ("MAX_OPEN_POSITIONS", {}, {"max_open_positions": None}),
    ("MAX_OPEN_ORDERS", {"open_orders": 0}, {}),
    ("BUYING_POWER", {"buying_power": Decimal(1000)}, {}),
    ("RATE_LIMITED", {"orders_last_minute": 0}, {}),
    ("DUPLICATE_ORDER", {"has_twin": False}, {}),
    ("", {}, {}),
)


def test_the_order_of_the_checks() -> None:
    """Everything is wrong; one thing after the other is put right."""
    order = asked(side=Side.SELL, terms=terms(limit_price=dec("20")), reference_price=dec("10"), strategy="s")
    limits, exposure = EVERY_LIMIT, ALL_WRONG
    for code, of_exposure, of_limits in MENDS:
        answer = review(order, exposure, limits)
        assert ("" if isinstance(answer, Approved) else answer.reason.code) == code
        exposure = msgspec.structs.replace(exposure, **of_exposure)
        limits = msgspec.structs.replace(limits, **of_limits)


FIGURE = (
    st.none() | st.sampled_from([Decimal("NaN"), Decimal("Infinity"), Decimal(0)]) | st.decimals(-100, 100, places=2)
)
EXPOSURES = st.builds(
    Exposure,
    position=FIGURE,
    multiplier=FIGURE,
    last_price=FIGURE,
    buying_power=FIGURE,
    base_equity=FIGURE,
    open_symbols=st.none() | st.just(frozenset({"X"})),
    asset=st.none() | st.just(about()),
)
LIMITS = st.builds(
    Limits,
    max_order_notional=st.none() | st.just(Decimal(50)),
    max_order_quantity=st.none() | st.just(Decimal(5)),
    price_collar_percent=st.none() | st.just(Decimal(5)),
    max_open_positions=st.none() | st.just(1),
    check_buying_power=st.none() | st.booleans(),
    max_daily_loss_percent=st.none() | st.just(Decimal(1)),
)
ORDERS = st.builds(
    lambda side, quantity, notional, limit, stop, reference: asked(
        side=side,
        terms=terms(quantity=quantity, notional=notional, limit_price=limit, stop_price=stop),
        reference_price=reference,
    ),
    st.sampled_from(Side), FIGURE, FIGURE, FIGURE, FIGURE, FIGURE,
)  # fmt: skip


@given(order=ORDERS, exposure=EXPOSURES, limits=LIMITS)
def test_whatever_is_missing_or_no_number_there_is_an_answer(
    order: OrderIntent, exposure: Exposure, limits: Limits
) -> None:
    """And with NaN or nothing where a set limit needs a figure, the answer is never yes."""
    answer = review(order, exposure, limits)
    assert review(order, exposure, limits) == answer
    if not isinstance(answer, Approved) or reduces(order, exposure):
        return
    needed = {
        "max_open_positions": exposure.open_symbols,
        "max_daily_loss_percent": exposure.base_equity,
        "check_buying_power": exposure.buying_power,
    }
    figures = [value for name, value in needed.items() if getattr(limits, name)]
    assert all(value is not None for value in (exposure.multiplier, *figures))
    assert all(value.is_finite() for value in (exposure.multiplier, *figures) if isinstance(value, Decimal))
