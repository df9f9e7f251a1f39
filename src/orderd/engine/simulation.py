"""A venue in this process is born empty at every start: what the journal still holds open with it is over."""

from orderd.core.facts import SettledByOperator, Verdicts
from orderd.core.order import OrderState
from orderd.engine.account import ENGINE, Account


async def forget_venue(account: Account) -> None:
    """End what was open at the simulated venue of an earlier process, and expect a new account number."""
    for order in account.blotter.open(account.account_id):
        fact = SettledByOperator(
            at=account.clock.now(),
            source=ENGINE,
            verdict=Verdicts.ENDED,
            state=OrderState.CANCELED,
            message="the simulated venue of the earlier process is gone",
        )
        await account.intake.take(order.order_id, fact)
    await account.journal.set_mark(f"account_number:{account.account_id}", "")
