"""Finding out what became of an order whose submit was not answered.

Silence proves nothing; "not found" proves nothing before the settle time. Found: adopted after a comparison. Proven
absent and young enough: sent again with the same id, where the broker refuses duplicates for ever; where a first send
that lands late would be a second order, only an exit is, while the position is still there for it to close. Else given
up; should it land after that, the record is revived. No proof, as where a broker cannot be asked by client id: it stays
UNKNOWN, counted as live, and is asked about again, slowly. A halted account proves nothing at all: it may be another
one's answer.
"""

from typing import TYPE_CHECKING

import structlog

from orderd.core.facts import GaveUp
from orderd.core.order import Order, OrderState, Side
from orderd.core.values import OrderId
from orderd.engine.account import ENGINE, Account
from orderd.engine.holdings import held_of
from orderd.engine.reader import Reader
from orderd.ports import Absent, BrokerError, CannotTell, FindOutcome, Found, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger("orderd.resolver")

PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
SLOW_S = 20.0
CHECK_S = 1.0
"""How often it is seen whether an account that proves nothing now (it is halted, or not compared) does again."""


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
        return await self._reader.find(
            order.intent.client_order_id, asset_class=order.asset_class, since=order.created_time
        )

    async def _resolve(self, order_id: OrderId) -> None:
        account, clock = self._account, self._account.clock
        since_ns, tries, attempts = clock.monotonic_ns(), 0, -1
        while (order := self._pending(order_id)) is not None and not account.is_stopping:
            if order.attempts != attempts:  # sent again meanwhile: what was silent before proves nothing about it
                since_ns, tries, attempts = clock.monotonic_ns(), 0, order.attempts
            asked_s = (clock.monotonic_ns() - since_ns) / 1e9
            outcome = await self.look(order)
            now = self._pending(order_id)
            if now is None or now.attempts != attempts:
                continue
            pause_s = self._pause(tries, asked_s, (clock.monotonic_ns() - since_ns) / 1e9)
            match outcome:
                case Found():
                    log.error("lookup_not_adopted", order_id=order_id)
                    pause_s = SLOW_S
                case Absent() if asked_s >= account.policy.settle_s:
                    if await self._absent(order):
                        return
                case Absent() | CannotTell():
                    pass
            await self._rest(pause_s)
            tries += 1

    async def _rest(self, pause_s: float) -> None:
        """Wait. While nothing can be proven at all, only until it can be: the pauses have grown long by then."""
        if self._can_prove():
            await self._account.pause(pause_s)
            return
        while pause_s > 0 and not (self._can_prove() or self._account.is_stopping):
            await self._account.pause(min(pause_s, CHECK_S))
            pause_s -= CHECK_S

    def _can_prove(self) -> bool:
        return self._account.is_recovered and not self._account.halt_reason

    def _pause(self, tries: int, asked_s: float, elapsed_s: float) -> float:
        """The next look is asked at the settle time at the latest: that is when "not found" becomes a proof."""
        pause, settle_s = PAUSES_S[min(tries, len(PAUSES_S) - 1)], self._account.policy.settle_s
        return min(pause, max(settle_s - elapsed_s, 0) + 0.01) if asked_s < settle_s else pause

    def _pending(self, order_id: OrderId) -> Order | None:
        order = self._account.blotter.get(order_id)
        if order is None or order.state is not OrderState.UNKNOWN or order.links:
            return None
        return order

    async def _absent(self, order: Order) -> bool:
        """It is proven not to be there, as far as it was sent by then. True when that settled it."""
        account = self._account
        if not self._can_prove():
            return False
        goes_again = await self._may_go_again(order)
        if goes_again is None or self._pending(order.order_id) is None:
            return goes_again is not None
        if goes_again:
            log.info("resending", order_id=order.order_id, client_order_id=order.intent.client_order_id)
            if self.resend is not None:
                self.resend(order)
            return True
        code = "STALE" if account.is_too_old(order) else "NOT_PLACED"
        message = f"the broker has no such order {account.policy.settle_s:g} s after it was sent"
        fact = GaveUp(at=account.clock.now(), source=ENGINE, code=code, message=message, attempts=order.attempts)
        return not (await account.take(order, fact)).is_open

    async def _may_go_again(self, order: Order) -> bool | None:
        """Whether it is sent again now that it is proven absent; None: that cannot be told yet."""
        account = self._account
        if account.is_too_old(order) or order.pending_cancel:
            return False
        if account.broker.capabilities(order.asset_class).duplicate_refusal is Refusal.FOR_EVER:
            return True
        return await self._has_something_to_close(order) if order.intent.is_exit else False

    async def _has_something_to_close(self, order: Order) -> bool | None:
        """Whether the position, read now, is as large as what this exit would close; None: it could not be read."""
        try:
            positions = await self._account.broker.positions()
        except BrokerError:
            return None
        held = held_of(positions, order.intent.symbol)
        closable = held if order.intent.side is Side.SELL else -held
        return closable > 0 and (order.terms.quantity is None or closable >= order.terms.quantity)
