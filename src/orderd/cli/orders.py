"""`orderd order …`: submit, look, change."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from orderd.cli import texts
from orderd.cli.asking import Consent, ask_before_live
from orderd.cli.connection import Connection
from orderd.cli.exits import BY_STATUS, Exit, Failure, failure_of
from orderd.cli.flags import command, say
from orderd.cli.intent import Intent, option
from orderd.cli.render import Output
from orderd.core.order import AssetClass, OrderRole, OrderState, Side, TimeInForce

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from oms.v1.order_pb2 import Order, OrderEvent
    from oms.v1.order_service_pb2 import ListOrdersRequest, PreviewOrderResponse, SubmitWait
    from orderd.client import Client, OrderdError

order = typer.Typer(no_args_is_help=True, help="Submit, look at and change orders.")

Item = TypeVar("Item")
Limit = Annotated[int, typer.Option("--limit", min=1, max=1_000_000, metavar="N", help="At most so many.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
Reason = Annotated[str, typer.Option("--reason", parser=texts.reason, metavar="TEXT", help="Why, for the record.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Answer when it is on record, without waiting for the broker's word.")
]
MOST_IN_A_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class OrderKey:
    """Which order: by our id, or by its idempotency key."""

    order_id: Annotated[str, typer.Argument(parser=texts.name, metavar="[ORDER_ID]", help="Our id of the order.")] = ""
    client_order_id: Annotated[
        str, option("Its idempotency key, instead of ORDER_ID.", parser=texts.key, metavar="KEY")
    ] = ""
    account_id: Annotated[
        str,
        option("The account of that key; needed when several are configured.", parser=texts.name, metavar="ID"),
    ] = ""

    def name(self, request: "Message", **more: str) -> None:
        """Write it into a request. `more` are further ids: exactly one of all may be set."""
        ids = {"order_id": self.order_id, "client_order_id": self.client_order_id} | more
        if sum(bool(value) for value in ids.values()) != 1:
            named = "ORDER_ID or --client-order-id" + (" or --broker-order-id" if more else "")
            raise typer.BadParameter(f"name one order: {named}")
        for field_name, value in (ids | {"account_id": self.account_id}).items():
            if value:
                setattr(request, field_name, value)


@command(order)
async def submit(
    intent: Intent,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
) -> None:
    """Submit an order and print it as it stands.

    An order that is denied, rejected or of unknown outcome is printed too; the exit code tells. To repeat after a
    deadline or a lost connection, give the printed --client-order-id: it never becomes a second order.
    """
    from orderd.client import OrderdError, keyed

    request = intent.request()
    request.wait = wait_for(no_wait=no_wait)
    async with connection.client() as client:
        if dry_run:
            await _preview(client, request, output)
            return
        await ask_before_live(client, intent.account_id, str(intent), consent)
        request = keyed(request)
        key = request.client_order_id
        if key and not intent.client_order_id:
            say(f"client_order_id {key}")
        try:
            answer = await client.submit(request)
        except OrderdError as error:
            raise _with_advice(error, key) from None
    if answer.replayed:
        say("replayed: this key had been used before; no second order was made")
    output.one(answer.order)
    _end_by_status(answer.order)


def wait_for(*, no_wait: bool) -> "SubmitWait.ValueType":
    """When the server shall answer."""
    from oms.v1.order_service_pb2 import SUBMIT_WAIT_JOURNAL, SUBMIT_WAIT_UNSPECIFIED

    return SUBMIT_WAIT_JOURNAL if no_wait else SUBMIT_WAIT_UNSPECIFIED


def _with_advice(error: "OrderdError", key: str) -> Failure:
    failure = failure_of(error)
    if failure.code in {Exit.DEADLINE, Exit.UNAVAILABLE}:
        again = f"--client-order-id {key}" if key else "the same ids"
        failure.text += f"\n  the order may have been recorded: repeat the command with {again}"
    return failure


def _end_by_status(placed: "Order") -> None:
    from oms.v1.order_pb2 import OrderStatus

    status = OrderStatus.Name(placed.status).removeprefix("ORDER_STATUS_")
    code = BY_STATUS.get(status, Exit.OK)
    why = ": ".join(part for part in (placed.status_reason.code, placed.status_reason.message) if part)
    if code is Exit.UNKNOWN:
        again = f" or repeat the command with --client-order-id {placed.client_order_id}"
        raise Failure(code, f"{status}: {why}\n  it may be live; orderd is looking it up: wait{again}")
    if code is not Exit.OK:
        raise Failure(code, f"{status}: {why}")


@command(order)
async def preview(intent: Intent, connection: Connection, output: Output) -> None:
    """Show what a submit would do: the risk verdict, the cost, the request to the broker. Stores and sends nothing."""
    async with connection.client() as client:
        await _preview(client, intent.request(), output)


async def _preview(client: "Client", request: "Message", output: Output) -> None:
    from oms.v1.order_service_pb2 import SubmitOrderRequest

    assert isinstance(request, SubmitOrderRequest)
    answer = await client.preview(request)
    output.one(answer)
    if not answer.valid:
        raise _complaint(answer)


def _complaint(answer: "PreviewOrderResponse") -> Failure:
    if answer.field_violations:
        lines = [f"  {violation.field}: {violation.description}" for violation in answer.field_violations]
        return Failure(Exit.USAGE, "\n".join(["the order is not well formed", *lines]))
    return Failure(Exit.REFUSED, f"it would be denied: {answer.risk_verdict.code}: {answer.risk_verdict.message}")


@command(order)
async def get(
    which: OrderKey,
    connection: Connection,
    output: Output,
    broker_order_id: Annotated[
        str, option("Any id it has or had at the broker, instead of ORDER_ID.", parser=texts.name, metavar="ID")
    ] = "",
    *,
    full: Annotated[bool, typer.Option("--full", help="Also its decision and the broker's own record.")] = False,
) -> None:
    """Print one order with its fills."""
    from oms.v1.order_service_pb2 import GetOrderRequest

    request = GetOrderRequest(full=full)
    which.name(request, broker_order_id=broker_order_id)
    async with connection.client() as client:
        output.one(await client.get(request))


@dataclass(frozen=True, kw_only=True)
class OrderFilter:
    """Which orders: AND between flags, OR inside one that is repeated."""

    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    status: Annotated[list[OrderState], option("State; repeat for more.")] = field(default_factory=list[OrderState])
    open_only: Annotated[bool, typer.Option("--open", help="Only orders that have not ended.")] = False
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    underlying: Annotated[
        list[str], option("Underlying of options; repeat for more.", parser=texts.symbol, metavar="SYMBOL")
    ] = field(default_factory=list[str])
    expiry_date_from: Annotated[
        str, option("Options that expire then or later.", parser=texts.date, metavar="DATE")
    ] = ""
    expiry_date_to: Annotated[
        str, option("Options that expire then or earlier.", parser=texts.date, metavar="DATE")
    ] = ""
    asset_class: Annotated[list[AssetClass], option("Kind of instrument; repeat for more.")] = field(
        default_factory=list[AssetClass]
    )
    side: Annotated[list[Side], option("Side; repeat for both.")] = field(default_factory=list[Side])
    role: Annotated[list[OrderRole], option("Role; repeat for more.")] = field(default_factory=list[OrderRole])
    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    strategy_type: Annotated[
        list[str], option("Name of an option structure; repeat for more.", parser=texts.name, metavar="NAME")
    ] = field(default_factory=list[str])
    external: Annotated[
        bool | None, typer.Option("--external/--own", help="Only orders made outside orderd, or only orderd's own.")
    ] = None
    trace_id: Annotated[list[str], option("Trace id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    decision_id: Annotated[list[str], option("Decision; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    trade_id: Annotated[list[str], option("Trade; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    created_after_time: Annotated[
        datetime | None, option("Created then or later.", parser=texts.time, metavar="TIME")
    ] = None
    created_before_time: Annotated[
        datetime | None, option("Created before then.", parser=texts.time, metavar="TIME")
    ] = None

    def request(self) -> "ListOrdersRequest":
        """The request without its page."""
        from oms.v1 import order_pb2 as pb
        from oms.v1.order_service_pb2 import ListOrdersRequest

        request = ListOrdersRequest(
            account_ids=self.account_id,
            statuses=[pb.OrderStatus.Value(f"ORDER_STATUS_{state}") for state in self.status],
            open_only=self.open_only,
            symbols=self.symbol,
            underlyings=self.underlying,
            expiry_date_from=self.expiry_date_from,
            expiry_date_to=self.expiry_date_to,
            asset_classes=[pb.AssetClass.Value(f"ASSET_CLASS_{kind}") for kind in self.asset_class],
            sides=[pb.Side.Value(f"SIDE_{side}") for side in self.side],
            roles=[pb.OrderRole.Value(f"ORDER_ROLE_{role}") for role in self.role],
            strategies=self.strategy,
            strategy_types=self.strategy_type,
            external=self.external,
            trace_ids=self.trace_id,
            decision_ids=self.decision_id,
            trade_ids=self.trade_id,
        )
        if self.created_after_time is not None:
            request.created_after_time.FromDatetime(self.created_after_time)
        if self.created_before_time is not None:
            request.created_before_time.FromDatetime(self.created_before_time)
        return request


@command(order, "list")
async def list_(which: OrderFilter, connection: Connection, output: Output, limit: Limit = 50) -> None:
    """Print orders, newest first."""
    from oms.v1.order_pb2 import Order

    request = which.request()
    request.page_size = min(limit, MOST_IN_A_PAGE)
    async with connection.client() as client:
        await output.many(first(limit, client.orders(request)), Order)


async def first(limit: int, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
    """At most so many of them; pages that are not needed are not asked for."""
    left = limit
    async for item in items:
        yield item
        left -= 1
        if not left:
            return


@command(order)
async def events(
    order_id: Annotated[str, typer.Argument(parser=texts.name, metavar="ORDER_ID", help="Our id of the order.")],
    connection: Connection,
    output: Output,
    limit: Limit = 1_000_000,
) -> None:
    """Print the whole story of one order, oldest event first."""
    from oms.v1.order_pb2 import OrderEvent

    async with connection.client() as client:
        await output.many(first(limit, _kept(client.events_of(order_id))), OrderEvent)


async def _kept(story: "AsyncIterator[OrderEvent]") -> "AsyncIterator[OrderEvent]":
    """The events as they come; on stderr, what of the story is no longer kept."""
    version = 0
    async for event in story:
        if not version and event.version > 1:
            say(f"the first {event.version - 1} events of this order are no longer kept")
        version = event.version
        yield event
    if not version:
        say("the events of this order are no longer kept; `orderd order get` shows it as it ended")


@command(order)
async def cancel(
    which: OrderKey,
    connection: Connection,
    output: Output,
    *,
    reason: Reason = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
) -> None:
    """Ask for the cancel of one order and print it. Repeating does no harm."""
    from oms.v1.order_service_pb2 import CancelOrderRequest

    request = CancelOrderRequest(reason=reason, wait=wait_for(no_wait=no_wait))
    which.name(request)
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        output.one(await client.cancel(request))


@command(order, "cancel-all")
async def cancel_all(  # noqa: PLR0913 - its flags
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    account_id: Annotated[
        str, option("The account; needed when several are configured.", parser=texts.name, metavar="ID")
    ] = "",
    symbol: Annotated[
        list[str] | None, option("Only this symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")
    ] = None,
    include_protective: Annotated[
        bool, typer.Option("--include-protective", help="Also stops: positions are then without protection.")
    ] = False,
    include_external: Annotated[
        bool, typer.Option("--include-external", help="Also orders made outside orderd.")
    ] = False,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Ask for the cancel of the open orders of an account and print what came of each."""
    from oms.v1.order_service_pb2 import CancelAllOrdersRequest, CancelAllOrdersResult

    request = CancelAllOrdersRequest(
        account_id=account_id,
        symbols=symbol or (),
        include_protective=include_protective,
        include_external=include_external,
        reason=reason,
    )
    if dry_run:
        output.one(request)
        return
    consent.ask(
        f"Cancel the open orders of {account_id or 'the account'}{' in ' + ', '.join(symbol) if symbol else ''}?"
    )
    async with connection.client() as client:
        results = await client.cancel_all(request)
    await output.many(results, CancelAllOrdersResult)
    refused = sum(1 for result in results if result.error_reason)
    if refused:
        raise Failure(Exit.PARTIAL, f"{refused} of {len(results)} could not be canceled")


