"""Where the targets of the desk begin: requests and records that are right."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from oms.v1 import decision_service_pb2 as cpb
from oms.v1 import order_pb2 as opb
from oms.v1 import position_service_pb2 as ppb
from oms.v1 import risk_service_pb2 as rpb
from oms.v1 import trade_service_pb2 as tpb
from orderd.core.decisions import Decided, Decision, DecisionKind, SendOpen
from orderd.core.order import OrderType, Side
from orderd.core.trade import Signal, Trade
from orderd.core.values import AccountId
from orderd.risk.breaker import Breaker
from orderd.risk.state import RiskState


def desk_requests() -> Iterator[bytes]:
    """Requests about decisions, trades, risk and positions."""
    signal = tpb.Signal(
        symbol="AAPL", side=opb.SIDE_BUY, entry_price="100", stop_loss_price="99.5", type=opb.ORDER_TYPE_LIMIT,
        strategy="s", max_candles=3,
    )  # fmt: skip
    opening = tpb.OpenTradeRequest(client_trade_id="t", signal=signal, quantity="10", trace_id="x", tags={"a": "b"})
    decision = cpb.RecordDecisionRequest(
        decision_id="d", kind=opb.DECISION_KIND_ENTRY, symbol="AAPL", side=opb.SIDE_BUY, confidence="0.9",
        signals={"a": "1"}, rationale="because", execute=True, strategy="s",
    )  # fmt: skip
    yield opening.SerializeToString()
    decision.expires_time.seconds = 2_000_000_000
    decision.intent.open_trade.CopyFrom(opening)
    yield decision.SerializeToString()
    order = decision.intent.submit_order
    order.symbol, order.side, order.quantity, order.type = "AAPL", opb.SIDE_BUY, "10", opb.ORDER_TYPE_MARKET
    yield decision.SerializeToString()
    decision.intent.close_trade.CopyFrom(tpb.CloseTradeRequest(trade_id="t", quantity="1", reason="r"))
    decision.kind, decision.linked_trade_id = opb.DECISION_KIND_EXIT, "t"
    yield decision.SerializeToString()
    yield cpb.ApproveDecisionRequest(decision_id="d", operator_name="ann", reason="r").SerializeToString()
    yield cpb.ListDecisionsRequest(page_size=10, page_token="t").SerializeToString()
    yield tpb.MoveStopRequest(trade_id="t", stop_price="99", request_id="r").SerializeToString()
    yield tpb.ListTradesRequest(symbols=["AAPL"], page_size=10).SerializeToString()
    yield tpb.AdvanceCandleRequest(symbols=["AAPL"], strategies=["s"]).SerializeToString()
    yield rpb.SizePositionRequest(
        symbol="AAPL", side=1, entry_price="50", stop_loss_price="49.5", equity="25000"
    ).SerializeToString()
    yield rpb.SetTradingStateRequest(trading_state=3, reason="r", operator_name="ann").SerializeToString()
    yield rpb.FlattenAccountRequest(reason="r", operator_name="ann").SerializeToString()
    yield ppb.ListPositionsRequest(page_size=10).SerializeToString()
    yield tpb.StreamDeskEventsRequest(after_sequence=5, types=[1, 25], symbols=["AAPL"]).SerializeToString()


def desk_records() -> Iterator[bytes]:
    """Records and events as the journal keeps them."""
    now = datetime(2026, 11, 23, 15, tzinfo=UTC)
    signal = Signal(
        symbol="AAPL", side=Side.BUY, entry_price=Decimal(100), stop_loss_price=Decimal(99), type=OrderType.MARKET
    )
    trade = Trade(
        trade_id="t", client_trade_id="c", account_id=AccountId("paper"), signal=signal, quantity=Decimal(10),
        stop_price=Decimal(99), created_time=now, updated_time=now,
    )  # fmt: skip
    said = Decided(
        decision_id="d", account_id=AccountId("paper"), kind=DecisionKind.ENTRY, symbol="AAPL", side=Side.BUY,
        intent=SendOpen(client_trade_id="c", signal=signal, quantity=Decimal(1)), expires_time=now,
    )  # fmt: skip
    decision = Decision(record_id="r", said=said, created_time=now, updated_time=now)
    breaker = Breaker(day=now, base=Decimal(1000), realised=Decimal(-5), latest=(("a", Decimal(-5)),))
    yield msgspec.msgpack.encode(trade)
    yield msgspec.msgpack.encode(decision)
    yield msgspec.json.encode(RiskState(breaker=breaker))
    done = tpb.CompletedTrade(completed_trade_id="c", pnl="-5.25", version=1)
    done.exit_time.seconds = 2_000_000_000
    yield tpb.DeskEvent(type=60, account_id="paper", completed_trade=done).SerializeToString()
    yield done.SerializeToString()
