"""The sizer: the worked figures, the clamps, what is nothing and why, and that a stop never costs more than allowed."""

from decimal import Decimal
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.order import Side
from orderd.core.sizing import Setup, Sizing
from orderd.risk.limits import Limits
from orderd.risk.sizer import size
from tests.core.builders import dec

ONE_PERCENT = Limits(risk_percent=Decimal(1))


def setup(**changes: object) -> Setup:
    """A long entry at 50 with a stop 0.50 below, in an account of 25,000."""
    asked = Setup(
        side=Side.BUY,
        entry=Decimal(50),
        stop=Decimal("49.50"),
        equity=Decimal(25_000),
        buying_power=Decimal(100_000),
    )
    return msgspec.structs.replace(asked, **changes)


def sized(limits: Limits = ONE_PERCENT, **changes: object) -> Sizing:
    return size(setup(**changes), limits)


def code(sizing: Sizing) -> str:
    if sizing.reason is None:
        assert sizing.quantity > 0
        return ""
    assert sizing.quantity == 0
    assert sizing.bound_by == ""
    assert sizing.reason.message
    assert sizing.reason.origin == "RISK"
    return sizing.reason.code


def test_one_percent_of_25000_with_a_stop_of_half_a_dollar_is_500_shares() -> None:
    sizing = sized()
    assert (sizing.quantity, sizing.bound_by) == (Decimal(500), "RISK")
    assert (sizing.risk_amount, sizing.risk_per_unit, sizing.notional) == (250, Decimal("0.5"), 25_000)
    assert sizing.reason is None
    assert sized(side=Side.SELL, stop=Decimal("50.50")).quantity == 500


def test_with_the_whole_account_as_the_largest_position_500_shares_cost_at_most_50_each() -> None:
    limits = Limits(risk_percent=Decimal(1), max_position_percent=Decimal(100))
    assert sized(limits).quantity == 500
    dearer = sized(limits, entry=Decimal("50.01"), stop=Decimal("49.51"))
    assert (dearer.quantity, dearer.bound_by) == (Decimal(499), "MAX_POSITION")


def test_without_a_setting_one_percent_is_risked() -> None:
    assert sized(Limits()).quantity == 500


def test_the_cap_holds_where_it_is_smaller() -> None:
    assert sized(Limits(risk_cap=Decimal(100))).quantity == 200
    assert sized(Limits(risk_cap=Decimal(1000))).quantity == 500


def test_buying_power_clamps() -> None:
    sizing = sized(buying_power=Decimal(4_999))
    assert (sizing.quantity, sizing.bound_by, sizing.notional) == (Decimal(99), "BUYING_POWER", 4_950)


@pytest.mark.parametrize(
    ("step", "quantity"), [("1", "333"), ("0.001", "333.333"), ("100", "300"), ("0.5", "333"), ("333", "333")]
)
def test_quantities_are_whole_steps(step: str, quantity: str) -> None:
    assert sized(stop=Decimal("49.25"), step=Decimal(step)).quantity == Decimal(quantity)


def test_a_contract_of_100_costs_and_risks_a_hundred_times_as_much() -> None:
    sizing = sized(entry=Decimal("2.50"), stop=Decimal("2.00"), multiplier=Decimal(100))
    assert (sizing.quantity, sizing.notional) == (Decimal(5), 1250)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"stop": "50"}, "ZERO_DISTANCE"),
        ({"stop": "50.01"}, "STOP_WRONG_SIDE"),
        ({"side": Side.SELL}, "STOP_WRONG_SIDE"),
        ({"entry": "0"}, "ENTRY_NOT_POSITIVE"),
        ({"entry": "-1"}, "ENTRY_NOT_POSITIVE"),
        ({"stop": "0"}, "STOP_NOT_POSITIVE"),
        ({"step": "0"}, "STEP_NOT_POSITIVE"),
        ({"multiplier": "0"}, "STEP_NOT_POSITIVE"),
        ({"step": "501"}, "BELOW_STEP"),
        ({"equity": "0"}, "BELOW_STEP"),
        ({"equity": "-5"}, "BELOW_STEP"),
        ({"buying_power": "49.99"}, "BELOW_STEP"),
        ({"buying_power": "-1"}, "BELOW_STEP"),
        ({"minimum": "501"}, "BELOW_MINIMUM"),
        ({"minimum": "501", "step": "501"}, "BELOW_STEP"),
        ({"minimum": "0.5", "step": "0.1", "buying_power": "20"}, "BELOW_MINIMUM"),
    ],
)
def test_nothing_has_a_reason(changes: dict[str, str | Side], why: str) -> None:
    made = {name: value if isinstance(value, Side) else Decimal(value) for name, value in changes.items()}
    assert code(sized(**made)) == why


