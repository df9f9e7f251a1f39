"""TradeService, the calls about trades: open, close, stops, candles, and the trades themselves.

Each is check, desk, bytes. A signal that is denied or sized to nothing is an answer: a trade that never opened.
"""

from typing import Final

import msgspec

from oms.v1 import error_pb2, order_pb2, order_service_pb2
from oms.v1 import trade_service_pb2 as pb
from orderd.core.order import Order, OrderRole
from orderd.core.records import RecordKind
from orderd.core.trade import OnPartial, Trade
from orderd.core.values import AccountId
from orderd.desk.trade_asks import OpenTrade
from orderd.desk.trades import TradeDesk
from orderd.engine.api import CancelResult, Engine, Wait
from orderd.ports import RecordFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid, reason_number
from orderd.server.pages import Place
from orderd.wire.asks import Invalid
from orderd.wire.trades import trade_message
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

WAIT_S: Final = 5.0
"""The longest that an open waits for a broker's word. Seconds."""
CLOSE_WAIT_S: Final = 10.0
"""The longest that a close waits for its end. Seconds."""
MOST_SLICES: Final = 1000


class TradeCalls:
    """OpenTrade, CloseTrade, MoveStop, RearmStop, AdvanceCandle, CancelPendingEntries, GetTrade, ListTrades."""

    def __init__(self, engine: Engine, desk: TradeDesk) -> None:
        """Everything is asked of the desk; lists are read from the journal."""
        self._engine = engine
        self._desk = desk
        self._journal = engine.journal

    async def OpenTrade(self, request: pb.OpenTradeRequest, call: Call) -> bytes:
        """Size a signal, record the trade, send its entry."""
        ask = open_ask(request, account_id=naming.implied(self._engine, request.account_id))
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, (ask.account_id,))
        call.note(account_id=ask.account_id, trace_id=ask.trace_id)
        made = await self._desk.open(
            OpenTrade(
                account_id=AccountId(ask.account_id),
                client_trade_id=ask.client_trade_id,
                signal=ask.signal,
                quantity=ask.quantity,
                decision_id=ask.decision_id,
                trace_id=ask.trace_id,
                on_partial=ask.on_partial or OnPartial.CANCEL_REST,
                on_entry_end=ask.on_entry_end,
                accept_unprotected=ask.accept_unprotected,
                tags=ask.tags,
            ),
            wait=_wait(request.wait),
            timeout_s=call.patience_s(WAIT_S),
        )
        answer = pb.OpenTradeResponse(trade=told(made.trade), replayed=made.replayed)
        if made.entry is not None:
            answer.entry_order.CopyFrom(self._order(made.entry))
        return answer.SerializeToString()

    async def CloseTrade(self, request: pb.CloseTradeRequest, call: Call) -> bytes:
        """Close a trade, or part of it."""
        ask = close_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        call.note(trade_id=ask.trade_id)
        trade = await self._desk.close(
            ask.trade_id,
            quantity=ask.quantity,
            text=ask.reason,
            request_id=ask.request_id,
            decision_id=ask.decision_id,
            timeout_s=call.patience_s(CLOSE_WAIT_S) if _wait(request.wait) is Wait.BROKER else 0,
        )
        answer = pb.CloseTradeResponse(trade=told(trade))
        exits = [order for order in self._desk.orders(trade) if order.intent.role is OrderRole.EXIT]
        if exits:
            answer.exit_order.CopyFrom(self._order(exits[-1]))
        return answer.SerializeToString()

    async def MoveStop(self, request: pb.MoveStopRequest, call: Call) -> bytes:
        """Change the price of a trade's stop."""
        ask = move_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        call.note(trade_id=ask.trade_id)
        trade = await self._desk.move_stop(ask.trade_id, ask.stop_price, request_id=ask.request_id, text=ask.reason)
        return pb.MoveStopResponse(trade=told(trade)).SerializeToString()

    async def RearmStop(self, request: pb.RearmStopRequest, call: Call) -> bytes:
        """Protect a trade again."""
        ask = rearm_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        call.note(trade_id=ask.trade_id)
        trade = await self._desk.rearm(ask.trade_id, ask.stop_price)
        return pb.RearmStopResponse(trade=told(trade)).SerializeToString()

    async def AdvanceCandle(self, request: pb.AdvanceCandleRequest, call: Call) -> bytes:
        """Count a candle for pending entries."""
        ask = candle_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        counted, canceled = await self._desk.advance_candle(
            account_id, ask.candle_time, symbols=ask.symbols, strategies=ask.strategies
        )
        answer = pb.AdvanceCandleResponse(canceled_trade_ids=canceled)
        answer.trades.extend(told(trade) for trade in counted)
        return answer.SerializeToString()

    async def CancelPendingEntries(self, request: pb.CancelPendingEntriesRequest, call: Call) -> bytes:
        """Cancel the entries of trades without a fill."""
        ask = pending_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        results = await self._desk.cancel_pending(
            account_id, symbols=ask.symbols, strategies=ask.strategies, reason=ask.reason
        )
        answer = pb.CancelPendingEntriesResponse()
        answer.results.extend(_result(result) for result in results)
        return answer.SerializeToString()

    async def GetTrade(self, request: pb.GetTradeRequest, call: Call) -> bytes:
        """One trade with its orders, fills, results and decision."""
        ask = get_trade_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        if ask.trade_id:
            trade = self._desk.get(ask.trade_id)
            if ask.account_id:
                naming.check_known(self._engine, (ask.account_id,))
        else:
            trade = self._desk.find(naming.account(self._engine, ask.account_id), ask.client_trade_id)
        call.note(trade_id=trade.trade_id)
        answer = pb.GetTradeResponse(trade=told(trade))
        for order in self._desk.orders(trade):
            answer.orders.append(self._order(order))
            fills = self._journal.fill_data(order.order_id)
            answer.fills.extend(order_pb2.Fill.FromString(data) for data in fills)
        answer.fills.sort(key=lambda fill: (fill.recorded_time.seconds, fill.recorded_time.nanos))
        answer.completed_trades.extend(await self._slices(trade))
        decision = self._decision(trade)
        if decision is not None:
            answer.decision.CopyFrom(decision)
        return answer.SerializeToString()

    async def ListTrades(self, request: pb.ListTradesRequest, call: Call) -> bytes:
        """One page of trades, newest first."""
        ask = trades_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.where.account_ids)
        place = Place(request, self._journal.journal_id)
        where = RecordFilter(kind=RecordKind.TRADE, **msgspec.structs.asdict(ask.where))
        page = await self._journal.list_records(where, after_key=place.after_key, limit=ask.page_size)
        sequence = place.sequence(page.sequence)
        rows, token = place.cut(page, sequence)
        answer = pb.ListTradesResponse(next_page_token=token, sequence=sequence)
        answer.trades.extend(pb.Trade.FromString(row.data) for row in rows)
        return answer.SerializeToString()

    def _order(self, order: Order) -> order_pb2.Order:
        data = self._journal.order_data(order.order_id)
        return order_pb2.Order() if data is None else order_pb2.Order.FromString(data)

    async def _slices(self, trade: Trade) -> list[pb.CompletedTrade]:
        where = RecordFilter(kind=RecordKind.COMPLETED_TRADE, trade_ids=(trade.trade_id,))
        page = await self._journal.list_records(where, after_key=None, limit=MOST_SLICES)
        return [pb.CompletedTrade.FromString(row.data) for row in reversed(page.rows)]

    def _decision(self, trade: Trade) -> order_pb2.Decision | None:
        if not trade.decision_id:
            return None
        record = self._journal.find_record(RecordKind.DECISION, trade.account_id, trade.decision_id)
        return None if record is None else order_pb2.Decision.FromString(record.body)


def told(trade: Trade) -> pb.Trade:
    """A trade as the wire shows it."""
    message = trade_message(trade)
    message.sequence = trade.sequence
    return message


def _result(result: CancelResult) -> order_service_pb2.CancelAllOrdersResult:
    reason = reason_number(result.error_reason) if result.error_reason else error_pb2.ERROR_REASON_UNSPECIFIED
    return order_service_pb2.CancelAllOrdersResult(order_id=result.order_id, error_reason=reason)


def _wait(number: int) -> Wait:
    return Wait.JOURNAL if number == order_service_pb2.SUBMIT_WAIT_JOURNAL else Wait.BROKER
