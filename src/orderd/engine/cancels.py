"""Cancels under way: asked for as long as it takes, until the broker has proven an end or refused for good.

A 204 is not an end and a 422 not a refusal: after either, the order's own word is read. A broker that cannot be reached
uses up no try. Three rounds without proof open a discrepancy, and the asking goes on, slowly.
"""

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import CancelDeclined
from orderd.core.order import Order, Phase
from orderd.core.values import BrokerOrderId, OrderId
from orderd.engine.account import REPLY, Account
from orderd.engine.discrepancies import Discrepancies
from orderd.engine.reader import Reader
from orderd.ports import Found, NotSent, Refused, Taken, Unknown

TRIES = 3
PROOF_S = 5.0
UNHEARD_S = 0.25
"""How long the broker is given to do it before it is asked, while its stream is down."""
SLOW_S = 20.0
CALL_TIMEOUT_S = 10.0
PAUSES_S = (0.5, 1.0, 2.0, 5.0, 10.0)


class Canceller:
    """Carries one account's cancels to its broker."""

    def __init__(self, account: Account, reader: Reader, discrepancies: Discrepancies) -> None:
        """Watches the blotter: a flag with a broker id beside it is work to do, also after a restart."""
        self._account = account
        self._reader = reader
        self._discrepancies = discrepancies

    def watch(self, order: Order) -> None:
        """Start what the order's flag asks for, unless it is under way. A drain still lets a cancel go, once."""
        if order.pending_cancel and self._wanted(order.order_id) is not None:
            self._account.tasks.start_once(lambda: self._cancel(order.order_id), "cancel", order.order_id)

    def _wanted(self, order_id: OrderId) -> Order | None:
        """The order while its cancel may go out: not before a replace under way is proven, unless that one is stuck."""
        order = self._account.blotter.get(order_id)
        if order is None or not order.is_open or not order.pending_cancel or not order.links:
            return None
        is_replacing = order.pending_replace is not None and order_id not in self._account.stuck_replaces
        return None if is_replacing else order

    async def _cancel(self, order_id: OrderId) -> None:
        tries, unreached = 0, 0
        while (order := self._wanted(order_id)) is not None and order.broker_order_id is not None:
            outcome = await self._account.broker.cancel(order.broker_order_id, timeout_s=CALL_TIMEOUT_S)
            match outcome:
                case Taken():
                    await self._proof(order, order.broker_order_id, PROOF_S if tries < TRIES else SLOW_S)
                    tries += 1
                case Refused():
                    if await self._refused(order, order.broker_order_id, outcome):
                        return
                    tries += 1
                    await self._account.pause(PAUSES_S[0])
                case NotSent() | Unknown():
                    await self._account.pause(PAUSES_S[min(unreached, len(PAUSES_S) - 1)])
                    unreached += 1
            if self._wanted(order_id) is None or self._account.is_stopping:
                return
            if isinstance(outcome, NotSent):
                continue  # nothing was asked, so there is nothing to learn; what others wait for is not used up
            await self._reader.read(order.broker_order_id)
            await self._tell(order_id, tries)

    async def _proof(self, order: Order, broker_order_id: BrokerOrderId, timeout_s: float) -> None:
        """Wait for an end, but not through a drain. While the stream is down nobody tells it: it is read soon."""
        account = self._account
        if account.is_stopping:
            return
        if not account.stream_connected:
            await account.pause(UNHEARD_S)
            await self._reader.read(broker_order_id)
        await account.blotter.wait(order, lambda o: not o.is_open or not o.pending_cancel, timeout_s)

    async def _tell(self, order_id: OrderId, tries: int) -> None:
        order = self._wanted(order_id)
        if order is not None and tries == TRIES:
            await self._discrepancies.open(
                DiscrepancyKind.CANCEL_UNPROVEN,
                order,
                expected="an end",
                observed=order.broker_status,
                evidence=f"{tries} cancels",
            )

    async def _refused(self, order: Order, broker_order_id: BrokerOrderId, outcome: Refused) -> bool:
        """After a refusal and a read: still working and not on its way out means the broker will not cancel it."""
        if not isinstance(await self._reader.read(broker_order_id), Found):
            return False
        current = self._wanted(order.order_id)
        if current is None:
            return True
        if current.links[-1].phase in {Phase.PENDING_CANCEL, Phase.PENDING_REPLACE}:
            return False
        at = self._account.clock.now()
        fact = CancelDeclined(at=at, source=REPLY, code=outcome.code, message=outcome.message)
        await self._account.take(current, fact, self._account.raw(broker_order_id, "cancel_refusal", outcome.raw))
        return True
