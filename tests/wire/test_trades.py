"""Requests about trades: everything that is wrong with them is named, and what is right becomes core values."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import order_pb2 as opb
from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import OrderType, Side, TimeInForce
from orderd.core.trade import OnEntryEnd, OnPartial
from orderd.wire.asks import Invalid
from orderd.wire.validate_trades import (
    candle_ask,
    close_ask,
    get_trade_ask,
    move_ask,
    open_ask,
    pending_ask,
    rearm_ask,
    trades_ask,
)

SEEN = Timestamp(seconds=1_767_625_200)


def signal(**changes: Any) -> pb.Signal:  # noqa: ANN401
    given = {
        "symbol": "AAPL",
        "side": opb.SIDE_BUY,
        "entry_price": "20",
        "stop_loss_price": "19.5",
        "type": opb.ORDER_TYPE_LIMIT,
    }
    return pb.Signal(**(given | changes))


def request(of_signal: dict[str, Any] | None = None, **changes: Any) -> pb.OpenTradeRequest:  # noqa: ANN401
    given: dict[str, Any] = {"client_trade_id": "t-1", "signal": signal(**(of_signal or {}))}
    return pb.OpenTradeRequest(**(given | changes))


def problems(asked: object) -> dict[str, str]:
    assert isinstance(asked, Invalid), asked
    return {violation.field: violation.rule for violation in asked.violations}


def test_a_whole_signal() -> None:
    ask = open_ask(
        request({"signal_time": SEEN, "strategy": "s", "max_candles": 3}, quantity="7", decision_id="d-1"),
        account_id="paper",
    )
    assert not isinstance(ask, Invalid)
    assert ask.signal.side is Side.BUY
    assert ask.signal.type is OrderType.LIMIT
    assert ask.signal.time_in_force is TimeInForce.DAY
    assert ask.signal.entry_price == 20
    assert ask.signal.stop_loss_price == Decimal("19.5")
    assert ask.signal.signal_time == datetime(2026, 1, 5, 15, tzinfo=UTC)
    assert ask.quantity == 7
    assert ask.on_partial is None
    assert ask.on_entry_end is OnEntryEnd.CLOSE


def test_the_key_is_derived_from_the_decision_or_the_signal_and_from_nothing_else() -> None:
    of_decision = open_ask(request(client_trade_id="", decision_id="d-1"), account_id="paper")
    again = open_ask(request({"entry_price": "21"}, client_trade_id="", decision_id="d-1"), account_id="paper")
    of_signal = open_ask(request({"signal_time": SEEN, "strategy": "s"}, client_trade_id=""), account_id="paper")
    other = open_ask(
        request({"signal_time": SEEN, "strategy": "s", "stop_loss_price": "19"}, client_trade_id=""), account_id="paper"
    )
    assert not isinstance(of_decision, Invalid)
    assert not isinstance(again, Invalid)
    assert not isinstance(of_signal, Invalid)
    assert not isinstance(other, Invalid)
    assert of_decision.client_trade_id == again.client_trade_id
    assert len({of_decision.client_trade_id, of_signal.client_trade_id, other.client_trade_id}) == 3
    assert len(of_signal.client_trade_id) <= 48


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"symbol": ""}, "signal.symbol", "required"),
        ({"symbol": "aapl"}, "signal.symbol", "canonical"),
        ({"side": 0}, "signal.side", "required"),
        ({"side": 9}, "signal.side", "unknown"),
        ({"type": 0}, "signal.type", "required"),
        ({"type": opb.ORDER_TYPE_TRAILING_STOP}, "signal.type", "MARKET"),
        ({"entry_price": ""}, "signal.entry_price", "required"),
        ({"entry_price": "NaN"}, "signal.entry_price", "plain decimal"),
        ({"entry_price": "-1"}, "signal.entry_price", "greater than 0"),
        ({"entry_price": "1e3"}, "signal.entry_price", "plain decimal"),
        ({"stop_loss_price": ""}, "signal.stop_loss_price", "required"),
        ({"stop_loss_price": "Infinity"}, "signal.stop_loss_price", "plain decimal"),
        ({"stop_loss_price": "0"}, "signal.stop_loss_price", "greater than 0"),
        ({"stop_loss_price": "20"}, "signal.stop_loss_price", "no distance"),
        ({"stop_loss_price": "20.00"}, "signal.stop_loss_price", "no distance"),
        ({"stop_loss_price": "21"}, "signal.stop_loss_price", "below"),
        ({"side": opb.SIDE_SELL}, "signal.stop_loss_price", "above"),
        ({"time_in_force": 77}, "signal.time_in_force", "unknown"),
        ({"max_candles": -1}, "signal.max_candles", "0 to"),
        ({"strategy": "x" * 129}, "signal.strategy", "128"),
        ({"signal_time": Timestamp(seconds=10**13)}, "signal.signal_time", "0001-01-01"),
    ],
)
def test_a_bad_signal_names_its_field_and_the_rule(changes: dict[str, Any], field: str, says: str) -> None:
    found = problems(open_ask(request(changes), account_id="paper"))
    assert says in found[field]


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"client_trade_id": "a b"}, "client_trade_id", "A-Z"),
        ({"client_trade_id": ""}, "client_trade_id", "required"),
        ({"quantity": "0"}, "quantity", "greater than 0"),
        ({"quantity": "nan"}, "quantity", "plain decimal"),
        ({"on_partial": 9}, "on_partial", "unknown"),
        ({"on_entry_end": 9}, "on_entry_end", "unknown"),
        ({"wait": 9}, "wait", "unknown"),
        ({"decision_id": "x" * 129}, "decision_id", "128"),
        ({"trace_id": "a\nb"}, "trace_id", "printable"),
        ({"tags": {"k" * 65: "v"}}, "tags (a key)", "64"),
    ],
)
def test_a_bad_request_names_its_field_and_the_rule(changes: dict[str, Any], field: str, says: str) -> None:
    found = problems(open_ask(request(None, **changes), account_id="paper"))
    assert says in found[field]


def test_all_problems_are_told_at_once() -> None:
    found = problems(open_ask(request({"side": 0, "type": 0, "entry_price": ""}, quantity="x"), account_id=""))
    assert set(found) == {"account_id", "signal.side", "signal.type", "signal.entry_price", "quantity"}
    assert problems(open_ask(pb.OpenTradeRequest(client_trade_id="t-1"), account_id="paper")) == {
        "signal": "is required"
    }


def test_closing_a_part_needs_a_key() -> None:
    assert "request_id" in problems(close_ask(pb.CloseTradeRequest(trade_id="t", quantity="3")))
    assert "trade_id" in problems(close_ask(pb.CloseTradeRequest()))
    assert "quantity" in problems(close_ask(pb.CloseTradeRequest(trade_id="t", quantity="-3", request_id="r")))
    ask = close_ask(pb.CloseTradeRequest(trade_id="t", quantity="3", request_id="r", reason="why"))
    assert not isinstance(ask, Invalid)
    assert (ask.quantity, ask.request_id, ask.reason) == (3, "r", "why")


def test_a_stop_moves_to_a_positive_price() -> None:
    assert set(problems(move_ask(pb.MoveStopRequest()))) == {"trade_id", "stop_price"}
    assert "stop_price" in problems(move_ask(pb.MoveStopRequest(trade_id="t", stop_price="-1")))
    assert "stop_price" in problems(rearm_ask(pb.RearmStopRequest(trade_id="t", stop_price="0")))
    assert "trade_id" in problems(rearm_ask(pb.RearmStopRequest()))
    ask = move_ask(pb.MoveStopRequest(trade_id="t", stop_price="19.75", request_id="m"))
    assert not isinstance(ask, Invalid)
    assert ask.stop_price == Decimal("19.75")
    again = rearm_ask(pb.RearmStopRequest(trade_id="t"))
    assert not isinstance(again, Invalid)
    assert again.stop_price is None


def test_a_candle_has_a_time() -> None:
    assert "candle_time" in problems(candle_ask(pb.AdvanceCandleRequest(account_id="paper")))
    ask = candle_ask(pb.AdvanceCandleRequest(candle_time=SEEN, symbols=["AAPL", "AAPL"]))
    assert not isinstance(ask, Invalid)
    assert ask.symbols == ("AAPL",)
    assert "strategies[0]" in problems(candle_ask(pb.AdvanceCandleRequest(candle_time=SEEN, strategies=[""])))
    assert "reason" in problems(pending_ask(pb.CancelPendingEntriesRequest(reason="x" * 513)))
    assert not isinstance(pending_ask(pb.CancelPendingEntriesRequest()), Invalid)


def test_lists_and_names() -> None:
    assert "trade_id" in problems(get_trade_ask(pb.GetTradeRequest()))
    assert "client_trade_id" in problems(get_trade_ask(pb.GetTradeRequest(client_trade_id="")))
    assert not isinstance(get_trade_ask(pb.GetTradeRequest(trade_id="t")), Invalid)
    assert "states[0]" in problems(trades_ask(pb.ListTradesRequest(states=[99])))
    assert "page_size" in problems(trades_ask(pb.ListTradesRequest(page_size=-1)))
    later = Timestamp(seconds=2)
    earlier = Timestamp(seconds=1)
    found = problems(trades_ask(pb.ListTradesRequest(created_after_time=later, created_before_time=earlier)))
    assert "created_before_time" in found
    ask = trades_ask(pb.ListTradesRequest(states=[pb.TRADE_STATE_OPEN, pb.TRADE_STATE_CLOSED], open_only=True))
    assert not isinstance(ask, Invalid)
    assert ask.where.statuses == ("OPEN",)


def test_policies_are_words() -> None:
    ask = open_ask(
        request(None, on_partial=pb.ON_PARTIAL_WAIT, on_entry_end=pb.ON_ENTRY_END_KEEP, accept_unprotected=True),
        account_id="paper",
    )
    assert not isinstance(ask, Invalid)
    assert (ask.on_partial, ask.on_entry_end, ask.accept_unprotected) == (OnPartial.WAIT, OnEntryEnd.KEEP, True)
