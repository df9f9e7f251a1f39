"""`orderd account …`, `orderd fill …` and `orderd broker …`: what there is, and whether the broker agrees."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

import typer

from orderd.cli import texts
from orderd.cli.asking import Consent
from orderd.cli.connection import Connection
from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import command, say
from orderd.cli.intent import option
from orderd.cli.orders import MOST_IN_A_PAGE, Limit, first
from orderd.cli.render import Output

account = typer.Typer(no_args_is_help=True, help="The accounts that orderd trades.")
fill = typer.Typer(no_args_is_help=True, help="Executions.")
broker = typer.Typer(no_args_is_help=True, help="Compare orderd's record with the broker's.")

AccountId = Annotated[
    str,
    typer.Argument(parser=texts.name, metavar="[ACCOUNT_ID]", help="The account; needed when several are configured."),
]


@command(account, "list")
async def list_accounts(connection: Connection, output: Output) -> None:
    """Print the configured accounts. The brokers are not asked, so their figures are absent."""
    from oms.v1.account_service_pb2 import Account

    async with connection.client() as client:
        await output.many(await client.accounts(), Account)


@command(account, "get")
async def get_account(connection: Connection, output: Output, account_id: AccountId = "") -> None:
    """Print one account with fresh figures from the broker."""
    async with connection.client() as client:
        output.one(await client.account(account_id))


@dataclass(frozen=True, kw_only=True)
class FillFilter:
    """Which fills: AND between flags, OR inside one that is repeated."""

    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    order_id: Annotated[list[str], option("Our order id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    trade_id: Annotated[list[str], option("Trade; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    after_time: Annotated[datetime | None, option("Recorded then or later.", parser=texts.time, metavar="TIME")] = None
    before_time: Annotated[datetime | None, option("Recorded before then.", parser=texts.time, metavar="TIME")] = None


@command(fill, "list")
async def list_fills(which: FillFilter, connection: Connection, output: Output, limit: Limit = 50) -> None:
    """Print executions, in the order they were recorded, oldest first."""
    from oms.v1.order_pb2 import Fill
    from oms.v1.order_service_pb2 import ListFillsRequest

    request = ListFillsRequest(
        account_ids=which.account_id,
        order_ids=which.order_id,
        symbols=which.symbol,
        trade_ids=which.trade_id,
        page_size=min(limit, MOST_IN_A_PAGE),
    )
    if which.after_time is not None:
        request.after_time.FromDatetime(which.after_time)
    if which.before_time is not None:
        request.before_time.FromDatetime(which.before_time)
    async with connection.client() as client:
        await output.many(first(limit, client.fills(request)), Fill)


@command(broker)
async def reconcile(connection: Connection, output: Output, account_id: AccountId = "") -> None:
    """Compare an account with its broker now and book what is missing. Progress is on stderr, the result on stdout."""
    from oms.v1.broker_service_pb2 import RECONCILE_STAGE_FAILED, ReconcileResponse, ReconcileStage

    last = ReconcileResponse()
    async with connection.client() as client:
        async for step in client.reconcile(account_id, timeout_s=max(connection.timeout, 300)):
            last = step
            stage = ReconcileStage.Name(step.stage).removeprefix("RECONCILE_STAGE_").lower()
            say(f"{step.account_id}: {stage}{': ' if step.message else ''}{step.message}")
    output.one(last)
    if last.stage == RECONCILE_STAGE_FAILED:
        raise Failure(Exit.UNAVAILABLE, "the broker could not be read; nothing was compared")


@command(broker, "orders")
async def broker_orders(
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    open_only: Annotated[bool, typer.Option("--open", help="Only what is open on at least one side.")] = False,
    orphans_only: Annotated[bool, typer.Option("--orphans", help="Only what one side does not have.")] = False,
    limit: Limit = 50,
) -> None:
    """Print the broker's orders, each beside ours, orphans on both sides too."""
    from oms.v1.broker_service_pb2 import BrokerOrderEntry, ListBrokerOrdersRequest

    request = ListBrokerOrdersRequest(
        account_id=account_id,
        open_only=open_only,
        orphans_only=orphans_only,
        page_size=min(limit, MOST_IN_A_PAGE),
    )
    async with connection.client() as client:
        await output.many(first(limit, client.broker_orders(request)), BrokerOrderEntry)


@command(broker)
async def resume(
    connection: Connection,
    consent: Consent,
    output: Output,
    reason: Annotated[
        str, typer.Option("--reason", parser=texts.reason, metavar="TEXT", help="Why it is safe again, for the record.")
    ],
    account_id: AccountId = "",
) -> None:
    """Let a halted account trade again."""
    consent.ask(f"Let {account_id or 'the account'} trade again?")
    async with connection.client() as client:
        output.one(await client.resume_account(account_id, reason=reason))
