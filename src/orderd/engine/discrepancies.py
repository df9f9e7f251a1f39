"""Differences nothing has explained yet, and what they stop.

One open record per (account, kind, subject). What a fact brings up, or settles, goes into the journal with that fact,
in its transaction. What is open stands here, too: handed to the writer is as good as open, because a commit that fails
ends the process.
"""

import asyncio
from collections.abc import Sequence

import msgspec
import structlog

from orderd.core.discrepancies import RULES, DiscrepancyKind, Effect, Settling, is_settled
from orderd.core.order import EventSource, Order
from orderd.core.values import OrderId
from orderd.core.verdicts import Finding
from orderd.engine.account import RECONCILER, Account
from orderd.ports import Append, Discrepancy

log = structlog.get_logger("orderd.discrepancies")

MAX_TEXT = 512
"""Characters of what a broker said that a record keeps."""
Sourced = tuple[Finding, EventSource]
"""A finding, and whose word it comes from."""
Claim = tuple[DiscrepancyKind, str, str, str]
"""Kind, subject, expected, observed."""


class Discrepancies:
    """Opens and closes one account's records."""

    def __init__(self, account: Account) -> None:
        """Records carry this account's id."""
        self._account = account
        self._open: dict[str, dict[DiscrepancyKind, Discrepancy]] = {}
        """By subject."""
        self._accepted: set[Claim] = set()
        """What an operator has closed is not brought up again in the same words."""
        self.opened = 0
        """How many were opened since the process began."""

    async def load(self) -> None:
        """Take up the records of the last process."""
        account = self._account
        for record in await account.journal.accepted_discrepancies(account.account_id):
            self._accept(record)
        for record in await account.journal.open_discrepancies(account.account_id):
            self._take(record)

    # ----------------------------------------------------------------------------------------------------- what is open

    def all_open(self) -> list[Discrepancy]:
        """Every open record, oldest first."""
        records = [record for of_subject in self._open.values() for record in of_subject.values()]
        return sorted(records, key=lambda record: (record.opened_time, record.discrepancy_id))

    def get(self, discrepancy_id: str) -> Discrepancy | None:
        """The open record of that id."""
        return next((record for record in self.all_open() if record.discrepancy_id == discrepancy_id), None)

    def is_open(self, kind: DiscrepancyKind, subject: str) -> bool:
        """Whether a record of this kind is open about it."""
        return kind in self._open.get(subject, ())

    # ------------------------------------------------------------------------------------------------------ with a fact

    def beside(self, order: Order, findings: Sequence[Sourced]) -> tuple[Discrepancy, ...]:
        """The records that belong into the append which makes the order this: opened by findings, settled by its state.

        Whoever asks hands them over without waiting for anything in between.
        """
        opened = [self._opening(finding, order, source) for finding, source in findings]
        mine = self._open.get(order.order_id)
        if mine is None:
            return ()
        settled = [(record, said) for record in mine.values() if (said := is_settled(record.kind, order))]
        closed = [self._closing(record, RECONCILER, said) for record, said in settled]
        return tuple([record for record in opened if record is not None] + closed)

    # -------------------------------------------------------------------------------------------------- without a fact

    async def open(
        self, kind: DiscrepancyKind, order: Order, *, expected: str, observed: str, evidence: str = ""
    ) -> None:
        """Open a record about an order, once; durable when this returns."""
        finding = Finding(kind=kind, expected=expected, observed=observed)
        await self._hand_over(self._opening(finding, order, RECONCILER, evidence=evidence))

    async def open_about_account(self, kind: DiscrepancyKind, *, expected: str, observed: str) -> None:
        """Open a record about the whole account, once; durable when this returns."""
        finding = Finding(kind=kind, expected=expected, observed=observed)
        await self._hand_over(self._opening(finding, None, RECONCILER))

    async def open_about_symbol(
        self, kind: DiscrepancyKind, symbol: str, *, expected: str, observed: str, evidence: str = ""
    ) -> None:
        """Open a record about what is held of a symbol, once; durable when this returns."""
        finding = Finding(kind=kind, expected=expected, observed=observed)
        await self._hand_over(self._opening(finding, None, RECONCILER, evidence=evidence, symbol=symbol))

    async def close(self, record: Discrepancy, by: EventSource, why: str, *, operator_name: str = "") -> Discrepancy:
        """Close a record that is open; durable when this returns."""
        closed = self._closing(record, by, why, operator_name)
        await self._hand_over(closed)
        return closed

    async def close_halting(self, reason: str) -> Sequence[Discrepancy]:
        """An operator lets the account go on: close what halts it; returns those records.

        Of another account's orders nothing can be compared any more: with its number, every difference goes.
        """
        records = self.all_open()
        is_another = any(record.kind is DiscrepancyKind.ACCOUNT_CHANGED for record in records)
        closed = [r for r in records if is_another or RULES[r.kind].settling is Settling.RESUME]
        for record in closed:
            await self.close(record, EventSource.OPERATOR, reason)
        return closed

    async def close_settled(self) -> None:
        """Close what the orders' own records settle: a fact may have been on its way when the record was opened.

        Not while one still is: the record may have been opened with it, and the order says so only when it is there.
        """
        for record in self.all_open():
            if self._account.intake.is_busy(record.order_id):
                continue
            order = self._account.blotter.get(record.order_id) if record.order_id else None
            why = is_settled(record.kind, order) if order is not None else ""
            if why:
                await self.close(record, RECONCILER, why)

    async def _hand_over(self, record: Discrepancy | None) -> None:
        """Durable when this returns, also when nobody waits for it any more."""
        if record is not None:
            await asyncio.shield(self._account.journal.append([Append(steps=(), discrepancies=(record,))]))

    # ------------------------------------------------------------------------------------------------------ the records

    def _opening(
        self, finding: Finding, order: Order | None, source: EventSource, *, evidence: str = "", symbol: str = ""
    ) -> Discrepancy | None:
        """The new record of a finding; None when it is open or accepted already."""
        account = self._account
        subject = order.order_id if order is not None else symbol or account.account_id
        record = Discrepancy(
            discrepancy_id=account.ids.new(),
            account_id=account.account_id,
            kind=finding.kind,
            subject=subject,
            order_id=order.order_id if order is not None else OrderId(""),
            broker_order_id=(order.broker_order_id or "") if order is not None else "",
            symbol=order.intent.symbol if order is not None else symbol,
            expected=finding.expected[:MAX_TEXT],
            observed=finding.observed[:MAX_TEXT],
            evidence=evidence[:MAX_TEXT],
            source=source,
            opened_time=account.clock.now(),
            after_sequence=account.journal.head,
        )
        if self.is_open(finding.kind, subject) or _claim(record) in self._accepted:
            return None
        self._take(record)
        self.opened += 1
        log.error(
            "discrepancy_opened",
            account_id=account.account_id,
            kind=record.kind,
            subject=subject,
            expected=record.expected,
            observed=record.observed,
        )
        return record

    def _closing(self, record: Discrepancy, by: EventSource, why: str, operator_name: str = "") -> Discrepancy:
        """The record, closed from now on."""
        of_subject = self._open.get(record.subject, {})
        of_subject.pop(record.kind, None)
        if not of_subject:
            self._open.pop(record.subject, None)
        if by is EventSource.OPERATOR:
            self._accept(record)
        self._block()
        log.info("discrepancy_resolved", kind=record.kind, subject=record.subject, by=by, resolution=why)
        return msgspec.structs.replace(
            record, resolved_time=self._account.clock.now(), resolved_by=by, resolution=why, operator_name=operator_name
        )

    def _accept(self, record: Discrepancy) -> None:
        """The same words do not come up again; but two figures may well differ by as much once more."""
        if RULES[record.kind].settling not in {Settling.RESUME, Settling.POSITION}:
            self._accepted.add(_claim(record))

    def _take(self, record: Discrepancy) -> None:
        """Let an open record stop what it stops, at once."""
        self._open.setdefault(record.subject, {})[record.kind] = record
        match RULES[record.kind].effect:
            case Effect.ACCOUNT_HALTED:
                self._account.halt_reason = f"{record.kind}: {record.observed}"
            case Effect.SYMBOL_BLOCKED:
                self._block()
            case Effect.NONE:  # pragma: no branch - the last of its kind
                pass

    def _block(self) -> None:
        """Block the symbols of the open records that block, and no others."""
        blocking = [r for r in self.all_open() if RULES[r.kind].effect is Effect.SYMBOL_BLOCKED]
        self._account.blocked_symbols = {symbol for record in blocking for symbol in self._symbols(record)}

    def _symbols(self, record: Discrepancy) -> list[str]:
        """The record's symbol; a multi-leg parent has none of its own and stands for those of its legs."""
        if record.symbol:
            return [record.symbol]
        order = self._account.blotter.get(record.order_id)
        return [leg.symbol for leg in order.intent.legs] if order is not None else []


def _claim(record: Discrepancy) -> Claim:
    return record.kind, record.subject, record.expected, record.observed
