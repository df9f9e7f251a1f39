"""`orderd position`: what is held, as the broker says and as the fills say."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from orderd.cli import texts
from orderd.cli.accounts import AccountId
from orderd.cli.connection import Connection
from orderd.cli.flags import command
from orderd.cli.intent import option
from orderd.cli.orders import MOST_IN_A_PAGE, Limit, first
from orderd.cli.render import Output

position = typer.Typer(no_args_is_help=True, help="What is held, as the broker says and as the fills say.")


@dataclass(frozen=True, kw_only=True)
class PositionFilter:
    """Which positions: AND between flags, OR inside one that is repeated."""

    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    underlying: Annotated[
        list[str], option("Root of options; repeat for more.", parser=texts.symbol, metavar="SYMBOL")
    ] = field(default_factory=list[str])
    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    expiry_date_from: Annotated[
        str, option("Options that expire then or later.", parser=texts.date, metavar="DATE")
    ] = ""
    expiry_date_to: Annotated[
        str, option("Options that expire then or earlier.", parser=texts.date, metavar="DATE")
    ] = ""


@command(position, "list")
async def list_positions(
    which: PositionFilter,
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Also those that are over.")] = False,
    limit: Limit = 50,
) -> None:
    """Print positions, newest first: both figures, and the difference that is open about them."""
    from oms.v1.position_service_pb2 import ListPositionsRequest, Position

    request = ListPositionsRequest(
        account_ids=[account_id] if account_id else [],
        symbols=which.symbol,
        underlyings=which.underlying,
        strategies=which.strategy,
        expires_on_or_after=which.expiry_date_from,
        expires_on_or_before=which.expiry_date_to,
        include_closed=closed,
        page_size=min(limit, MOST_IN_A_PAGE),
    )
    async with connection.client() as client:
        await output.many(first(limit, client.positions(request)), Position)


@command(position, "get")
async def get(
    symbol: Annotated[str, typer.Argument(parser=texts.symbol, metavar="SYMBOL", help="Its canonical symbol.")],
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
) -> None:
    """Print the open position of a symbol, or the last one that was closed."""
    async with connection.client() as client:
        output.one(await client.position(symbol, account_id=account_id))
