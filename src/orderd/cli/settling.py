"""`orderd broker discrepancies|resolve` and `orderd order resolve`: what differs, and a person's word on it."""

import getpass
from dataclasses import dataclass, field
from typing import Annotated

import typer

from orderd.cli import texts
from orderd.cli.accounts import AccountId
from orderd.cli.asking import Consent, ask_before_live
from orderd.cli.connection import Connection
from orderd.cli.intent import option
from orderd.cli.orders import MOST_IN_A_PAGE, DryRun, Limit, OrderKey, first
from orderd.cli.render import Output
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Verdicts
from orderd.core.order import OrderState

NeededReason = Annotated[
    str, typer.Option("--reason", parser=texts.reason, metavar="TEXT", help="Why it is settled, for the record.")
]
OperatorName = Annotated[
    str,
    option("Who says so, for the record. Default: the name of this login.", parser=texts.name, metavar="NAME"),
]


def operator(given: str) -> str:
    """The name for the record: as given, else that of the login, else none."""
    if given:
        return given
    try:
        return getpass.getuser()[: texts.LONGEST_ID]
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return ""


@dataclass(frozen=True, kw_only=True)
class DiscrepancyFilter:
    """Which discrepancies: AND between flags, OR inside one that is repeated."""

    kind: Annotated[list[DiscrepancyKind], option("What differs; repeat for more.")] = field(
        default_factory=list[DiscrepancyKind]
    )
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    order_id: Annotated[list[str], option("Our order id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )


async def discrepancies(
    which: DiscrepancyFilter,
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    all_of_them: Annotated[bool, typer.Option("--all", help="Also what is resolved.")] = False,
    limit: Limit = 50,
) -> None:
    """Print where the broker's word and the record differ, newest first."""
    from oms.v1 import broker_service_pb2 as pb

    request = pb.ListDiscrepanciesRequest(
        account_ids=[account_id] if account_id else [],
        kinds=[pb.DiscrepancyKind.Value(f"DISCREPANCY_KIND_{kind}") for kind in which.kind],
        symbols=which.symbol,
        order_ids=which.order_id,
        open_only=not all_of_them,
        page_size=min(limit, MOST_IN_A_PAGE),
    )
    async with connection.client() as client:
        await output.many(first(limit, client.discrepancies(request)), pb.Discrepancy)


async def resolve(
    discrepancy_id: Annotated[
        str, typer.Argument(parser=texts.name, metavar="DISCREPANCY_ID", help="The discrepancy to close.")
    ],
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    reason: NeededReason,
    operator_name: OperatorName = "",
) -> None:
    """Close a discrepancy by your word. One that still stands is not closed."""
    consent.ask(f"Close discrepancy {discrepancy_id}?")
    async with connection.client() as client:
        output.one(
            await client.resolve_discrepancy(discrepancy_id, reason=reason, operator_name=operator(operator_name))
        )


@dataclass(frozen=True, kw_only=True)
class Word:
    """What became of an order; names as in ResolveOrderRequest."""

    resolution: Annotated[Verdicts, option("What became of it.")]
    evidence: Annotated[
        str, option("What it rests on, such as the broker's ticket or statement.", parser=texts.reason, metavar="TEXT")
    ]
    broker_order_id: Annotated[str, option("ADOPT: the broker's order.", parser=texts.name, metavar="ID")] = ""
    status: Annotated[OrderState | None, option("ENDED: CANCELED, EXPIRED, REJECTED or FILLED.")] = None
    filled_quantity: Annotated[
        str, option("ENDED: executed in all. Default: what is booked.", parser=texts.decimal, metavar="DECIMAL")
    ] = ""
    average_fill_price: Annotated[
        str, option("ENDED: average price of that quantity.", parser=texts.decimal, metavar="DECIMAL")
    ] = ""
    execution_id: Annotated[
        str, option("BUSTED: the execution that was taken back.", parser=texts.name, metavar="ID")
    ] = ""


async def resolve_order(  # noqa: PLR0913 - its flags
    which: OrderKey,
    word: Word,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    reason: NeededReason,
    operator_name: OperatorName = "",
    expected_version: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="Only if the order's version is this. 0: any.")
    ] = 0,
    dry_run: DryRun = False,
) -> None:
    """Record what became of an order that the broker cannot tell about any more. The broker is asked first."""
    from oms.v1 import broker_service_pb2 as pb
    from oms.v1 import order_pb2

    request = pb.ResolveOrderRequest(
        resolution=pb.OrderResolution.Value(f"ORDER_RESOLUTION_{word.resolution}"),
        broker_order_id=word.broker_order_id,
        filled_quantity=word.filled_quantity,
        average_fill_price=word.average_fill_price,
        execution_id=word.execution_id,
        expected_version=expected_version,
        reason=reason,
        evidence=word.evidence,
        operator_name=operator(operator_name),
    )
    which.name(request)
    if word.status is not None:
        request.status = order_pb2.OrderStatus.Value(f"ORDER_STATUS_{word.status}")
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        named = which.order_id or which.client_order_id
        await ask_before_live(client, which.account_id, f"{word.resolution} of {named}", consent)
        output.one(await client.resolve_order(request))
