"""Judges what may leave at all, by the journal's file: trading states, decisions, what the breaker has counted."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from oms.v1 import account_service_pb2 as apb
from oms.v1 import order_pb2 as opb
from oms.v1 import risk_service_pb2 as rpb
from oms.v1 import trade_service_pb2 as dpb
from orderd.brokers.alpaca.client import Request
from orderd.ports import Clock
from orderd.venue.core import Venue
from tests.desk.judge import CLOSERS, NOTHING, TradeReferee
from tests.faults.situations import TYPES

ACTIVE = rpb.RiskStatus(trading_state=apb.TRADING_STATE_ACTIVE)
MAY_SEND = frozenset({opb.DECISION_STATUS_APPROVED, opb.DECISION_STATUS_EXECUTED})
OF_STATES = {apb.TRADING_STATE_HALTED: "halted", apb.TRADING_STATE_REDUCING: "reducing"}
OF_EVENTS = {
    dpb.DESK_EVENT_TYPE_CIRCUIT_BREAKER_TRIPPED: "breaker tripped",
    dpb.DESK_EVENT_TYPE_CIRCUIT_BREAKER_RESET: "breaker reset",
    dpb.DESK_EVENT_TYPE_APPROVAL_REQUESTED: "a decision waited for a person",
    dpb.DESK_EVENT_TYPE_DECISION_REJECTED: "decision rejected",
    dpb.DESK_EVENT_TYPE_DECISION_EXPIRED: "decision expired",
    dpb.DESK_EVENT_TYPE_DECISION_EXECUTED: "decision executed",
    dpb.DESK_EVENT_TYPE_CANDLE_COUNTED: "candle counted",
}
DENIALS = {
    "TRADING_HALTED": "entry refused while halted",
    "TRADING_REDUCING": "entry refused while reducing",
    "CIRCUIT_BREAKER": "entry refused by the breaker",
}


class DeskReferee(TradeReferee):
    """A referee that knows what operators and limits allow, too."""

    def __init__(self, database: Path, venues: Mapping[str, Venue], clock: Clock) -> None:
        """`clock`: the process's own, which may jump."""
        self.risk: dict[str, rpb.RiskStatus] = {}
        self.decisions: dict[tuple[str, str], opb.Decision] = {}
        self.entries_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        """Orders that are nobody's stop or exit, by the decision that they name."""
        self.trades_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self.results: dict[str, dpb.CompletedTrade] = {}
        self._clock = clock
        super().__init__(database, venues)

    # ------------------------------------------------------------------------------------------------ what is committed

    def _desk_event(self, sequence: int, record_id: str, event: dpb.DeskEvent) -> None:
        super()._desk_event(sequence, record_id, event)
        if name := OF_EVENTS.get(event.type):
            self.situations[name] += 1
        match event.WhichOneof("subject"):
            case "risk_status":
                self.risk[event.account_id] = event.risk_status
                if name := OF_STATES.get(event.risk_status.trading_state):
                    self.situations["frozen" if event.risk_status.freeze_protection else name] += 1
            case "decision":
                self.decisions[event.account_id, event.decision_id] = event.decision
                by_person = event.source == opb.EVENT_SOURCE_OPERATOR
                if event.type == dpb.DESK_EVENT_TYPE_DECISION_APPROVED and by_person:
                    self.situations["decision approved by a person"] += 1
            case "trade" if event.trade.decision_id:
                self._at_most_one(self.trades_of, event.account_id, event.trade.decision_id, record_id)
            case "completed_trade":
                self.results[record_id] = event.completed_trade
            case _:
                pass

    def _event(self, event: opb.OrderEvent) -> None:
        super()._event(event)
        order = event.order
        if event.version == 1 and order.decision_id and order.role not in CLOSERS:
            self._at_most_one(self.entries_of, order.account_id, order.decision_id, order.order_id)
        if event.reason.code in DENIALS and TYPES[event.type] in {"DENIED", "SUBMIT_FAILED"}:
            self.situations[DENIALS[event.reason.code]] += 1
            if TYPES[event.type] == "SUBMIT_FAILED":
                self.situations["given up in line because of the state"] += 1
        trade = self.trades.get(order.trade_id)
        if trade is not None and trade.decision_id and order.decision_id != trade.decision_id:
            is_decided_exit = order.role == opb.ORDER_ROLE_EXIT and order.decision_id
            if not is_decided_exit:
                self.breach(f"{order.client_order_id} of {trade.client_trade_id} names {order.decision_id!r}")

    def _at_most_one(
        self, known: Mapping[tuple[str, str], set[str]], account_id: str, decision_id: str, name: str
    ) -> None:
        known[account_id, decision_id].add(name)
        if len(known[account_id, decision_id]) > 1:
            self.breach(f"decision {decision_id} became {sorted(known[account_id, decision_id])}")

    # ----------------------------------------------------------------------------------------------------- what is sent

    def sending(self, account_id: str, request: Request) -> None:
        """See `Referee.sending`; what adds leaves only while it may."""
        super().sending(account_id, request)
        if request.method != "POST":
            return
        name = msgspec.json.decode(request.body or b"{}")["client_order_id"]
        order_id = self.by_key.get((account_id, name))
        if order_id is None:
            return
        order = self.told[order_id].order
        self._may_leave(account_id, order)
        if order.decision_id and order.role not in CLOSERS:
            self._is_decided(account_id, order)

    def stands(self, account_id: str) -> rpb.RiskStatus:
        """How much of trading is allowed, by the last event about it."""
        return self.risk.get(account_id, ACTIVE)

    def _may_leave(self, account_id: str, order: opb.Order) -> None:
        stands, is_closer = self.stands(account_id), order.role in CLOSERS
        about = f"{order.client_order_id} {order.order_id} was sent while the account is"
        if stands.trading_state == apb.TRADING_STATE_HALTED and (stands.freeze_protection or not is_closer):
            self.breach(f"{about} halted{' and frozen' * stands.freeze_protection}")
        if stands.trading_state == apb.TRADING_STATE_REDUCING and not is_closer and not self._reduces(order):
            self.breach(f"{about} reducing")

    def _reduces(self, order: opb.Order) -> bool:
        """Whether it is opposite to what the venue holds, and no larger."""
        account = next(iter(self.venues[order.account_id].state.accounts.values()))
        held = account.held(order.symbol) * (1 if order.side == opb.SIDE_SELL else -1)
        return NOTHING < Decimal(order.quantity) <= held + self.taken_away[order.symbol]

    def _is_decided(self, account_id: str, order: opb.Order) -> None:
        decision = self.decisions.get((account_id, order.decision_id))
        if decision is None:
            return
        about = f"{order.client_order_id} was sent for {order.decision_id}, which"
        if decision.status not in MAY_SEND:
            self.breach(f"{about} is {opb.DecisionStatus.Name(decision.status)}")
        expires = decision.expires_time.ToDatetime(UTC) if decision.HasField("expires_time") else None
        if expires is not None and self._sent[order.client_order_id] <= 1 and self._clock.now() > expires:
            self.breach(f"{about} was over {self._clock.now() - expires} ago")

    # ----------------------------------------------------------------------------------------------- the breaker

    def realised(self, account_id: str, begin: datetime, end: datetime) -> Decimal:
        """What the results of a day come to."""
        of_day = [
            result
            for result in self.results.values()
            if result.account_id == account_id and begin <= result.exit_time.ToDatetime(UTC) < end and result.pnl
        ]
        return sum((Decimal(result.pnl) for result in of_day), NOTHING)
