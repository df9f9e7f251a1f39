"""The fill listener: everything the broker's stream says, in its order, for as long as the process lives."""

import asyncio

import structlog

from orderd.core.values import AccountId
from orderd.engine.account import Account
from orderd.engine.router import Router
from orderd.ports import Append, BrokerReport, Clock, RawPayload, StreamDown, StreamUp, Unreadable, Update

log = structlog.get_logger("orderd.listener")

UNDER_WAY = 256
"""Reports between the socket and their commit; beyond it the socket is read no further."""


class Listener:
    """Follows one account's stream."""

    def __init__(self, account: Account, router: Router) -> None:
        """Reports go to the router."""
        self._account = account
        self._router = router
        self._places = asyncio.Semaphore(UNDER_WAY)

    async def run(self) -> None:
        """Until the broker is closed. Anything may have been missed before each StreamUp: a reconciliation follows."""
        async for update in self._account.broker.updates():
            await self._heard(update)

    async def _heard(self, update: Update) -> None:
        account = self._account
        match update:
            case BrokerReport():
                await self._places.acquire()
                account.tasks.start(self._bring(update), "report")
            case StreamUp():
                self._set_connected(connected=True)
                log.info("stream_up", account_id=account.account_id)
                account.reconcile_wanted.set()
            case StreamDown():
                self._set_connected(connected=False)
                log.warning("stream_down", account_id=account.account_id, message=update.message)
            case Unreadable():
                log.warning("stream_unreadable", account_id=account.account_id, message=update.message)
                raw = quarantined(account.account_id, update, account.clock)
                await account.journal.append([Append(steps=(), raw=(raw,))])
                account.reconcile_wanted.set()

    async def _bring(self, report: BrokerReport) -> None:
        """Tasks start in the order they are made, and a report reaches its order's mailbox before it first waits: so
        the reports of an order keep their order, while the commits of different orders share one transaction.
        """
        try:
            await self._router.report(report)
        finally:
            self._places.release()

    def _set_connected(self, *, connected: bool) -> None:
        if self._account.stream_connected is not connected:
            self._account.stream_connected = connected
            self._account.stream_changed_time = self._account.clock.now()


def quarantined(account_id: AccountId, update: Unreadable, clock: Clock) -> RawPayload:
    """A message nobody could read, kept as it came."""
    return RawPayload(
        account_id=account_id,
        broker_order_id="",
        kind=f"unreadable: {update.message}"[:200],
        body=update.raw,
        recorded_time=clock.now(),
        is_quarantined=True,
    )
