"""Requests to follow the desk's events."""

from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from oms.v1 import trade_service_pb2 as pb
from orderd.wire.asks import DeskStreamAsk
from orderd.wire.validate_desk_stream import desk_stream_ask
from tests.wire.test_validate_queries import fields_of


def test_a_desk_stream_from_now_on() -> None:
    assert desk_stream_ask(pb.StreamDeskEventsRequest()) == DeskStreamAsk(heartbeat_ms=15_000)


def test_every_filter_of_a_desk_stream_arrives() -> None:
    ask = desk_stream_ask(
        pb.StreamDeskEventsRequest(
            account_ids=["paper"],
            types=[pb.DESK_EVENT_TYPE_TRADE_CLOSED, pb.DESK_EVENT_TYPE_PROTECTED, pb.DESK_EVENT_TYPE_TRADE_CLOSED],
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
    assert ask == DeskStreamAsk(
        account_ids=("paper",),
        types=(pb.DESK_EVENT_TYPE_TRADE_CLOSED, pb.DESK_EVENT_TYPE_PROTECTED),
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
    ("given", "fields"),
    [
        ({"after_sequence": -1}, ["after_sequence"]),
        ({"types": [0, 1, 99]}, ["types[0]", "types[2]"]),
        ({"journal_id": "j" * 129}, ["journal_id"]),
        ({"heartbeat_interval": Duration(seconds=-1)}, ["heartbeat_interval"]),
        ({"symbols": [""], "strategies": ["\n"]}, ["symbols[0]", "strategies[0]"]),
        (
            {"trace_ids": [""], "decision_ids": [""], "trade_ids": [""], "account_ids": [""]},
            ["account_ids[0]", "trace_ids[0]", "decision_ids[0]", "trade_ids[0]"],
        ),
    ],
)
def test_a_desk_stream_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(desk_stream_ask(pb.StreamDeskEventsRequest(**given))) == fields
