"""Symbols: what is canonical, and what an option's symbol says."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.wire.symbols import Contract, contract, is_canonical


@pytest.mark.parametrize(
    "symbol",
    ["A", "AAPL", "BRK.B", "BAC.PRL", "GOOGL", "BTC/USD", "1INCH/USDT", "AAPL250117C00150000", "SPXW250117P04000500",
     "AAPL1250117C00150000", "BRKB250117C00400000"],
)  # fmt: skip
def test_canonical(symbol: str) -> None:
    assert is_canonical(symbol)


@pytest.mark.parametrize(
    "symbol",
    ["", " ", "aapl", "AAPL ", " AAPL", "AAPL\n", "BRK/B/C", "BRK-B", "BRK B", "/USD", "BTC/", ".B", "A..B", "1ABC",
     "ÄPFEL", "\u0410APL", "AAPL2501170C0150000", "AAPL  250117C00150000", "AAPL251317C00150000", "AAPL250230C00150000",
     "AAPL250117X00150000", "AAPL250117C00000000", "AAPL250117C0015000", "A" * 33, "AAPL٢50117C00150000", "$SPX",
     "O:AAPL250117C00150000", "\x00", "AAPL'; --"],
)  # fmt: skip
def test_not_canonical(symbol: str) -> None:
    assert not is_canonical(symbol)


def test_an_option_symbol_is_read_from_the_right() -> None:
    assert contract("AAPL1250117P00152500") == Contract(
        root="AAPL1", expiry=date(2025, 1, 17), is_call=False, strike=Decimal("152.5")
    )


@given(
    st.from_regex(r"[A-Z0-9]{1,6}", fullmatch=True),
    st.dates(date(2000, 1, 1), date(2099, 12, 31)),
    st.booleans(),
    st.integers(0, 99_999_999),
)
def test_an_option_symbol_says_what_it_was_made_of(root: str, expiry: date, is_call: bool, thousandths: int) -> None:
    symbol = f"{root}{expiry:%y%m%d}{'C' if is_call else 'P'}{thousandths:08d}"
    found = contract(symbol)
    assert found == Contract(root=root, expiry=expiry, is_call=is_call, strike=Decimal(thousandths) / 1000)
    # An expiry with no strike is no contract that can be traded.
    assert is_canonical(symbol) is (thousandths > 0)


@given(st.text(max_size=40))
def test_any_text_is_judged(symbol: str) -> None:
    assert is_canonical(symbol) in {True, False}
    assert contract(symbol) is None or len(symbol) <= 21
