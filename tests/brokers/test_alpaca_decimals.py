"""A number is the same on every side: in a request, in the body that Alpaca gets, in what it answers, in our answer."""

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.brokers.alpaca import bodies, parse
from orderd.core.order import OrderType
from orderd.wire.fields import Fields
from orderd.wire.messages import text_of
from tests.brokers.making import order, terms
from tests.reach import Reached, scaled

NUMBERS = st.decimals(min_value="0.000000001", max_value="1000000000000", places=9)
ECHO = '"id":"b","status":"new","type":"stop_limit","time_in_force":"day"'


def plain(value: Decimal) -> str:
    """As a caller writes it."""
    return f"{value:f}"


@pytest.mark.scaled
def test_what_was_asked_is_sent_echoed_and_shown(reached: Reached) -> None:
    @settings(max_examples=scaled(3_000), database=None)
    @given(NUMBERS, NUMBERS, NUMBERS)
    def holds(quantity: Decimal, limit: Decimal, stop: Decimal) -> None:
        checks = Fields()
        asked = [checks.positive("x", plain(value)) for value in (quantity, limit, stop)]
        assert checks.violations == []
        assert asked == [quantity, limit, stop]
        chosen = terms(OrderType.STOP_LIMIT, plain(quantity), limit=plain(limit), stop=plain(stop))
        sent = json.loads(bodies.submit(order(asked=chosen)), parse_float=Decimal, parse_int=Decimal)
        said = [(name, plain(Decimal(sent[name]))) for name in ("qty", "limit_price", "stop_price")]
        for mark in ('"', ""):  # Alpaca prints strings and takes both
            figures = ",".join(f'"{name}":{mark}{digits}{mark}' for name, digits in said)
            seen = parse.order(f"{{{ECHO},{figures}}}".encode()).terms
            assert seen is not None
            assert (seen.quantity, seen.limit_price, seen.stop_price) == (quantity, limit, stop)
            for value, shown in ((quantity, seen.quantity), (limit, seen.limit_price), (stop, seen.stop_price)):
                assert Decimal(text_of(shown)) == value
                assert "E" not in text_of(shown)
                assert "." not in text_of(shown) or not text_of(shown).endswith(("0", "."))

    holds()
    reached("P17", "numbers from 1e-9 to 1e12 asked, sent to Alpaca, echoed and shown", scaled(3_000) * 3)
