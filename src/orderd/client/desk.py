"""The desk's calls: decisions, trades from their signal to their result, what was earned, and the stream of all of it.

Repeated after UNAVAILABLE or DEADLINE_EXCEEDED: reads, and what carries a key that makes the repeat the same call: a
decision and a word about it, the opening, closing and moving of a trade, a candle (its time is its key). Never
repeated: RearmStop, which has no key and could undo what a person did in between, and CancelPendingEntries, which would
also meet entries that are younger than the first call.
"""

import uuid
from collections.abc import AsyncIterator

import grpc

from oms.v1 import decision_service_pb2 as decisions_pb
from oms.v1 import order_pb2, order_service_pb2
from oms.v1 import position_service_pb2 as positions_pb
from oms.v1 import trade_service_pb2 as trades_pb
from oms.v1.decision_service_pb2_grpc import DecisionServiceStub
from oms.v1.position_service_pb2_grpc import PositionServiceStub
from oms.v1.trade_service_pb2_grpc import TradeServiceStub
from orderd.client.follow import DeskFollower, OnReconnect
from orderd.client.risk import RiskCalls


class DeskCalls(RiskCalls):
    """Calls about decisions, trades and their results, and positions."""

    def __init__(
        self,
        address: str | None = None,
        *,
        timeout_s: float = 10,
        retry_for_s: float = 30,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        """See `Client`."""
        super().__init__(address, timeout_s=timeout_s, retry_for_s=retry_for_s, credentials=credentials)
        self._decisions = DecisionServiceStub(self._channel)
        self._trades = TradeServiceStub(self._channel)
        self._positions = PositionServiceStub(self._channel)

    # --------------------------------------------------------------------------------------------- positions

    def positions(
        self, request: positions_pb.ListPositionsRequest | None = None
    ) -> AsyncIterator[positions_pb.Position]:
        """Every matching position, newest first, page by page."""
        asked = request or positions_pb.ListPositionsRequest()
        return self._pages(self._positions.ListPositions, asked, lambda page: page.positions)

    async def position(self, symbol: str, *, account_id: str = "") -> positions_pb.Position:
        """The open position of a symbol, or the last one that was closed."""
        asked = positions_pb.GetPositionRequest(account_id=account_id, symbol=symbol)
        return (await self._call(self._positions.GetPosition, asked, is_repeatable=True)).position

    # --------------------------------------------------------------------------------------------- decisions

    async def record_decision(self, request: decisions_pb.RecordDecisionRequest) -> decisions_pb.RecordDecisionResponse:
        """Write a decision down; a missing `decision_id` is made first, so that every attempt is the same decision."""
        asked = decisions_pb.RecordDecisionRequest()
        asked.CopyFrom(request)
        asked.decision_id = asked.decision_id or str(uuid.uuid4())
        return await self._call(self._decisions.RecordDecision, asked, is_repeatable=True)

    async def decision(self, request: decisions_pb.GetDecisionRequest) -> decisions_pb.GetDecisionResponse:
        """One decision with everything that came of it: orders, fills, trades, results."""
        return await self._call(self._decisions.GetDecision, request, is_repeatable=True)

    def decisions(
        self, request: decisions_pb.ListDecisionsRequest | None = None
    ) -> AsyncIterator[decisions_pb.DecisionEntry]:
        """Every matching decision, newest first, page by page."""
        asked = request or decisions_pb.ListDecisionsRequest()
        return self._pages(self._decisions.ListDecisions, asked, lambda page: page.decisions)

    async def approve_decision(
        self, request: decisions_pb.ApproveDecisionRequest
    ) -> decisions_pb.ApproveDecisionResponse:
        """Send what a decision intends, once however often it is called."""
        return await self._call(self._decisions.ApproveDecision, request, is_repeatable=True)

    async def reject_decision(self, request: decisions_pb.RejectDecisionRequest) -> order_pb2.Decision:
        """See to it that nothing is sent because of a decision any more."""
        return (await self._call(self._decisions.RejectDecision, request, is_repeatable=True)).decision

    # ------------------------------------------------------------------------------------------------ trades

    async def open_trade(self, request: trades_pb.OpenTradeRequest) -> trades_pb.OpenTradeResponse:
        """Open a trade from a signal; a missing key is made first, so that every attempt is the same trade.

        Raises OrderdError when no answer came. After UNAVAILABLE or DEADLINE_EXCEEDED the trade may stand: repeat with
        the same `client_trade_id` (make the request with `keyed_trade` to know it). A trade that is denied is an
        answer: NEVER_OPENED, with its reason.
        """
        return await self._call(self._trades.OpenTrade, keyed_trade(request), is_repeatable=True)

    async def close_trade(self, request: trades_pb.CloseTradeRequest) -> trades_pb.CloseTradeResponse:
        """Close a trade or part of it; a missing `request_id` is made first, so that every attempt is one close."""
        asked = trades_pb.CloseTradeRequest()
        asked.CopyFrom(request)
        asked.request_id = asked.request_id or str(uuid.uuid4())
        return await self._call(self._trades.CloseTrade, asked, is_repeatable=True)

    async def move_stop(self, request: trades_pb.MoveStopRequest) -> trades_pb.Trade:
        """Ask for the stop at another price; a missing `request_id` is made first. The trade, and not yet the proof."""
        asked = trades_pb.MoveStopRequest()
        asked.CopyFrom(request)
        asked.request_id = asked.request_id or str(uuid.uuid4())
        return (await self._call(self._trades.MoveStop, asked, is_repeatable=True)).trade

    async def rearm_stop(self, request: trades_pb.RearmStopRequest) -> trades_pb.Trade:
        """Protect a trade again. Sent once."""
        return (await self._call(self._trades.RearmStop, request, is_repeatable=False)).trade

    async def advance_candle(self, request: trades_pb.AdvanceCandleRequest) -> trades_pb.AdvanceCandleResponse:
        """Count a candle for pending entries; the same candle is counted once."""
        return await self._call(self._trades.AdvanceCandle, request, is_repeatable=True)

    async def cancel_pending_entries(
        self, request: trades_pb.CancelPendingEntriesRequest
    ) -> list[order_service_pb2.CancelAllOrdersResult]:
        """Ask for the cancel of entries without a fill. Sent once."""
        return list((await self._call(self._trades.CancelPendingEntries, request, is_repeatable=False)).results)

    async def trade(self, request: trades_pb.GetTradeRequest) -> trades_pb.GetTradeResponse:
        """One trade with its orders, fills, results and decision."""
        return await self._call(self._trades.GetTrade, request, is_repeatable=True)

    def trades(self, request: trades_pb.ListTradesRequest | None = None) -> AsyncIterator[trades_pb.Trade]:
        """Every matching trade, newest first, page by page."""
        asked = request or trades_pb.ListTradesRequest()
        return self._pages(self._trades.ListTrades, asked, lambda page: page.trades)

    def follow_desk(
        self,
        request: trades_pb.StreamDeskEventsRequest | None = None,
        *,
        after_sequence: int | None = None,
        on_reconnect: OnReconnect | None = None,
        give_up_after_s: float | None = None,
    ) -> DeskFollower:
        """Follow decisions, trades, results and risk, over restarts of the server too. See DeskFollower.

        `request` holds the filters. Gives up, with the last OrderdError, when nothing answers for `give_up_after_s`;
        None: never.
        """
        asked = trades_pb.StreamDeskEventsRequest()
        if request is not None:
            asked.CopyFrom(request)
        if after_sequence is not None:
            asked.after_sequence = after_sequence
        return DeskFollower(
            self._trades.StreamDeskEvents, asked, on_reconnect=on_reconnect, give_up_after_s=give_up_after_s
        )

    # ------------------------------------------------------------------------------------------------ results

    def completed_trades(
        self, request: trades_pb.ListCompletedTradesRequest | None = None
    ) -> AsyncIterator[trades_pb.CompletedTrade]:
        """Every matching completed trade, newest first, page by page."""
        asked = request or trades_pb.ListCompletedTradesRequest()
        return self._pages(self._trades.ListCompletedTrades, asked, lambda page: page.completed_trades)

    async def performance(
        self, request: trades_pb.GetPerformanceRequest | None = None
    ) -> trades_pb.GetPerformanceResponse:
        """The realised series of an account and its statistics."""
        asked = request or trades_pb.GetPerformanceRequest()
        return await self._call(self._trades.GetPerformance, asked, is_repeatable=True)


def keyed_trade(request: trades_pb.OpenTradeRequest) -> trades_pb.OpenTradeRequest:
    """The request with a key that makes repeats the same trade.

    A key of its own stays. So does a request whose key the server derives from the request alone: from its decision, or
    from its strategy with the time of the signal.
    """
    is_derived = request.decision_id or (request.signal.strategy and request.signal.HasField("signal_time"))
    copy = trades_pb.OpenTradeRequest()
    copy.CopyFrom(request)
    if not copy.client_trade_id and not is_derived:
        copy.client_trade_id = str(uuid.uuid4())
    return copy
