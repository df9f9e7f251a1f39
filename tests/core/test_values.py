"""Exact decimals and the few things made of them."""

from datetime import UTC, datetime
from decimal import Decimal, Inexact, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.values import add, canonical, divide, multiply, nanoseconds, subtract

AMOUNTS = st.decimals(
    min_value=Decimal("-1e12"), max_value=Decimal("1e12"), allow_nan=False, allow_infinity=False, places=9
)


@given(AMOUNTS, AMOUNTS, AMOUNTS)
def test_sums_and_products_are_exact(a: Decimal, b: Decimal, c: Decimal) -> None:
    def fraction(value: Decimal) -> tuple[int, int]:
        return value.as_integer_ratio()

    assert fraction(subtract(add(a, b), b)) == fraction(a)
    assert fraction(multiply(a, add(b, c))) == fraction(add(multiply(a, b), multiply(a, c)))


def test_what_cannot_be_exact_is_an_exception_and_not_a_wrong_cent() -> None:
    with pytest.raises(Inexact):
        add(Decimal("1e80"), Decimal("1e-80"))
    with pytest.raises(InvalidOperation):
        add(Decimal("Infinity"), Decimal("-Infinity"))


def test_only_a_quotient_may_round_half_even_at_eighteen_places() -> None:
    assert divide(Decimal(1), Decimal(3)) == Decimal("0.333333333333333333")
    assert divide(Decimal("5e-19"), Decimal(1)) == 0
    assert divide(Decimal("15e-19"), Decimal(1)) == Decimal("2e-18")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("0", "0"), ("-0.00", "0"), ("0E-8", "0"), ("10", "10"), ("1E+3", "1000"), ("1.500", "1.5"), ("-0.10", "-0.1"),
        ("0.000000001", "0.000000001"), ("100.00", "100"), ("1e-9", "0.000000001"), ("1e12", "1000000000000"),
    ],
)  # fmt: skip
def test_the_wire_form_has_no_exponent_and_no_trailing_zeros(value: str, text: str) -> None:
    assert canonical(Decimal(value)) == text


@given(AMOUNTS)
def test_the_wire_form_loses_nothing(value: Decimal) -> None:
    assert Decimal(canonical(value)) == value


def test_nanoseconds_are_exact() -> None:
    assert nanoseconds(datetime(2026, 1, 5, 15, 0, 0, 123456, tzinfo=UTC)) == 1767625200123456000
    assert nanoseconds(datetime(1970, 1, 1, tzinfo=UTC)) == 0
