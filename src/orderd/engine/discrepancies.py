"""Differences nothing has explained yet, and what they stop.

One open record per (account, kind, subject). An order adopted wrongly, or a second live order for one intent, halts the
account: only an operator lets it go on.
"""

from collections.abc import Collection, Sequence

import msgspec
import structlog

from orderd.core.order import Order
from orderd.core.values import OrderId
from orderd.core.verdicts import Finding
from orderd.engine.account import Account
from orderd.ports import Discrepancy

log = structlog.get_logger("orderd.discrepancies")

HALTING = frozenset({"ADOPTION_MISMATCH", "SECOND_BROKER_ORDER", "MASS_DISAPPEARANCE", "ACCOUNT_CHANGED"})
SELF_CLOSING = frozenset(
    {
        "STATE_DIFFERS",
        "QUANTITY_DIFFERS",
        "AVERAGE_DIFFERS",
        "CANCEL_UNPROVEN",
        "REPLACE_UNPROVEN",
        "ORDER_VANISHED",
        "OUTCOME_UNPROVEN",
    }
)
"""Closed by the reconciler itself when they are gone. The others are an operator's to close."""
BLOCKING = frozenset({"OVERFILL", "EXECUTION_OVERLAPS", "FILLED_SHORT", "EXECUTIONS_MISSING", "REVIVED"})


class Discrepancies:
    """Opens and closes one account's records."""

    def __init__(self, account: Account) -> None:
        """Records carry this account's id."""
        self._account = account

    async def load(self) -> None:
        """Take up the records that were open when the last process ended."""
        for record in await self._account.journal.open_discrepancies(self._account.account_id):
            self.stop(record.kind, record.symbol, record.observed)

    def stop(self, kind: str, symbol: str, observed: str) -> None:
        """Stop at once what such a difference stops: the symbol, or the account. The record follows."""
        if symbol and kind in BLOCKING:
            self._account.blocked_symbols.add(symbol)
        if kind in HALTING:
            self._halt(kind, observed)

    async def found(self, order: Order, finding: Finding) -> None:
        """Open the record of a finding."""
        await self.open(finding.kind, order, expected=finding.expected, observed=finding.observed)

    async def open(self, kind: str, order: Order, *, expected: str, observed: str, evidence: str = "") -> None:
        """Open a record about an order, once."""
        symbol = order.intent.symbol
        await self.open_about(
            kind, order.order_id, symbol=symbol, expected=expected, observed=observed, evidence=evidence
        )

    async def open_about(
        self, kind: str, subject: str, *, expected: str, observed: str, symbol: str = "", evidence: str = ""
    ) -> None:
        """Open a record about anything of the account, once."""
        account = self._account
        self.stop(kind, symbol, observed)
        record = Discrepancy(
            discrepancy_id=account.ids.new(),
            account_id=account.account_id,
            kind=kind,
            subject=subject,
            symbol=symbol,
            expected=expected,
            observed=observed,
            evidence=evidence,
            opened_time=account.clock.now(),
        )
        is_new = await account.journal.put_discrepancy(record)
        if is_new:
            log.error(
                "discrepancy_opened",
                account_id=account.account_id,
                kind=kind,
                subject=subject,
                expected=expected,
                observed=observed,
            )

    def _halt(self, kind: str, observed: str) -> None:
        self._account.halt_reason = f"{kind}: {observed}"

    async def close_halting(self, reason: str) -> Sequence[Discrepancy]:
        """Close the records that halt the account or block a symbol, with the operator's reason; returns them."""
        account = self._account
        records = await account.journal.open_discrepancies(account.account_id)
        closed = [record for record in records if record.kind in HALTING | BLOCKING]
        for record in closed:
            await self._close(record, reason)
        account.blocked_symbols.clear()
        return closed

    async def close_settled(self, found: Collection[tuple[str, str]]) -> None:
        """Close the records whose difference a full reconciliation did not find again: (kind, subject) it found."""
        account = self._account
        for record in await account.journal.open_discrepancies(account.account_id):
            if record.kind in SELF_CLOSING and (record.kind, record.subject) not in found:
                order = account.blotter.get(OrderId(record.subject))
                if order is not None and _is_settled(record.kind, order):
                    await self._close(record, "a later reconciliation found no difference")

    async def _close(self, record: Discrepancy, evidence: str) -> None:
        resolved = msgspec.structs.replace(record, resolved_time=self._account.clock.now(), evidence=evidence)
        await self._account.journal.put_discrepancy(resolved)
        log.info("discrepancy_resolved", kind=record.kind, subject=record.subject, evidence=evidence)


def _is_settled(kind: str, order: Order) -> bool:
    """A cancel or replace is settled when its flag is gone, an outcome when it is known; a difference when it was not
    found again.
    """
    if kind == "CANCEL_UNPROVEN":
        return not order.pending_cancel
    if kind == "OUTCOME_UNPROVEN":
        return bool(order.links) or not order.is_open
    return kind != "REPLACE_UNPROVEN" or order.pending_replace is None
