"""Idempotency keys: what the caller said makes them, and nothing computed."""

import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.core.keys import bucket, close_key, derive, differences, flatten_key, leg_key, position_id, replace_key
from orderd.core.order import LegIntent, OrderClass, OrderIntent, OrderType, PositionIntent, Side, StopLoss, TimeInForce
from orderd.core.values import AccountId, ClientOrderId, OrderId
from tests.core.builders import AT, dec, intent, terms

SHAPE = re.compile(r"[A-Za-z0-9-]{1,48}")


def changed(**changes: object) -> OrderIntent:
    return msgspec.structs.replace(intent(), **changes)


@pytest.mark.parametrize("asked", [intent(), intent(decision_id="d-1"), intent(trace_id="ü" * 128)])
def test_a_key_fits_every_broker_that_takes_48_characters(asked: OrderIntent) -> None:
    assert SHAPE.fullmatch(derive(asked))


def test_a_retry_at_another_minute_has_the_same_key() -> None:
    """Nothing of the retry's own clock is in it: the decision's time is."""
    first = derive(intent(decided_time=AT))
    assert derive(intent(decided_time=AT)) == first
    assert derive(intent(decided_time=AT + timedelta(seconds=59))) == first
    assert derive(intent(decided_time=AT.astimezone(timezone(timedelta(hours=-5))))) == first
    assert derive(intent(decided_time=AT + timedelta(seconds=60))) != first


def test_without_a_decisions_time_the_bucket_is_zero() -> None:
    assert bucket(None) == 0
    assert bucket(datetime(1970, 1, 1, 0, 0, 59, tzinfo=UTC)) == 0
    assert bucket(datetime(1970, 1, 1, 0, 1, tzinfo=UTC)) == 1
    assert bucket(datetime(1970, 1, 2, tzinfo=UTC)) == 1440
    assert bucket(datetime(1969, 12, 31, 23, 59, 30, tzinfo=UTC)) == -1


@pytest.mark.parametrize(
    "other",
    [
        {"account_id": AccountId("live")},
        {"trace_id": "trace-2"},
        {"symbol": "MSFT"},
        {"side": Side.SELL},
        {"terms": terms(quantity=dec("11"))},
        {"terms": terms(quantity=None, notional=dec("10"))},
        {"terms": terms(quantity=None)},
        {"decision_id": "d-1"},
    ],
)
def test_what_the_caller_said_differently_is_another_key(other: dict[str, object]) -> None:
    assert derive(changed(**other)) != derive(intent())


@pytest.mark.parametrize(
    "other",
    [
        {"terms": terms(quantity=Decimal("10.000"))},
        {"terms": terms(limit_price=dec("99"))},
        {"strategy": "another"},
        {"tags": (("a", "b"),)},
        {"client_order_id": ClientOrderId("else")},
        {"reference_price": dec("20")},
        {"valid_until_time": AT},
    ],
)
def test_what_is_not_in_the_key(other: dict[str, object]) -> None:
    assert derive(changed(**other)) == derive(intent())


def test_one_decision_is_one_order_per_symbol_and_side() -> None:
    decided = intent(decision_id="d-1")
    same = intent(decision_id="d-1", trace_id="other", terms=terms(quantity=dec("99")), decided_time=AT)
    assert derive(same) == derive(decided)
    assert derive(intent(decision_id="d-1", side=Side.SELL)) != derive(decided)
    assert derive(intent(decision_id="d-1", symbol="MSFT")) != derive(decided)


def test_legs_are_the_symbol_of_a_multileg_order() -> None:
    one, two = (
        LegIntent(symbol="A", ratio=Decimal(1), side=Side.BUY),
        LegIntent(symbol="A", ratio=Decimal(2), side=Side.BUY),
    )
    keys = [derive(intent(symbol="", side=None, legs=legs)) for legs in ((one,), (two,), (one, two), ())]
    assert len(set(keys)) == len(keys)


@given(st.lists(st.text(max_size=6), min_size=2, max_size=2), st.lists(st.text(max_size=6), min_size=2, max_size=2))
def test_parts_never_run_into_each_other(a: list[str], b: list[str]) -> None:
    first, second = (derive(intent(trace_id=trace, symbol=symbol)) for trace, symbol in (a, b))
    assert (first == second) is (a == b)


def test_keys_of_the_same_words_for_other_ends_differ() -> None:
    key = ClientOrderId("k")
    assert leg_key(key, AccountId("a"), 1) != leg_key(key, AccountId("a"), 2)
    assert leg_key(key, AccountId("a"), 1) != leg_key(key, AccountId("b"), 1)
    assert replace_key(OrderId("o"), 1) != replace_key(OrderId("o"), 2)
    assert SHAPE.fullmatch(replace_key(OrderId("o" * 36), 12))


