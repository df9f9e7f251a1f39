"""Differences nothing has explained yet, and what they stop.

One open record per (account, kind, subject). An order adopted wrongly, or a second live order for one intent, halts the
account: only an operator lets it go on.
"""

import msgspec
import structlog

from orderd.core.order import Order
from orderd.core.verdicts import Finding
from orderd.engine.account import Account
from orderd.ports import Discrepancy

log = structlog.get_logger("orderd.discrepancies")

HALTING = frozenset({"ADOPTION_MISMATCH", "SECOND_BROKER_ORDER", "MASS_DISAPPEARANCE", "ACCOUNT_CHANGED"})
BLOCKING = frozenset({"OVERFILL", "EXECUTION_OVERLAPS", "FILLED_SHORT", "EXECUTIONS_MISSING", "REVIVED"})


class Discrepancies:
    """Opens and closes one account's records."""

    def __init__(self, account: Account) -> None:
        """Records carry this account's id."""
        self._account = account

    async def load(self) -> None:
        """Take up the records that were open when the last process ended."""
        for record in await self._account.journal.open_discrepancies(self._account.account_id):
            if record.symbol and record.kind in BLOCKING:
                self._account.blocked_symbols.add(record.symbol)
            if record.kind in HALTING:
                self._halt(record.kind, record.observed)

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
        if symbol and kind in BLOCKING:
            account.blocked_symbols.add(symbol)
        if kind in HALTING:
            self._halt(kind, observed)

    def _halt(self, kind: str, observed: str) -> None:
        self._account.halt_reason = f"{kind}: {observed}"
        self._account.resumed.clear()

    async def close_halting(self, reason: str) -> None:
        """Close the records that halted the account, with the operator's reason."""
        account = self._account
        for record in await account.journal.open_discrepancies(account.account_id):
            if record.kind in HALTING:
                await account.journal.put_discrepancy(
                    msgspec.structs.replace(record, resolved_time=account.clock.now(), evidence=reason)
                )
