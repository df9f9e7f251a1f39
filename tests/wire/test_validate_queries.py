"""Reads: the filters arrive as they were asked, and every bad one is named."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.order import AssetClass, OrderRole, OrderState, Side
from orderd.ports import OrderFilter
from orderd.wire.asks import (
    BrokerOrdersAsk,
    FillsAsk,
    GetAsk,
    OrderName,
    OrderQuery,
    OrdersAsk,
    StoryAsk,
    StreamAsk,
)
from orderd.wire.validate_queries import broker_orders_ask, fills_ask, get_ask, orders_ask, story_ask, stream_ask
from tests.wire.samples import NOON, fields_of

BAD_TIME = Timestamp(nanos=-1)


def everything() -> service_pb.ListOrdersRequest:
    return service_pb.ListOrdersRequest(
        account_ids=["paper", "live", "paper"],
        statuses=[pb.ORDER_STATUS_ACCEPTED, pb.ORDER_STATUS_UNKNOWN],
        open_only=True,
        symbols=["AAPL"],
        underlyings=["SPY"],
        expiry_date_from="2025-01-17",
        expiry_date_to="2025-01-17",
        asset_classes=[pb.ASSET_CLASS_US_OPTION],
        sides=[pb.SIDE_SELL],
        roles=[pb.ORDER_ROLE_EXIT],
        strategies=["orb"],
        strategy_types=["vertical"],
        external=False,
        trace_ids=["t"],
        decision_ids=["d"],
        trade_ids=["x"],
        created_after_time=NOON,
        created_before_time=NOON + timedelta(seconds=1),
        page_size=7,
    )


EVERYTHING = OrderQuery(
    account_ids=("paper", "live"),
    states=(OrderState.ACCEPTED, OrderState.UNKNOWN),
    open_only=True,
    symbols=("AAPL",),
    underlyings=("SPY",),
    expires_on_or_after="2025-01-17",
    expires_on_or_before="2025-01-17",
    asset_classes=(AssetClass.US_OPTION,),
    sides=(Side.SELL,),
    roles=(OrderRole.EXIT,),
    strategies=("orb",),
    strategy_types=("vertical",),
    is_external=False,
    trace_ids=("t",),
    decision_ids=("d",),
    trade_ids=("x",),
    created_after=NOON,
    created_before=NOON + timedelta(seconds=1),
)


def test_every_filter_of_orders_arrives() -> None:
    assert orders_ask(everything()) == OrdersAsk(where=EVERYTHING, page_size=7)


def test_a_query_becomes_the_journals_filter_by_name() -> None:
    where = msgspec.convert(EVERYTHING, OrderFilter, from_attributes=True)
    assert msgspec.structs.asdict(where) == msgspec.structs.asdict(EVERYTHING)


def test_no_filter_is_everything() -> None:
    assert orders_ask(service_pb.ListOrdersRequest()) == OrdersAsk(where=OrderQuery(), page_size=50)


@pytest.mark.parametrize(("asked", "given"), [(0, 50), (1, 1), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)])
def test_the_page_size_is_clamped(asked: int, given: int) -> None:
    ask = orders_ask(service_pb.ListOrdersRequest(page_size=asked))
    assert isinstance(ask, OrdersAsk)
    assert ask.page_size == given


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"page_size": -1}, ["page_size"]),
        ({"account_ids": ["paper", ""]}, ["account_ids[1]"]),
        ({"account_ids": ["a" * 129]}, ["account_ids[0]"]),
        ({"symbols": ["A" * 33]}, ["symbols[0]"]),
        ({"symbols": ["A"] * 501}, ["symbols"]),
        ({"underlyings": ["\x00"]}, ["underlyings[0]"]),
        ({"strategies": ["a\nb"]}, ["strategies[0]"]),
        ({"strategy_types": [" "]}, ["strategy_types[0]"]),
        ({"trace_ids": [""]}, ["trace_ids[0]"]),
        ({"decision_ids": [""]}, ["decision_ids[0]"]),
        ({"trade_ids": [""]}, ["trade_ids[0]"]),
        ({"statuses": [99]}, ["statuses[0]"]),
        ({"statuses": [0]}, ["statuses[0]"]),
        ({"asset_classes": [1, 99]}, ["asset_classes[1]"]),
        ({"sides": [3]}, ["sides[0]"]),
        ({"roles": [0]}, ["roles[0]"]),
        ({"expiry_date_from": "2025-13-01"}, ["expiry_date_from"]),
        ({"expiry_date_from": "20250117"}, ["expiry_date_from"]),
        ({"expiry_date_from": "2025-1-17"}, ["expiry_date_from"]),
        ({"expiry_date_to": "tomorrow"}, ["expiry_date_to"]),
        ({"expiry_date_to": "2025-02-30"}, ["expiry_date_to"]),
        ({"expiry_date_from": "2025-01-18", "expiry_date_to": "2025-01-17"}, ["expiry_date_to"]),
        ({"created_after_time": BAD_TIME}, ["created_after_time"]),
        ({"created_before_time": BAD_TIME}, ["created_before_time"]),
        ({"created_after_time": NOON, "created_before_time": NOON}, ["created_before_time"]),
        (
            {"page_size": -5, "sides": [9], "symbols": [""], "expiry_date_to": "x"},
            ["symbols[0]", "expiry_date_to", "sides[0]", "page_size"],
        ),
    ],
)
def test_filters_of_orders_that_are_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(orders_ask(service_pb.ListOrdersRequest(**given))) == fields


@pytest.mark.parametrize("name", ["order_id", "client_order_id", "broker_order_id"])
def test_one_order_by_any_id(name: str) -> None:
    ask = get_ask(service_pb.GetOrderRequest(**{name: "x-1"}, account_id="paper", full=True))  # type: ignore[arg-type]
    assert ask == GetAsk(order=OrderName(**{name: "x-1"}, account_id="paper"), is_full=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["order_id"]),
        ({"order_id": ""}, ["order_id"]),
        ({"client_order_id": ""}, ["client_order_id"]),
        ({"client_order_id": "ü"}, ["client_order_id"]),
        ({"broker_order_id": ""}, ["broker_order_id"]),
        ({"broker_order_id": "b" * 129}, ["broker_order_id"]),
        ({"order_id": "o\x7f", "account_id": "\n"}, ["order_id", "account_id"]),
    ],
)
def test_one_order_that_is_not_named_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(get_ask(service_pb.GetOrderRequest(**given))) == fields


def test_every_filter_of_fills_arrives() -> None:
    ask = fills_ask(
        service_pb.ListFillsRequest(
            account_ids=["paper"],
            order_ids=["o-1"],
            symbols=["AAPL"],
            trade_ids=["x"],
            after_time=NOON,
            before_time=NOON + timedelta(seconds=1),
            page_size=5000,
        )
    )
    assert isinstance(ask, FillsAsk)
    assert ask.page_size == 1000
    assert ask.where.account_ids == ("paper",)
    assert (ask.where.order_ids, ask.where.symbols, ask.where.trade_ids) == (("o-1",), ("AAPL",), ("x",))
    assert (ask.where.after, ask.where.before) == (NOON, NOON + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"page_size": -1}, ["page_size"]),
        ({"order_ids": [""]}, ["order_ids[0]"]),
        ({"symbols": [""], "trade_ids": [""], "account_ids": [""]}, ["account_ids[0]", "symbols[0]", "trade_ids[0]"]),
        ({"after_time": BAD_TIME, "before_time": BAD_TIME}, ["after_time", "before_time"]),
        ({"after_time": NOON, "before_time": NOON - timedelta(days=1)}, ["before_time"]),
    ],
)
def test_filters_of_fills_that_are_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(fills_ask(service_pb.ListFillsRequest(**given))) == fields


def test_the_story_of_one_order() -> None:
    assert story_ask(service_pb.ListOrderEventsRequest(order_id="o-1")) == StoryAsk(order_id="o-1", page_size=50)
    assert fields_of(story_ask(service_pb.ListOrderEventsRequest(page_size=-1))) == ["order_id", "page_size"]


def test_a_stream_from_now_on() -> None:
    assert stream_ask(service_pb.StreamOrderEventsRequest()) == StreamAsk(heartbeat_ms=15_000)


def test_every_filter_of_a_stream_arrives() -> None:
    ask = stream_ask(
        service_pb.StreamOrderEventsRequest(
            account_ids=["paper"],
            order_ids=["o"],
            symbols=["AAPL"],
            strategies=["orb"],
            trace_ids=["t"],
            decision_ids=["d"],
            trade_ids=["x"],
            after_sequence=0,
            journal_id="j",
            heartbeat_interval=timedelta(seconds=20),
        )
    )
    assert ask == StreamAsk(
        account_ids=("paper",),
        order_ids=("o",),
        symbols=("AAPL",),
        strategies=("orb",),
        trace_ids=("t",),
        decision_ids=("d",),
        trade_ids=("x",),
        after_sequence=0,
        journal_id="j",
        heartbeat_ms=20_000,
    )


@pytest.mark.parametrize(
    ("interval", "milliseconds"),
    [
        (Duration(), 1_000),
        (Duration(nanos=999_999_999), 1_000),
        (Duration(seconds=1, nanos=500_000_000), 1_500),
        (Duration(seconds=60, nanos=1), 60_000),
        (Duration(seconds=2**62), 60_000),
    ],
)
def test_the_heartbeat_is_clamped(interval: Duration, milliseconds: int) -> None:
    ask = stream_ask(service_pb.StreamOrderEventsRequest(heartbeat_interval=interval))
    assert isinstance(ask, StreamAsk)
    assert ask.heartbeat_ms == milliseconds


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"after_sequence": -1}, ["after_sequence"]),
        ({"after_sequence": 0, "snapshot": True}, ["snapshot"]),
        ({"after_sequence": -1, "snapshot": True}, ["after_sequence", "snapshot"]),
        ({"journal_id": "j" * 129}, ["journal_id"]),
        ({"heartbeat_interval": Duration(seconds=-1)}, ["heartbeat_interval"]),
        ({"heartbeat_interval": Duration(nanos=-1)}, ["heartbeat_interval"]),
        ({"heartbeat_interval": Duration(nanos=1_000_000_000)}, ["heartbeat_interval"]),
        ({"symbols": [""], "order_ids": ["\n"]}, ["order_ids[0]", "symbols[0]"]),
        ({"strategies": ["s"] * 501}, ["strategies"]),
        ({"trace_ids": [""], "decision_ids": [""], "trade_ids": [""], "account_ids": [""]},
         ["account_ids[0]", "trace_ids[0]", "decision_ids[0]", "trade_ids[0]"]),
    ],
)  # fmt: skip
def test_a_stream_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(stream_ask(service_pb.StreamOrderEventsRequest(**given))) == fields


def test_a_comparison_with_the_broker() -> None:
    asked = broker_pb.ListBrokerOrdersRequest(account_id="paper", orphans_only=True)
    assert broker_orders_ask(asked) == BrokerOrdersAsk(
        account_id="paper", open_only=False, orphans_only=True, page_size=50
    )
    wrong = broker_pb.ListBrokerOrdersRequest(account_id="\x00", page_size=-1)
    assert fields_of(broker_orders_ask(wrong)) == ["account_id", "page_size"]