def test_keys_are_the_same_in_every_process_for_ever() -> None:
    """Golden values: a new release must answer yesterday's retries."""
    assert derive(intent(decided_time=AT)) == "t-p62wczddnvjmtclkhttvkvmpsm"
    assert derive(intent(decision_id="d-1")) == "d-wyk3z65kwtf4ljhfetga2dzxwa"
    assert replace_key(OrderId("o-1"), 1) == "r-rnbmk3y2q3aqjotdm54pe2jskq"


# --------------------------------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("other", "names"),
    [
        ({}, ()),
        ({"terms": terms(quantity=Decimal("10.0"), limit_price=Decimal(20))}, ()),
        ({"trace_id": "t", "tags": (("a", "b"),), "strategy": "s", "client_order_id": "k"}, ()),
        ({"reference_price": dec("1"), "decided_time": AT, "valid_until_time": AT}, ()),
        ({"symbol": "MSFT", "side": Side.SELL}, ("symbol", "side")),
        ({"account_id": "live"}, ("account_id",)),
        ({"terms": terms(quantity=None, notional=dec("10"))}, ("quantity", "notional")),
        ({"terms": terms(type=OrderType.STOP_LIMIT, stop_price=dec("19"))}, ("type", "stop_price")),
        ({"terms": terms(time_in_force=TimeInForce.GTC, limit_price=dec("21"))}, ("time_in_force", "limit_price")),
        ({"terms": terms(trail_price=dec("1"), trail_percent=dec("2"))}, ("trail_price", "trail_percent")),
        ({"terms": terms(extended_hours=True)}, ("extended_hours",)),
        ({"order_class": OrderClass.OTO, "take_profit": dec("25")}, ("order_class", "take_profit")),
        ({"stop_loss": StopLoss(stop_price=Decimal(18))}, ("stop_loss",)),
        ({"legs": (LegIntent(symbol="A", ratio=Decimal(1), side=Side.BUY),)}, ("legs",)),
        ({"position_intent": PositionIntent.BUY_TO_OPEN, "decision_id": "d"}, ("position_intent", "decision_id")),
    ],
)
def test_the_same_key_with_other_content_is_told_by_name(other: dict[str, object], names: tuple[str, ...]) -> None:
    assert differences(intent(), changed(**other)) == names


@pytest.mark.parametrize(
    ("known", "asked", "names"),
    [
        ({}, {"decision_id": "d"}, ()),
        ({}, {"terms": terms(type=OrderType.STOP_LIMIT, stop_price=dec("19"))}, ()),
        ({}, {"symbol": "MSFT", "side": Side.SELL}, ("symbol", "side")),
        ({}, {"terms": terms(quantity=dec("11"))}, ("quantity",)),
        ({}, {"terms": terms(quantity=None, notional=dec("10"))}, ("quantity",)),
        ({"terms": terms(quantity=None, notional=dec("10"))}, {}, ("notional",)),
        ({"symbol": "", "side": None}, {}, ()),
    ],
)
def test_an_order_known_from_its_broker_alone_is_compared_by_what_the_broker_tells(
    known: dict[str, object], asked: dict[str, object], names: tuple[str, ...]
) -> None:
    assert differences(changed(**known), changed(**asked), is_taken_up=True) == names


def test_each_use_of_the_kill_switch_has_a_key_for_each_symbol() -> None:
    made = {flatten_key(account, number, symbol) for account in "ab" for number in (1, 2) for symbol in ("KO", "F")}
    assert len(made) == 8
    assert flatten_key("a", 1, "KO") == flatten_key("a", 1, "KO")
    assert all(key.startswith("f-") and len(key) <= 48 for key in made)


def test_a_position_has_an_id_by_its_account_its_symbol_and_what_opened_it() -> None:
    made = {position_id(account, symbol, change) for account in "ab" for symbol in ("KO", "F") for change in ("1", "2")}
    assert len(made) == 8
    assert position_id("a", "KO", "1") == position_id("a", "KO", "1")
    assert all(key.startswith("p-") and SHAPE.fullmatch(key) for key in made)


def test_a_decision_closes_a_trade_once() -> None:
    made = {close_key(account, decision) for account in "ab" for decision in ("d-1", "d-2")}
    assert len(made) == 4
    assert close_key("a", "d-1") == close_key("a", "d-1")
    assert all(key.startswith("c-") and SHAPE.fullmatch(key) for key in made)
