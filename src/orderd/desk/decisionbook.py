"""The decisions, as the journal keeps them. The one place that writes them.

Rule: whoever reads a decision to act on it holds its lock (`hold`) until what it did is durable.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from orderd.core.decisions import Decision, DecisionKind, DecisionStatus, DecisionStep
from orderd.core.records import RecordKind
from orderd.core.values import OrderId
from orderd.desk.locks import Locks
from orderd.ports import Journal, OrderFilter, Record, RecordChange, RecordFilter
from orderd.wire.decisions import decision_event_bytes, decision_message

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Decision).decode
MOST_LINKS = 1_000
"""Of orders that were sent before their decision was recorded."""

Name = tuple[str, str]
"""Account and the caller's id."""


def decision_of(record: Record) -> Decision:
    """The decision that a record holds."""
    return msgspec.structs.replace(_decode(record.state), sequence=record.sequence)


def status_word(status: DecisionStatus, kind: DecisionKind) -> str:
    """The one word that the journal filters a decision by: how far it has come, and what it is about."""
    return f"{status}_{kind}"


def change_of(step: DecisionStep) -> RecordChange:
    """The record of a step, ready to be written."""
    decision, said = step.after, step.after.said
    record = Record(
        record_id=decision.record_id,
        kind=RecordKind.DECISION,
        account_id=said.account_id,
        client_key=said.decision_id,
        status=status_word(decision.status, said.kind),
        is_open=decision.is_watched,
        symbol=said.symbol,
        strategy=said.strategy,
        trace_id=said.trace_id,
        decision_id=said.decision_id,
        trade_id=decision.trade_id or said.linked_trade_id,
        created_time=decision.created_time,
        version=decision.version,
        body=decision_message(decision).SerializeToString(deterministic=True),
        state=_encode(decision),
    )
    return RecordChange(record=record, event=decision_event_bytes(step))


class DecisionBook:
    """Reads and writes decisions."""

    def __init__(self, journal: Journal) -> None:
        """Start empty; `load` brings those for which something has to be done."""
        self._journal = journal
        self._watched: dict[Name, Decision] = {}
        self._locks = Locks[Name]()

    async def load(self) -> None:
        """Take up every decision that is to be sent, or to expire."""
        for record in await self._journal.open_records(RecordKind.DECISION):
            self._watched[record.account_id, record.client_key] = decision_of(record)

    def watched(self) -> Iterator[Decision]:
        """Those for which something has to be done without anybody asking, oldest first."""
        return iter(list(self._watched.values()))

    def find(self, account_id: str, decision_id: str) -> Decision | None:
        """The decision as of its last record."""
        known = self._watched.get((account_id, decision_id))
        if known is not None:
            return known
        record = self._journal.find_record(RecordKind.DECISION, account_id, decision_id)
        return None if record is None else decision_of(record)

    def hold(self, account_id: str, decision_id: str) -> AbstractAsyncContextManager[None]:
        """Hold the decision: nobody else reads it to act on it, or writes it."""
        return self._locks.hold((account_id, decision_id))

    async def record(self, steps: Sequence[DecisionStep], marks: Sequence[tuple[str, str]] = ()) -> Decision:
        """Write steps of one decision and return it as it is then. Raises RecordTakenError for an id that is taken."""
        sequences = await self._journal.record([change_of(step) for step in steps], marks)
        decision = msgspec.structs.replace(steps[-1].after, sequence=sequences[-1])
        if decision.is_watched:
            self._watched[decision.name] = decision
        else:
            self._watched.pop(decision.name, None)
        return decision

    async def links(self, decision: Decision) -> tuple[list[OrderId], list[str]]:
        """Orders and trades that carry the decision, oldest first, as the journal has them."""
        account_id, decision_id = decision.name
        where = OrderFilter(account_ids=(account_id,), decision_ids=(decision_id,))
        orders = await self._journal.list_orders(where, after_key=None, limit=MOST_LINKS)
        of_trades = RecordFilter(kind=RecordKind.TRADE, account_ids=(account_id,), decision_ids=(decision_id,))
        trades = await self._journal.list_records(of_trades, after_key=None, limit=MOST_LINKS)
        return (
            [OrderId(str(row.key[-1])) for row in reversed(orders.rows)],
            [str(row.key[-1]) for row in reversed(trades.rows)],
        )