def test_what_the_minimum_allows() -> None:
    assert sized(minimum=Decimal(500)).quantity == 500
    assert sized(minimum=Decimal("NaN")).quantity == 500
    part = sized(step=Decimal("1e-9"), stop=Decimal("49.3"), minimum=Decimal("0.1"))
    assert (part.quantity, part.bound_by) == (Decimal("357.142857142"), "RISK")


@pytest.mark.parametrize("name", ["entry", "stop", "multiplier", "step", "equity", "buying_power"])
@pytest.mark.parametrize("value", [None, "NaN", "sNaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_nothing_to_size_by(name: str, value: str | None) -> None:
    sizing = sized(**{name: dec(value)})
    assert code(sizing) == "PRICE_UNAVAILABLE"
    assert sizing.reason is not None
    assert sizing.reason.message == f"not known: {name.replace('_', ' ')}{' price' * (name in {'entry', 'stop'})}"


AMOUNT = st.decimals(min_value="1e-9", max_value="1e12", allow_nan=False, allow_infinity=False, places=9)


@given(
    prices=st.tuples(AMOUNT, AMOUNT),
    side=st.sampled_from(Side),
    money=st.tuples(AMOUNT, AMOUNT),
    multiplier=st.sampled_from(["1", "10", "100"]),
    step=st.sampled_from(["1", "0.001", "0.000000001", "100", "0.3"]),
    limits=st.builds(
        Limits,
        risk_percent=st.none() | st.decimals(min_value="0.01", max_value=100, places=2),
        risk_cap=st.none() | AMOUNT,
        max_position_percent=st.none() | st.decimals(min_value="0.01", max_value=100, places=2),
    ),
)
def test_it_is_the_most_that_every_bound_allows(
    prices: tuple[Decimal, Decimal],
    side: Side,
    money: tuple[Decimal, Decimal],
    multiplier: str,
    step: str,
    limits: Limits,
) -> None:
    asked = Setup(
        side=side,
        entry=prices[0],
        stop=prices[1],
        equity=money[0],
        buying_power=money[1],
        multiplier=Decimal(multiplier),
        step=Decimal(step),
    )
    sizing = size(asked, limits)
    if sizing.reason is not None and sizing.reason.code != "BELOW_STEP":
        assert sizing.quantity == 0
        return
    entry, stop, equity, power = (Fraction(value) for value in (*prices, *money))
    per_unit = Fraction(multiplier)
    risk = equity * Fraction(Decimal(1) if limits.risk_percent is None else limits.risk_percent) / 100
    risk = risk if limits.risk_cap is None else min(risk, Fraction(limits.risk_cap))
    bounds = [risk / (abs(entry - stop) * per_unit), power / (entry * per_unit)]
    if limits.max_position_percent is not None:
        bounds.append(equity * Fraction(limits.max_position_percent) / 100 / (entry * per_unit))
    most = min(bounds) // Fraction(step) * Fraction(step)
    assert Fraction(sizing.quantity) == most
    assert (sizing.reason is None) is (most > 0)
