"""DecisionService: record, approve, reject, and the chain of what came of each decision.

Each is check, desk, bytes. Status and lifecycle are made from the orders and trades as they stand at that moment.
"""

from collections.abc import Sequence
from typing import Final

from oms.v1 import decision_service_pb2 as pb
from oms.v1 import order_pb2
from oms.v1 import trade_service_pb2 as trades_pb
from orderd.core import decision_story
from orderd.core.decisions import Decision, DecisionKind, DecisionStatus
from orderd.core.records import RecordKind
from orderd.desk.decisionbook import decision_of, status_word
from orderd.desk.decisions import DecisionDesk, Told
from orderd.engine.api import Engine
from orderd.ports import OrderFilter, RecordFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.pages import Place, fitting
from orderd.server.trades import told as trade_told
from orderd.wire.asks import Invalid
from orderd.wire.decisions import decision_message
from orderd.wire.desk_enums import TRADE_STATE
from orderd.wire.enums import STATUS
from orderd.wire.validate_decisions import (
    DecisionName,
    DecisionQuery,
    approve_ask,
    decisions_ask,
    get_decision_ask,
    record_ask,
    reject_ask,
)

WAIT_S: Final = 5.0
"""The longest that a call waits for a broker's word. Seconds."""
MOST_LINKS: Final = 200
"""Orders, trades and results in one chain: the newest."""


