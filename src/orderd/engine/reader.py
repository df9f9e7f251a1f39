"""Reading one order by the broker's id, and bringing in what it says."""

from datetime import datetime

from orderd.core.order import AssetClass
from orderd.core.values import BrokerOrderId
from orderd.engine.account import ENGINE, REPLY, Account
from orderd.engine.lookup import look_up
from orderd.engine.router import Router
from orderd.ports import Absent, CannotTell, FindOutcome, Found

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

    async def find(self, client_order_id: str, *, asset_class: AssetClass, since: datetime) -> FindOutcome:
        """Look it up by a client id; what is found has been brought in. `since`: when it was written down."""
        found = await look_up(
            self._account, client_order_id, asset_class=asset_class, since=since, timeout_s=READ_TIMEOUT_S
        )
        if isinstance(found, CannotTell):
            return found
        for each in found:
            raw = self._account.raw(each.view.broker_order_id, "lookup", each.raw)
            await self._router.view(each.view, REPLY, raw)
        return found[0] if found else Absent()