@command(order)
async def replace(  # noqa: PLR0913 - its flags
    which: OrderKey,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    quantity: Annotated[str, option("New total quantity.", parser=texts.positive, metavar="DECIMAL")] = "",
    limit_price: Annotated[str, option("New limit price.", parser=texts.decimal, metavar="DECIMAL")] = "",
    stop_price: Annotated[str, option("New stop price.", parser=texts.positive, metavar="DECIMAL")] = "",
    trail: Annotated[
        str, option("New trail, a price or a percentage as it has.", parser=texts.positive, metavar="DECIMAL")
    ] = "",
    time_in_force: Annotated[TimeInForce | None, option("How long it shall work.")] = None,
    request_id: Annotated[
        str,
        option("The key of this replace. Default: a new one, which is printed.", parser=texts.key, metavar="KEY"),
    ] = "",
    expected_version: Annotated[
        int, typer.Option(min=0, max=2**31 - 1, metavar="N", help="Only if the order's version is this. 0: any.")
    ] = 0,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Ask for new terms of a working order and print it. What is not given stays."""
    import uuid

    from oms.v1 import order_pb2 as pb
    from oms.v1.order_service_pb2 import ReplaceOrderRequest

    if not (quantity or limit_price or stop_price or trail or time_in_force):
        raise typer.BadParameter("give at least one new term, such as --limit-price")
    request = ReplaceOrderRequest(
        quantity=quantity,
        limit_price=limit_price,
        stop_price=stop_price,
        trail=trail,
        request_id=request_id or str(uuid.uuid4()),
        expected_version=expected_version,
        reason=reason,
    )
    which.name(request)
    if time_in_force is not None:
        request.time_in_force = pb.TimeInForce.Value(f"TIME_IN_FORCE_{time_in_force}")
    if dry_run:
        output.one(request)
        return
    if not request_id:
        say(f"request_id {request.request_id}")
    async with connection.client() as client:
        await ask_before_live(
            client, which.account_id, f"replace of {which.order_id or which.client_order_id}", consent
        )
        output.one(await client.replace(request))
