"""Finding out what became of an order whose submit was not answered.

Silence proves nothing; "not found" proves nothing before the settle time. Found: adopted after a comparison. Proven
absent: sent again with the same id where the broker refuses duplicates for ever and the intent is young enough, given
up otherwise. No proof: it stays UNKNOWN, counted as live, and is asked about again, slowly. A halted account proves
nothing at all: it may be another one's answer.
"""

from typing import TYPE_CHECKING

import structlog

from orderd.core.facts import GaveUp
from orderd.core.order import Order, OrderState
from orderd.core.values import OrderId
from orderd.engine.account import ENGINE, Account
from orderd.engine.reader import Reader
from orderd.ports import Absent, CannotTell, FindOutcome, Found, Lookup, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger("orderd.resolver")

PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
SLOW_S = 30.0


class Resolver:
    """Looks up the orders of one account whose outcome is not known."""

    def __init__(self, account: Account, reader: Reader) -> None:
        """`resend` is set by the sender."""
        self._account = account
        self._reader = reader
        self.resend: Callable[[Order], None] | None = None

    def start(self, order: Order) -> None:
        """Look it up until there is proof; one task an order."""
        self._account.tasks.start_once(lambda: self._resolve(order.order_id), "resolve", order.order_id)

    async def look(self, order: Order) -> FindOutcome:
        """One look-up by client id; what is found is brought in at once."""
        return await self._reader.find(order.intent.client_order_id)

    async def _resolve(self, order_id: OrderId) -> None:
        account = self._account
        since_ns = account.clock.monotonic_ns()
        tries = 0
        while (order := self._pending(order_id)) is not None and not account.is_stopping:
            outcome = await self.look(order)
            if self._pending(order_id) is None:
                return
            elapsed_s = (account.clock.monotonic_ns() - since_ns) / 1e9
            pause_s = self._pause(tries, elapsed_s)
            match outcome:
                case Found():
                    log.error("lookup_not_adopted", order_id=order_id)
                    pause_s = SLOW_S
                case Absent() if elapsed_s >= account.policy.settle_s:
                    if await self._absent(order):
                        return
                case Absent() | CannotTell():
                    pass
            await account.pause(pause_s)
            tries += 1

    def _pause(self, tries: int, elapsed_s: float) -> float:
        """The next look is due at the settle time at the latest: that is when "not found" becomes a proof."""
        pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
        to_settle = self._account.policy.settle_s - elapsed_s
        return min(pause, to_settle + 0.01) if to_settle > 0 else pause

    def _pending(self, order_id: OrderId) -> Order | None:
        order = self._account.blotter.get(order_id)
        if order is None or order.state is not OrderState.UNKNOWN or order.links:
            return None
        return order

    async def _absent(self, order: Order) -> bool:
        """It is proven not to be there. True when that settled it."""
        account = self._account
        can = account.broker.capabilities(order.asset_class)
        if can.lookup is not Lookup.YES or account.halt_reason or not account.is_recovered:
            return False
        if can.duplicate_refusal is Refusal.FOR_EVER and not account.is_too_old(order) and not order.pending_cancel:
            log.info("resending", order_id=order.order_id, client_order_id=order.intent.client_order_id)
            if self.resend is not None:
                self.resend(order)
            return True
        code = "STALE" if account.is_too_old(order) else "NOT_PLACED"
        message = f"the broker has no such order {account.policy.settle_s:g} s after it was sent"
        fact = GaveUp(at=account.clock.now(), source=ENGINE, code=code, message=message)
        await account.take_with_legs(order, fact)
        return True
