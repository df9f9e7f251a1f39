"""Reading what Alpaca might send: exact numbers, any time format, words nobody knows, and rubbish."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orderd.brokers.alpaca import parse, replies, words
from orderd.brokers.alpaca.fields import Json, ParseError, as_object, decode, flag, number, read_moment, text
from orderd.brokers.alpaca.symbols import canonical, is_spelled
from orderd.core.order import AssetClass, OrderClass, OrderType, Phase
from orderd.ports import BrokerReport, ReportKind, Unreadable

D = Decimal
PLAIN: dict[str, Any] = {
    "id": "b-1",
    "client_order_id": "c-1",
    "created_at": "2026-10-08T15:10:18Z",
    "updated_at": "2026-10-08T15:10:18.0952164Z",
    "submitted_at": "2026-10-08T15:10:18.09Z",
    "symbol": "KO",
    "asset_class": "us_equity",
    "qty": "5",
    "notional": None,
    "filled_qty": "0",
    "filled_avg_price": None,
    "order_class": "",
    "type": "limit",
    "side": "buy",
    "time_in_force": "day",
    "limit_price": "1.5",
    "status": "new",
    "legs": None,
}


def order_bytes(**changes: object) -> bytes:
    return json.dumps(PLAIN | changes).encode()


def frame_bytes(event: str = "fill", changes: dict[str, Any] | None = None, **data: object) -> bytes:
    inner = {"event": event, "timestamp": "2026-10-08T15:10:18.5Z", "order": PLAIN | (changes or {})} | data
    return json.dumps({"stream": "trade_updates", "data": inner}).encode()


def report(event: str = "fill", changes: dict[str, Any] | None = None, **data: object) -> BrokerReport:
    made = replies.frame(frame_bytes(event, changes, **data))
    assert isinstance(made, BrokerReport), made
    return made


# ------------------------------------------------------------------------------------------------------------- numbers


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=D("-1e12"), max_value=D("1e12"), places=9))
def test_a_number_keeps_every_digit_as_a_string_and_as_a_number(value: Decimal) -> None:
    digits = format(value, "f")
    for body in (f'{{"qty":"{digits}"}}', f'{{"qty":{digits}}}'):
        row = decode(body.encode())
        assert isinstance(row, dict)
        assert number(row, "qty") == value


@pytest.mark.parametrize("value", [None, ""])
def test_null_and_empty_are_both_absent(value: str | None) -> None:
    assert number({"qty": value}, "qty") is None
    assert text({"id": value}, "id") == ""
    view = parse.order(order_bytes(replaces=value, filled_avg_price=value, qty=value, notional=value or "7"))
    assert (view.replaces, view.average_price, view.terms and view.terms.quantity) == ("", None, None)


BAD_NUMBERS = ["NaN", "Infinity", "-inf", "1e999999", "1e-999", "one", "1,5", "0x10", "9" * 41, True, [], {}, " "]


@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_what_is_no_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(ParseError, match="filled_qty"):
        parse.order(order_bytes(filled_qty=value))


@pytest.mark.parametrize("value", ["yes", 1, "true"])
def test_what_is_no_boolean_is_refused(value: object) -> None:
    with pytest.raises(ParseError, match="extended_hours"):
        flag({"extended_hours": value}, "extended_hours")


# --------------------------------------------------------------------------------------------------------------- times


@given(
    st.datetimes(min_value=datetime(1990, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(min_value=0, max_value=999_999_999),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
    st.integers(min_value=0, max_value=9),
)
def test_any_fraction_and_any_offset_is_one_moment(naive: datetime, nanos: int, offset: int, digits: int) -> None:
    whole = naive.replace(microsecond=0, tzinfo=UTC)
    nanos -= nanos % 10 ** (9 - digits)
    local = whole.astimezone(timezone(timedelta(minutes=offset)))
    sign, minutes = ("-" if offset < 0 else "+"), abs(offset)
    fraction = f".{nanos:09d}"[: digits + 1] if digits else ""
    written = f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{sign}{minutes // 60:02d}:{minutes % 60:02d}"
    moment = read_moment(written, "at")
    assert moment.time == whole + timedelta(microseconds=nanos // 1000)
    assert moment.time.tzinfo is UTC
    assert moment.ns == int(whole.timestamp()) * 10**9 + nanos


BAD_TIMES = [
    "2026-10-08", "2026-10-08T15:10:18", "2026-13-08T15:10:18Z", "2026-10-08T25:10:18Z", "0001-01-01T00:00:00+14:00",
    "2026-10-08T15:10:18.1234567890Z", "yesterday", "2026-10-08T15:10:18Z\n", "\u0662026-10-08T15:10:18Z",
]  # fmt: skip


@pytest.mark.parametrize("value", BAD_TIMES)
def test_what_is_no_time_is_refused_by_name(value: str) -> None:
    with pytest.raises(ParseError, match="updated_at"):
        parse.order(order_bytes(updated_at=value))


# --------------------------------------------------------------------------------------------------------------- words

DOCUMENTED = {
    Phase.QUEUED: {"pending_new", "accepted", "held"},
    Phase.WORKING: {
        "new", "accepted_for_bidding", "stopped", "suspended", "done_for_day", "calculated", "pending_review",
        "partially_filled",
    },
    Phase.FILLED: {"filled"},
    Phase.CANCELED: {"canceled"},
    Phase.EXPIRED: {"expired"},
    Phase.REJECTED: {"rejected"},
    Phase.REPLACED: {"replaced"},
    Phase.PENDING_CANCEL: {"pending_cancel"},
    Phase.PENDING_REPLACE: {"pending_replace"},
}  # fmt: skip


def test_the_status_table_is_the_one_of_the_lifecycle() -> None:
    for phase, statuses in DOCUMENTED.items():
        for status in statuses:
            view = parse.order(order_bytes(status=status))
            assert (view.phase, view.status) == (phase, status)
    assert set(words.PHASES) == set().union(*DOCUMENTED.values())


@pytest.mark.parametrize("word", ["galloping", "FILLED", "cancelled", "new "])
def test_an_unknown_status_is_kept_as_it_is(word: str) -> None:
    view = parse.order(order_bytes(status=word))
    assert (view.phase, view.status) == (Phase.UNKNOWN, word)


def test_unknown_words_elsewhere_leave_the_rest_readable() -> None:
    view = parse.order(
        order_bytes(asset_class="treasury", side="sideways", type="peg", order_class="cluster", position_intent="hold")
    )
    assert (view.asset_class, view.side, view.terms, view.position_intent) == (None, None, None, None)
    assert (view.order_class, view.broker_order_id, view.phase) == ("cluster", "b-1", Phase.WORKING)
    assert parse.order(order_bytes(time_in_force="gtd")).terms is None


@pytest.mark.parametrize("missing", ["id", "status"])
@pytest.mark.parametrize("value", [None, "", 7.5])
def test_an_order_without_id_or_status_is_no_order(missing: str, value: object) -> None:
    with pytest.raises(ParseError, match=missing):
        parse.order(order_bytes(**{missing: value}))


def test_a_trailing_stop_has_its_trail_and_not_its_moving_stop() -> None:
    view = parse.order(
        order_bytes(type="trailing_stop", limit_price=None, stop_price="95.5", trail_percent="5", hwm="100.5")
    )
    assert view.terms is not None
    assert (view.terms.type, view.terms.trail_percent, view.terms.stop_price) == (OrderType.TRAILING_STOP, 5, None)


def test_a_leg_without_a_type_has_that_of_its_parent() -> None:
    leg = PLAIN | {"id": "b-2", "type": "", "order_type": "", "order_class": "mleg", "ratio_qty": "2", "qty": "10"}
    view = parse.order(order_bytes(order_class="mleg", side="buy", symbol="", asset_class="", legs=[leg]))
    assert (view.side, view.order_class) == (None, OrderClass.MULTILEG)
    (read,) = view.legs
    assert read.terms is not None
    assert (read.terms.type, read.terms.quantity, read.ratio) == (OrderType.LIMIT, 10, 2)
    assert read.parent_broker_order_id == "b-1"


# -------------------------------------------------------------------------------------------------------------- stream


def test_a_fill_is_its_own_quantity_and_the_orders_total() -> None:
    made = report(
        "partial_fill", {"filled_qty": "3", "status": "partially_filled"}, qty="2", price="1.4", execution_id="e-2"
    )
    (execution,) = made.executions
    assert (execution.quantity, execution.price, execution.cum_after) == (2, D("1.4"), 3)
    assert execution.execution_id == "e-2"


@pytest.mark.parametrize(
    "data", [{}, {"qty": "2"}, {"price": "1"}, {"qty": "0", "price": "1"}, {"qty": "", "price": ""}]
)
def test_a_fill_without_quantity_or_price_is_only_a_view(data: dict[str, str]) -> None:
    made = report("fill", {"filled_qty": "5", "status": "filled"}, **data)
    assert made.executions == ()
    assert made.view is not None
    assert made.view.filled_quantity == 5


def test_a_multi_leg_fill_without_its_legs_books_nothing_on_the_parent() -> None:
    made = report("fill", {"order_class": "mleg", "symbol": "", "side": ""}, qty="1", price="0.07")
    assert made.executions == ()


def test_the_legs_total_is_not_believed_when_it_is_behind_the_execution() -> None:
    leg = PLAIN | {"id": "b-2", "filled_qty": "1", "order_class": "mleg"}
    executions = [{"order_id": "b-2", "qty": "3", "price": "2"}, {"order_id": "b-9", "qty": "1", "price": "2"}]
    made = report("fill", {"order_class": "mleg", "legs": [leg]}, legs=executions)
    assert [(each.broker_order_id, each.cum_after) for each in made.executions] == [("b-2", None), ("b-9", None)]


def test_a_bust_may_be_negative_and_names_what_it_undoes() -> None:
    made = report("trade_bust", qty="-2", price="1.5", previous_execution_id="e-1", execution_id="e-9")
    (undone,) = made.executions
    assert (made.kind, made.previous_execution_id, undone.quantity) == (ReportKind.BUST, "e-1", 2)
    assert report("trade_bust", previous_execution_id="e-1").executions == ()


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("trade_bust", {"qty": "1", "price": "1"}),
        ("trade_correct", {"qty": "1", "price": "1"}),
        ("trade_correct", {"previous_execution_id": "e-1", "price": "1"}),
        ("trade_correct", {"previous_execution_id": "e-1", "qty": "1"}),
        ("trade_correct", {"previous_execution_id": "e-1", "qty": "-1", "price": "1"}),
        ("", {}),
        ("fill", {"order": None}),
        ("fill", {"order": {}}),
        ("fill", {"order": []}),
        ("fill", {"qty": "two", "price": "1"}),
        ("fill", {"timestamp": "noon"}),
    ],
)
def test_an_update_that_cannot_be_understood_is_kept_raw(event: str, data: dict[str, object]) -> None:
    body = frame_bytes(event, None, **data)
    made = replies.frame(body)
    assert isinstance(made, Unreadable)
    assert (made.raw, bool(made.message)) == (body, True)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("order_cancel_rejected", ReportKind.CANCEL_REJECTED),
        ("order_replace_rejected", ReportKind.REPLACE_REJECTED),
        ("replaced", ReportKind.UPDATE),
        ("restated", ReportKind.UPDATE),
        ("held", ReportKind.UPDATE),
        ("some_new_event", ReportKind.UPDATE),
    ],
)
def test_every_other_event_is_told_by_its_order(event: str, kind: ReportKind) -> None:
    made = report(event, {"status": "replaced", "replaced_by": "b-2"}, execution_id="e-1")
    assert (made.kind, made.event, made.executions) == (kind, event, ())
    assert made.view is not None
    assert (made.view.broker_order_id, made.view.phase, made.view.replaced_by) == ("b-1", Phase.REPLACED, "b-2")


@given(st.binary(max_size=200))
def test_rubbish_never_escapes_as_an_exception(body: bytes) -> None:
    assert not isinstance(replies.frame(body), BrokerReport)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)


@given(st.sampled_from(sorted(PLAIN)), JSON_VALUES)
def test_any_value_in_any_field_is_read_or_refused(name: str, value: object) -> None:
    body = frame_bytes("fill", {name: value}, qty="1", price="1")
    assert isinstance(replies.frame(body), BrokerReport | Unreadable)


def test_nesting_beyond_reason_is_refused() -> None:
    with pytest.raises(ParseError):
        decode(b"[" * 100_000)


# ------------------------------------------------------------------------------------------------------ lists, symbols


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[1]", b"[{}]", b'[{"id":"a"}]', b"<html>", order_bytes()])
def test_a_list_with_anything_unreadable_is_no_list(body: bytes) -> None:
    with pytest.raises(ParseError):
        parse.orders(body)


def test_each_order_of_a_list_keeps_its_own_bytes() -> None:
    rows = [PLAIN | {"id": "b-1", "hwm": 1.25}, PLAIN | {"id": "b-2"}]
    listed = parse.orders(json.dumps(rows).encode())
    assert [json.loads(raw) for _, raw in listed] == rows
    assert [view.broker_order_id for view, _ in listed] == ["b-1", "b-2"]


@pytest.mark.parametrize(
    ("printed", "asset_class", "inside"),
    [
        ("BTCUSD", AssetClass.CRYPTO, "BTC/USD"),
        ("BTC/USD", AssetClass.CRYPTO, "BTC/USD"),
        ("USDTUSD", AssetClass.CRYPTO, "USDT/USD"),
        ("SOLUSDT", AssetClass.CRYPTO, "SOL/USDT"),
        ("ETHBTC", AssetClass.CRYPTO, "ETH/BTC"),
        ("USD", AssetClass.CRYPTO, "USD"),
        ("BRK.B", AssetClass.US_EQUITY, "BRK.B"),
        ("AAPL241213C00250000", AssetClass.US_OPTION, "AAPL241213C00250000"),
        ("BTCUSD", None, "BTCUSD"),
    ],
)
def test_symbols_are_canonical_inside(printed: str, asset_class: AssetClass | None, inside: str) -> None:
    assert canonical(printed, asset_class) == inside


@pytest.mark.parametrize(
    ("symbol", "asset_class", "is_good"),
    [
        ("AAPL", AssetClass.US_EQUITY, True),
        ("BRK.B", AssetClass.US_EQUITY, True),
        ("BRK/B", AssetClass.US_EQUITY, False),
        ("aapl", AssetClass.US_EQUITY, False),
        ("", AssetClass.US_EQUITY, False),
        ("BTC/USD", AssetClass.CRYPTO, True),
        ("BTCUSD", AssetClass.CRYPTO, False),
        ("AAPL241213C00250000", AssetClass.US_OPTION, True),
        ("AAPL  241213C00250000", AssetClass.US_OPTION, False),
        ("AAPL241213X00250000", AssetClass.US_OPTION, False),
    ],
)
def test_only_canonical_symbols_are_sent(symbol: str, asset_class: AssetClass, is_good: bool) -> None:
    assert is_spelled(symbol, asset_class) is is_good


def test_an_account_says_who_it_is_and_whether_it_may_trade() -> None:
    row: Json = {"account_number": "PA1", "status": "ACTIVE", "equity": "1", "cash": 2, "buying_power": "3"}
    assert not parse.account(msgspec.json.encode(row)).is_trading_blocked
    for block in ("trading_blocked", "account_blocked", "trade_suspended_by_user"):
        assert parse.account(msgspec.json.encode(row | {block: True})).is_trading_blocked
    for missing in row:
        with pytest.raises(ParseError, match=missing):
            parse.account(msgspec.json.encode({name: value for name, value in row.items() if name != missing}))


def test_an_account_says_what_it_may_open_or_nothing_of_it() -> None:
    row = {"account_number": "A", "status": "ACTIVE", "equity": "1", "cash": "1", "buying_power": "1"}
    told = parse.account(msgspec.json.encode(row | {"shorting_enabled": False, "options_trading_level": 2}))
    assert (told.may_short, told.options_level) == (False, 2)
    for silent in (row, row | {"shorting_enabled": None, "options_trading_level": None}):
        untold = parse.account(msgspec.json.encode(silent))
        assert (untold.may_short, untold.options_level) == (None, None)


def test_a_short_position_is_negative_however_it_is_printed() -> None:
    for printed in ("24", "-24"):
        (position,) = parse.positions(
            json.dumps([{"symbol": "XLK", "qty": printed, "qty_available": printed, "side": "short"}]).encode()
        )
        assert (position.quantity, position.quantity_available) == (-24, -24)
        assert position.current_price is None


@pytest.mark.parametrize(
    "odd", ['"1_000"', '" 12 "', '"\\uff11"', '"+1"', '"1."', '".5"', '"0x10"', "1e99999999999999999999", '"NaN"']
)
def test_a_number_that_only_python_would_read_is_none(odd: str) -> None:
    with pytest.raises(ParseError, match="qty is not a number"):
        parse.position(as_object(decode(f'{{"symbol": "F", "qty": {odd}}}'.encode()), "position"))


def test_a_number_beyond_all_exponents_hurts_nobody_who_does_not_ask_for_it() -> None:
    """It used to end the stream's task, and with it the server."""
    seen = parse.order(b'{"id": "b", "status": "new", "nobody_reads": 1e99999999999999999999}')
    assert seen.phase is Phase.WORKING
    told = replies.frame(b'{"stream": "trade_updates", "data": {"event": "fill", "order": 1e99999999999999999999}}')
    assert isinstance(told, Unreadable)


def test_a_leg_has_no_legs() -> None:
    leg = '{"id": "l", "status": "new", "legs": [{"id": "x", "status": "new"}]}'
    with pytest.raises(ParseError, match="a leg with legs of its own"):
        parse.order(f'{{"id": "b", "status": "new", "legs": [{leg}]}}'.encode())
