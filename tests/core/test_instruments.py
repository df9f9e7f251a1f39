"""What a symbol says of its instrument."""

from decimal import Decimal

import msgspec
import pytest

from orderd.core.instruments import asset_class_of, known_multiplier, multiplier_of, multiplier_of_symbol, underlying_of
from orderd.core.order import AssetClass, LegIntent, OrderIntent, Side
from tests.core.builders import dec, intent


def of(symbol: str, *legs: str) -> OrderIntent:
    made = tuple(LegIntent(symbol=leg, ratio=Decimal(1), side=Side.BUY) for leg in legs)
    return msgspec.structs.replace(intent(), symbol=symbol, legs=made)


@pytest.mark.parametrize(
    ("asked", "asset_class", "multiplier"),
    [
        (of("AAPL"), AssetClass.US_EQUITY, "1"),
        (of("BRK.B"), AssetClass.US_EQUITY, "1"),
        (of("BTC/USD"), AssetClass.CRYPTO, "1"),
        (of("AAPL260619C00150000"), AssetClass.US_OPTION, "100"),
        (of("", "AAPL260619C00150000", "AAPL260619C00160000"), AssetClass.US_OPTION, "100"),
        (of("AAPL1260619C00150000"), AssetClass.US_OPTION, None),
        (of("", "AAPL260619C00150000", "AAPL1260619C00150000"), AssetClass.US_OPTION, None),
        (of(""), AssetClass.US_EQUITY, "1"),
    ],
)
def test_what_a_symbol_says(asked: OrderIntent, asset_class: AssetClass, multiplier: str | None) -> None:
    assert asset_class_of(asked) is asset_class
    assert known_multiplier(asked) == dec(multiplier)
    if not asked.legs:
        assert multiplier_of_symbol(asked.symbol) == dec(multiplier)
    assert multiplier_of(asked) == (100 if asset_class is AssetClass.US_OPTION else 1)


@pytest.mark.parametrize(
    ("symbol", "root"),
    [
        ("AAPL260619C00150000", "AAPL"),
        ("AAPL1260619P00150000", "AAPL1"),
        ("260619C00150000", ""),
        ("AAPL26061XC00150000", ""),
        ("AAPL260619X00150000", ""),
        ("AAPL260619C0015000X", ""),
        ("AAPL", ""),
    ],
)
def test_the_root_of_an_option(symbol: str, root: str) -> None:
    assert underlying_of(symbol) == root
