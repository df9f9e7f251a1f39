"""Reading one order by the broker's id, and bringing in what it says."""

from orderd.core.values import BrokerOrderId
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.router import Router
from orderd.ports import FindOutcome, Found

READ_TIMEOUT_S = 5.0


class Reader:
    """Reads one account's orders at its broker."""

    def __init__(self, account: Account, router: Router) -> None:
        """What is read goes to the router."""
        self._account = account
        self._router = router

    async def read(self, broker_order_id: BrokerOrderId, *, may_infer: bool = False) -> FindOutcome:
        """Read it; when it is found its view has been brought in. `may_infer`: its executions were asked for before."""
        outcome = await self._account.broker.order(broker_order_id, timeout_s=READ_TIMEOUT_S)
        if isinstance(outcome, Found):
            raw = self._account.raw(broker_order_id, "read", outcome.raw)
            source = ENGINE if may_infer else REPLY
            await self._router.view(outcome.view, source, raw, may_infer=may_infer)
        return outcome

    async def find(self, client_order_id: str) -> FindOutcome:
        """Look it up by a client id; when it is found its view has been brought in."""
        outcome = await self._account.broker.find(client_order_id, timeout_s=READ_TIMEOUT_S)
        if isinstance(outcome, Found):
            raw = self._account.raw(outcome.view.broker_order_id, "lookup", outcome.raw)
            await self._router.view(outcome.view, REPLY, raw)
        return outcome