class DecisionCalls:
    """RecordDecision, GetDecision, ListDecisions, ApproveDecision, RejectDecision."""

    def __init__(self, engine: Engine, desk: DecisionDesk) -> None:
        """Everything is asked of the desk; lists are read from the journal."""
        self._engine = engine
        self._desk = desk
        self._journal = engine.journal

    async def RecordDecision(self, request: pb.RecordDecisionRequest, call: Call) -> bytes:
        """Write a decision down, and send its intent when that was asked for and needs nobody's word."""
        said = record_ask(request, account_id=naming.implied(self._engine, request.account_id))
        if isinstance(said, Invalid):
            raise invalid(said)
        naming.check_known(self._engine, (said.account_id,))
        call.note(account_id=said.account_id, decision_id=said.decision_id, trace_id=said.trace_id)
        told = await self._desk.record(said)
        told = await self._desk.answered(told, call.patience_s(WAIT_S))
        answer = pb.RecordDecisionResponse(decision=_message(told.decision), replayed=told.replayed)
        self._add(answer, told)
        return answer.SerializeToString()

    async def ApproveDecision(self, request: pb.ApproveDecisionRequest, call: Call) -> bytes:
        """A person's yes: send the intent, once."""
        ask = approve_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = self._account(ask.name, call)
        told = await self._desk.approve(account_id, ask.name.decision_id, ask.word, reference_price=ask.reference_price)
        told = await self._desk.answered(told, call.patience_s(WAIT_S))
        answer = pb.ApproveDecisionResponse(decision=_message(told.decision))
        self._add(answer, told)
        return answer.SerializeToString()

    async def RejectDecision(self, request: pb.RejectDecisionRequest, call: Call) -> bytes:
        """A person's no."""
        ask = reject_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = self._account(ask.name, call)
        decision = await self._desk.reject(account_id, ask.name.decision_id, ask.word)
        return pb.RejectDecisionResponse(decision=_message(decision)).SerializeToString()

    async def GetDecision(self, request: pb.GetDecisionRequest, call: Call) -> bytes:
        """The whole chain of a decision."""
        name = get_decision_ask(request)
        if isinstance(name, Invalid):
            raise invalid(name)
        decision = self._desk.known(self._account(name, call), name.decision_id)
        told = self._desk.told(decision)
        answer = pb.GetDecisionResponse(
            decision=_message(decision), lifecycle=decision_story.story(decision, told.order, told.trade)
        )
        if decision.said.sent:
            answer.intent.MergeFromString(decision.said.sent)
        await self._add_chain(answer, decision)
        return answer.SerializeToString()

    async def ListDecisions(self, request: pb.ListDecisionsRequest, call: Call) -> bytes:
        """One page of decisions, newest first."""
        ask = decisions_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.where.account_ids)
        place = Place(request, self._journal.journal_id)
        page = await self._journal.read_records(_filter(ask.where), after_key=place.after_key, limit=ask.page_size)
        sequence = place.sequence(page.sequence)
        entries = fitting((self._entry(decision_of(record)) for record in page.records), lambda one: one.ByteSize())
        answer = pb.ListDecisionsResponse(decisions=entries, sequence=sequence)
        if page.has_more or len(entries) < len(page.records):
            answer.next_page_token = place.token_after(page.keys[len(entries) - 1], sequence)
        return answer.SerializeToString()

    # ----------------------------------------------------------------------------------------------------- in messages

    def _account(self, name: DecisionName, call: Call) -> str:
        account_id = naming.account(self._engine, name.account_id)
        call.note(account_id=account_id, decision_id=name.decision_id)
        return account_id

    def _entry(self, decision: Decision) -> pb.DecisionEntry:
        told = self._desk.told(decision)
        entry = pb.DecisionEntry(
            decision=_message(decision), lifecycle=decision_story.story(decision, told.order, told.trade)
        )
        if told.order is not None:
            entry.order_status = STATUS.number[told.order.state]
            entry.order_id = told.order.order_id
            entry.broker_order_id = told.order.broker_order_id or ""
        if told.trade is not None:
            entry.trade_state = TRADE_STATE.number[told.trade.state]
        return entry

    def _add(self, answer: pb.RecordDecisionResponse | pb.ApproveDecisionResponse, told: Told) -> None:
        if told.order is not None:
            answer.order.MergeFromString(self._journal.order_data(told.order.order_id) or b"")
        if told.trade is not None:
            answer.trade.CopyFrom(trade_told(told.trade))

    async def _add_chain(self, answer: pb.GetDecisionResponse, decision: Decision) -> None:
        """Orders, fills, trades and results: those that name the decision, and those of its trades."""
        account_id, decision_id = decision.name
        trades = await self._records(RecordKind.TRADE, account_id, decision_ids=(decision_id,))
        own = decision.trade_id or decision.said.linked_trade_id
        trade_ids = dict.fromkeys([*(trades_pb.Trade.FromString(data).trade_id for data in trades), own])
        known = tuple([trade_id for trade_id in trade_ids if trade_id])
        for trade_id in known:
            answer.trades.add().MergeFromString(self._journal.record_data(trade_id) or b"")
        orders = await self._orders(account_id, decision_id, known if decision.said.kind is DecisionKind.ENTRY else ())
        answer.orders.extend(orders)
        for order in orders:
            answer.fills.extend(order_pb2.Fill.FromString(data) for data in self._journal.fill_data(order.order_id))
        answer.fills.sort(key=lambda fill: (fill.recorded_time.ToNanoseconds(), fill.fill_id))
        if known:
            slices = await self._records(RecordKind.COMPLETED_TRADE, account_id, trade_ids=known)
        else:
            slices = await self._records(RecordKind.COMPLETED_TRADE, account_id, decision_ids=(decision_id,))
        answer.completed_trades.extend(trades_pb.CompletedTrade.FromString(data) for data in slices)

    async def _orders(self, account_id: str, decision_id: str, trade_ids: Sequence[str]) -> list[order_pb2.Order]:
        """Oldest first, each once."""
        wheres = [OrderFilter(account_ids=(account_id,), decision_ids=(decision_id,))]
        if trade_ids:
            wheres.append(OrderFilter(account_ids=(account_id,), trade_ids=tuple(trade_ids)))
        found: dict[str, order_pb2.Order] = {}
        for where in wheres:
            page = await self._journal.list_orders(where, after_key=None, limit=MOST_LINKS)
            found |= {str(row.key[-1]): order_pb2.Order.FromString(row.data) for row in page.rows}
        return sorted(found.values(), key=lambda order: (order.created_time.ToNanoseconds(), order.order_id))

    async def _records(
        self,
        kind: RecordKind,
        account_id: str,
        *,
        decision_ids: tuple[str, ...] = (),
        trade_ids: tuple[str, ...] = (),
    ) -> list[bytes]:
        where = RecordFilter(kind=kind, account_ids=(account_id,), decision_ids=decision_ids, trade_ids=trade_ids)
        page = await self._journal.list_records(where, after_key=None, limit=MOST_LINKS)
        return [row.data for row in reversed(page.rows)]


def _message(decision: Decision) -> order_pb2.Decision:
    message = decision_message(decision)
    message.sequence = decision.sequence
    return message


def _filter(where: DecisionQuery) -> RecordFilter:
    statuses: tuple[str, ...] = ()
    if where.statuses or where.kinds:
        asked = [(status, kind) for status in where.statuses or DecisionStatus for kind in where.kinds or DecisionKind]
        statuses = tuple([status_word(status, kind) for status, kind in asked])
    return RecordFilter(
        kind=RecordKind.DECISION,
        account_ids=where.account_ids,
        statuses=statuses,
        symbols=where.symbols,
        strategies=where.strategies,
        trace_ids=where.trace_ids,
        decision_ids=where.decision_ids,
        trade_ids=where.trade_ids,
        created_after=where.created_after,
        created_before=where.created_before,
    )
