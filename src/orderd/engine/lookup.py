"""Finding an order at its broker by the client's id, in the way that this broker has.

By a call of its own; or in the list of everything since shortly before the order was written down, which is complete
or no answer at all; or not, where nothing that can be read shows the client's id.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from orderd.core.order import AssetClass
from orderd.engine.account import Account
from orderd.ports import BrokerError, CannotTell, Found, Lookup

REACH = timedelta(days=2)
"""How much earlier than the order a list must begin: the broker's clock is not ours, and ours may be a day ahead."""


async def look_up(
    account: Account, client_order_id: str, *, asset_class: AssetClass, since: datetime, timeout_s: float
) -> Sequence[Found] | CannotTell:
    """Every broker order with this client id; empty: there is none, as far as the broker's word goes.

    More than one only where the broker does not refuse duplicates. `since`: when it was written down here.
    """
    match account.broker.capabilities(asset_class).lookup:
        case Lookup.YES:
            outcome = await account.broker.find(client_order_id, timeout_s=timeout_s)
            if isinstance(outcome, CannotTell):
                return outcome
            return (outcome,) if isinstance(outcome, Found) else ()
        case Lookup.LIST_ONLY:
            return await _in_list(account, client_order_id, since - REACH, timeout_s)
        case Lookup.NO:
            return CannotTell(message="this broker cannot be asked by client id")


async def _in_list(
    account: Account, client_order_id: str, since: datetime, timeout_s: float
) -> Sequence[Found] | CannotTell:
    try:
        async with asyncio.timeout(timeout_s):
            rows = await account.broker.orders_since(since)
    except (BrokerError, TimeoutError) as error:
        return CannotTell(message=f"the list could not be read: {error}")
    return [row for row in rows if row.view.client_order_id == client_order_id]
