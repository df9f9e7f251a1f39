"""SubmitOrder's request: what is in order becomes exactly that intent, what is not is named, all of it at once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.order import (
    OrderClass,
    OrderIntent,
    OrderType,
    PositionIntent,
    Side,
    StopLoss,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, ClientOrderId
from orderd.wire.asks import ACCOUNT_REQUIRED, INVALID_FIELDS, KEY_REQUIRED, BatchAsk, Invalid, SubmitAsk
from orderd.wire.enums import WaitFor
from orderd.wire.validate_order import batch_ask, preview_ask, submit_ask
from tests.wire import samples
from tests.wire.samples import fields_of, multileg, refused, request, taken

ARABIC_TEN = "\u0661\u0660"
FULLWIDTH_TEN = "\uff11\uff10"


def test_a_plain_order() -> None:
    assert taken(request()) == OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId("bot-1"),
        symbol="AAPL",
        side=Side.BUY,
        terms=Terms(
            type=OrderType.LIMIT, time_in_force=TimeInForce.DAY, quantity=Decimal(10), limit_price=Decimal("150.25")
        ),
    )


def test_every_field_of_a_request_reaches_the_intent() -> None:
    decided = datetime(2025, 1, 17, 12, 0, 0, 5, tzinfo=UTC)
    intent = taken(
        request(
            trace_id="trace",
            decision_id="decision",
            decided_time=decided,
            strategy="orb",
            tags={"b": "2", "a": "1"},
            symbol="BRK.B",
            side=pb.SIDE_SELL,
            quantity=None,
            notional="1000.50",
            type=pb.ORDER_TYPE_STOP_LIMIT,
            time_in_force=pb.TIME_IN_FORCE_GTC,
            stop_price="151",
            extended_hours=True,
            order_class=pb.ORDER_CLASS_BRACKET,
            take_profit=pb.TakeProfit(limit_price="140"),
            stop_loss=pb.StopLoss(stop_price="160", limit_price="161"),
            position_intent=pb.POSITION_INTENT_SELL_TO_OPEN,
            valid_until_time=decided + timedelta(minutes=1),
            reference_price="150.1",
        )
    )
    assert intent == OrderIntent(
        account_id=AccountId("paper"),
        client_order_id=ClientOrderId("bot-1"),
        symbol="BRK.B",
        side=Side.SELL,
        terms=Terms(
            type=OrderType.STOP_LIMIT,
            time_in_force=TimeInForce.GTC,
            notional=Decimal("1000.5"),
            limit_price=Decimal("150.25"),
            stop_price=Decimal(151),
            extended_hours=True,
        ),
        order_class=OrderClass.BRACKET,
        position_intent=PositionIntent.SELL_TO_OPEN,
        take_profit=Decimal(140),
        stop_loss=StopLoss(stop_price=Decimal(160), limit_price=Decimal(161)),
        trace_id="trace",
        decision_id="decision",
        decided_time=decided,
        valid_until_time=decided + timedelta(minutes=1),
        reference_price=Decimal("150.1"),
        strategy="orb",
        tags=(("a", "1"), ("b", "2")),
    )


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        # the size
        ({"quantity": None}, ["quantity"]),
        ({"quantity": "0"}, ["quantity"]),
        ({"quantity": "0.000"}, ["quantity"]),
        ({"quantity": "-1"}, ["quantity"]),
        ({"quantity": "-0"}, ["quantity"]),
        ({"quantity": "NaN"}, ["quantity"]),
        ({"quantity": "sNaN"}, ["quantity"]),
        ({"quantity": "Infinity"}, ["quantity"]),
        ({"quantity": "-inf"}, ["quantity"]),
        ({"quantity": "1" * 400}, ["quantity"]),
        ({"quantity": "1" * 39}, ["quantity"]),
        ({"quantity": "1." + "1" * 38}, ["quantity"]),
        ({"quantity": "0." + "1" * 19}, ["quantity"]),
        ({"quantity": "1e3"}, ["quantity"]),
        ({"quantity": "1E-3"}, ["quantity"]),
        ({"quantity": ARABIC_TEN}, ["quantity"]),
        ({"quantity": FULLWIDTH_TEN}, ["quantity"]),
        ({"quantity": "10\u00a0"}, ["quantity"]),
        ({"quantity": " 10"}, ["quantity"]),
        ({"quantity": "10\n"}, ["quantity"]),
        ({"quantity": "+10"}, ["quantity"]),
        ({"quantity": "010"}, ["quantity"]),
        ({"quantity": "10."}, ["quantity"]),
        ({"quantity": ".5"}, ["quantity"]),
        ({"quantity": "1,000"}, ["quantity"]),
        ({"quantity": "1_000"}, ["quantity"]),
        ({"quantity": "0x10"}, ["quantity"]),
        ({"quantity": "--1"}, ["quantity"]),
        ({"quantity": "1\x00"}, ["quantity"]),
        ({"notional": "100"}, ["notional"]),
        ({"quantity": None, "notional": "-5"}, ["notional"]),
        ({"quantity": "NaN", "notional": "NaN"}, ["quantity", "notional", "notional"]),
        # prices and types
        ({"type": pb.ORDER_TYPE_MARKET}, ["limit_price"]),
        ({"type": pb.ORDER_TYPE_MARKET, "stop_price": "1"}, ["limit_price", "stop_price"]),
        ({"limit_price": None}, ["limit_price"]),
        ({"limit_price": "0"}, ["limit_price"]),
        ({"limit_price": "-1"}, ["limit_price"]),
        ({"limit_price": "abc"}, ["limit_price"]),
        ({"stop_price": "149"}, ["stop_price"]),
        ({"type": pb.ORDER_TYPE_STOP}, ["limit_price", "stop_price"]),
        ({"type": pb.ORDER_TYPE_STOP_LIMIT}, ["stop_price"]),
        ({"type": pb.ORDER_TYPE_STOP_LIMIT, "limit_price": None, "stop_price": "1"}, ["limit_price"]),
        ({"type": pb.ORDER_TYPE_TRAILING_STOP, "limit_price": None}, ["trail_price"]),
        (
            {"type": pb.ORDER_TYPE_TRAILING_STOP, "limit_price": None, "trail_price": "1", "trail_percent": "1"},
            ["trail_percent"],
        ),
        ({"type": pb.ORDER_TYPE_TRAILING_STOP, "limit_price": None, "trail_percent": "100"}, ["trail_percent"]),
        ({"type": pb.ORDER_TYPE_TRAILING_STOP, "limit_price": None, "trail_price": "0"}, ["trail_price"]),
        ({"type": pb.ORDER_TYPE_TRAILING_STOP, "trail_price": "1"}, ["limit_price"]),
        ({"trail_price": "1", "trail_percent": "2"}, ["trail_price", "trail_percent"]),
        ({"type": None}, ["type"]),
        ({"type": 99}, ["type"]),
        ({"type": -1}, ["type"]),
        ({"time_in_force": None}, ["time_in_force"]),
        ({"time_in_force": 99}, ["time_in_force"]),
        ({"reference_price": "0"}, ["reference_price"]),
        # what is traded
        ({"symbol": None}, ["symbol"]),
        ({"symbol": "aapl"}, ["symbol"]),
        ({"symbol": "AAPL "}, ["symbol"]),
        ({"symbol": "A" * 33}, ["symbol"]),
        ({"symbol": "А" + "APL"}, ["symbol"]),  # noqa: RUF001 - a Cyrillic letter
        ({"symbol": "AAPL251317C00150000"}, ["symbol"]),
        ({"side": None}, ["side"]),
        ({"side": 99}, ["side"]),
        ({"position_intent": 99}, ["position_intent"]),
        ({"position_intent": pb.POSITION_INTENT_SELL_TO_CLOSE}, ["position_intent"]),
        # the key and the texts
        ({"client_order_id": "a b"}, ["client_order_id"]),
        ({"client_order_id": "a_b"}, ["client_order_id"]),
        ({"client_order_id": "a" * 129}, ["client_order_id"]),
        ({"client_order_id": "é"}, ["client_order_id"]),
        ({"client_order_id": "a\n"}, ["client_order_id"]),
        ({"trace_id": "t" * 129}, ["trace_id"]),
        ({"trace_id": "a\nb"}, ["trace_id"]),
        ({"decision_id": "d\x00"}, ["decision_id"]),
        ({"strategy": "\u202eorb"}, ["strategy"]),
        ({"strategy": "s" * 129}, ["strategy"]),
        ({"tags": {"k" * 65: "v"}}, ["tags (a key)"]),
        ({"tags": {"": "v"}}, ["tags (a key)"]),
        ({"tags": {"k": "v" * 257}}, ['tags["k"]']),
        ({"tags": {"k": "a\tb"}}, ['tags["k"]']),
        ({"tags": {"a\nb": "a\tb"}}, ["tags (a key)", "tags (a value)"]),
        ({"tags": {str(number): "" for number in range(33)}}, ["tags"]),
        # times
        ({"decided_time": Timestamp(seconds=253_402_300_800)}, ["decided_time"]),
        ({"decided_time": Timestamp(seconds=-62_135_596_801)}, ["decided_time"]),
        ({"valid_until_time": Timestamp(nanos=1_000_000_000)}, ["valid_until_time"]),
        ({"valid_until_time": Timestamp(nanos=-1)}, ["valid_until_time"]),
        ({"wait": 99}, ["wait"]),
    ],
)
def test_what_is_not_in_order_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    invalid = refused(request(**changes))
    assert fields_of(invalid) == fields
    assert invalid.reason == INVALID_FIELDS


def test_all_violations_are_reported_at_once() -> None:
    invalid = refused(
        request(
            client_order_id="not a key",
            symbol="aapl",
            side=99,
            quantity="NaN",
            notional="1e5",
            type=pb.ORDER_TYPE_MARKET,
            time_in_force=42,
            limit_price="abc",
            trace_id="\x07",
            reference_price="-1",
            wait=7,
            tags={"k": "\n"},
            decided_time=Timestamp(nanos=-1),
        )
    )
    assert set(fields_of(invalid)) == {
        "client_order_id",
        "symbol",
        "side",
        "quantity",
        "notional",
        "time_in_force",
        "limit_price",
        "trace_id",
        "reference_price",
        "wait",
        'tags["k"]',
        "decided_time",
    }


def test_an_empty_request_names_everything_that_is_missing() -> None:
    invalid = refused(service_pb.SubmitOrderRequest(), account_id="")
    assert set(fields_of(invalid)) == {
        "account_id",
        "client_order_id",
        "symbol",
        "side",
        "quantity",
        "type",
        "time_in_force",
    }
    assert invalid.reason == INVALID_FIELDS


def test_rules_do_not_repeat_values() -> None:
    invalid = refused(request(quantity="hunter2", trace_id="hunter2\n", symbol="hunter2", tags={"k": "hunter2\n"}))
    assert "hunter2" not in str(invalid)


def test_without_a_key_and_without_an_origin_a_key_is_required() -> None:
    invalid = refused(request(client_order_id=None))
    assert (invalid.reason, fields_of(invalid)) == (KEY_REQUIRED, ["client_order_id"])


def test_without_an_account_and_with_several_one_is_required() -> None:
    invalid = refused(request(), account_id="")
    assert (invalid.reason, fields_of(invalid)) == (ACCOUNT_REQUIRED, ["account_id"])


def test_a_key_is_derived_from_what_the_caller_said() -> None:
    by_trace = taken(request(client_order_id=None, trace_id="t")).client_order_id
    assert 1 <= len(by_trace) <= 48
    assert by_trace == taken(request(client_order_id=None, trace_id="t")).client_order_id
    assert by_trace == taken(request(client_order_id=None, trace_id="t", tags={"a": "b"}, strategy="x")).client_order_id
    others = [
        request(client_order_id=None, trace_id="u"),
        request(client_order_id=None, trace_id="t", quantity="11"),
        request(client_order_id=None, trace_id="t", symbol="MSFT"),
        request(client_order_id=None, trace_id="t", decided_time=datetime(2025, 1, 17, 12, tzinfo=UTC)),
        request(client_order_id=None, trace_id="t", decision_id="d"),
    ]
    keys = {taken(other).client_order_id for other in others}
    assert len(keys | {by_trace}) == len(others) + 1


def test_a_derived_key_passes_as_a_given_one() -> None:
    derived = taken(request(client_order_id=None, decision_id="d")).client_order_id
    assert taken(request(client_order_id=derived)).client_order_id == derived


@pytest.mark.parametrize(("number", "wait"), [(0, None), (1, WaitFor.BROKER), (2, WaitFor.JOURNAL)])
def test_wait(number: int, wait: WaitFor | None) -> None:
    ask = submit_ask(request(wait=number), account_id="paper")
    assert isinstance(ask, SubmitAsk)
    assert ask.wait is wait


def test_limits_are_inclusive() -> None:
    intent = taken(
        request(
            client_order_id="k" * 128,
            trace_id="t" * 128,
            decision_id="d" * 128,
            strategy="ü" * 128,
            tags={"k" * 63 + chr(65 + number): "v" * 256 for number in range(32)},
            quantity="1" * 20 + "." + "1" * 18,
            limit_price="1" * 38,
        )
    )
    assert intent.terms.quantity == Decimal("1" * 20 + "." + "1" * 18)
    assert intent.terms.limit_price == Decimal("1" * 38)
    assert len(intent.tags) == 32


@given(samples.decimals, samples.decimals)
def test_decimals_are_read_exactly(quantity: Decimal, price: Decimal) -> None:
    terms = taken(request(quantity=f"{quantity:f}", limit_price=f"{price:f}")).terms
    assert (terms.quantity, terms.limit_price) == (quantity, price)


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_judged_and_never_raises(quantity: str, symbol: str, key: str) -> None:
    ask = submit_ask(request(quantity=quantity, symbol=symbol, client_order_id=key), account_id="paper")
    assert isinstance(ask, Invalid | SubmitAsk)


@given(st.text(alphabet="0123456789.-eE+ _", max_size=45))
def test_what_passes_as_a_decimal_is_one(text: str) -> None:
    ask = submit_ask(multileg(limit_price=text or "1"), account_id="paper")
    if isinstance(ask, SubmitAsk):
        assert ask.intent.terms.limit_price == Decimal(text or "1")
        assert set(text) <= set("0123456789.-")
    else:
        assert fields_of(ask) == ["limit_price"]


@pytest.mark.parametrize(
    ("order_type", "prices"),
    [
        (pb.ORDER_TYPE_MARKET, {}),
        (pb.ORDER_TYPE_LIMIT, {"limit_price": "1"}),
        (pb.ORDER_TYPE_STOP, {"stop_price": "1"}),
        (pb.ORDER_TYPE_STOP_LIMIT, {"limit_price": "1", "stop_price": "1"}),
        (pb.ORDER_TYPE_TRAILING_STOP, {"trail_price": "1"}),
        (pb.ORDER_TYPE_TRAILING_STOP, {"trail_percent": "99.9"}),
    ],
)
def test_each_type_with_its_prices(order_type: pb.OrderType.ValueType, prices: dict[str, str]) -> None:
    terms = taken(request(**({"limit_price": None, "type": order_type} | prices))).terms
    for name in ("limit_price", "stop_price", "trail_price", "trail_percent"):
        assert getattr(terms, name) == (Decimal(prices[name]) if name in prices else None)


def test_nanoseconds_are_cut() -> None:
    intent = taken(request(decided_time=Timestamp(seconds=1, nanos=1_999)))
    assert intent.decided_time == datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC)


def test_a_preview_needs_an_order_and_names_its_fields_inside_it() -> None:
    empty = preview_ask(service_pb.PreviewOrderRequest(), account_id="paper")
    assert isinstance(empty, Invalid)
    assert fields_of(empty) == ["order"]
    wrong = preview_ask(service_pb.PreviewOrderRequest(order=request(quantity="0")), account_id="paper")
    assert isinstance(wrong, Invalid)
    assert fields_of(wrong) == ["order.quantity"]
    right = preview_ask(service_pb.PreviewOrderRequest(order=request()), account_id="paper")
    assert isinstance(right, SubmitAsk)


@pytest.mark.parametrize(("count", "is_taken"), [(0, False), (1, True), (500, True), (501, False)])
def test_a_batch_has_1_to_500_orders(count: int, is_taken: bool) -> None:
    ask = batch_ask(service_pb.BatchSubmitOrdersRequest(requests=[request()] * count))
    assert isinstance(ask, BatchAsk) is is_taken
    if isinstance(ask, Invalid):
        assert fields_of(ask) == ["requests"]


def test_a_batch_with_an_unknown_wait() -> None:
    ask = batch_ask(service_pb.BatchSubmitOrdersRequest(requests=[request()], wait=99))  # type: ignore[arg-type]
    assert isinstance(ask, Invalid)
    assert fields_of(ask) == ["wait"]
