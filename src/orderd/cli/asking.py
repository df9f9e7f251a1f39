"""Before something changes: who is asked, and what is said first."""

import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import say

if TYPE_CHECKING:
    from oms.v1.account_service_pb2 import Account
    from orderd.client import Client


@dataclass(frozen=True, kw_only=True)
class Consent:
    """Whether to ask."""

    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, on a terminal either.")] = False

    def ask(self, question: str) -> None:
        """On a terminal: go on only after a yes. Elsewhere nobody could answer, and nothing is asked."""
        if self.yes or not sys.stdin.isatty():
            return
        # asyncio's own handler would only note the Ctrl-C and leave the question standing.
        loops_handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            is_wanted = typer.confirm(question, err=True)
        except typer.Abort:
            raise Failure(Exit.INTERRUPTED, "interrupted; nothing was sent") from None
        finally:
            signal.signal(signal.SIGINT, loops_handler)
        if not is_wanted:
            raise Failure(Exit.OTHER, "not confirmed; nothing was sent")


async def account_of(client: "Client", account_id: str) -> "Account | None":
    """The account a call will reach; None when the server will have to say that it is not clear which."""
    accounts = await client.accounts()
    if account_id:
        return next((account for account in accounts if account.account_id == account_id), None)
    return accounts[0] if len(accounts) == 1 else None


async def ask_before_live(client: "Client", account_id: str, what: str, consent: Consent) -> None:
    """Say it when real money is meant, and ask."""
    from oms.v1.order_pb2 import MODE_LIVE

    account = await account_of(client, account_id)
    if account is not None and account.mode == MODE_LIVE:
        say(f"LIVE: account {account.account_id} at {account.broker} trades real money: {what}")
        consent.ask("Send it?")
