"""`orderd decision …`: write decisions down, look at what came of them, approve and reject them."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.asking import Consent, ask_before_live
from orderd.cli.connection import Connection
from orderd.cli.exits import BY_STATUS, Exit, Failure
from orderd.cli.flags import command, say
from orderd.cli.intent import option
from orderd.cli.intent_file import SentFor
from orderd.cli.orders import MOST_IN_A_PAGE, DryRun, Limit, first
from orderd.cli.render import Output
from orderd.cli.settling import OperatorName, operator
from orderd.core.decisions import DecisionKind, DecisionStatus
from orderd.core.order import Side

if TYPE_CHECKING:
    from oms.v1.decision_service_pb2 import (
        ApproveDecisionResponse,
        ListDecisionsRequest,
        RecordDecisionRequest,
        RecordDecisionResponse,
    )

decision = typer.Typer(no_args_is_help=True, help="Record, approve and look at decisions: why something is traded.")

DecisionId = Annotated[
    str, typer.Argument(parser=texts.key, metavar="DECISION_ID", help="The id that the decision was recorded with.")
]
OfAccount = Annotated[str, option("The account; needed when several are configured.", parser=texts.name, metavar="ID")]


@dataclass(frozen=True, kw_only=True)
class WhatWasDecided:
    """What is written down; names as in RecordDecisionRequest."""

    decision_id: Annotated[
        str, option("The id of the decision. Default: a new one, which is printed.", parser=texts.key, metavar="KEY")
    ] = ""
    kind: Annotated[DecisionKind, option("To open something, or to close it.")] = DecisionKind.ENTRY
    symbol: Annotated[
        str, option("AAPL, BRK.B, BTC/USD, AAPL250117C00150000.", parser=texts.symbol, metavar="SYMBOL")
    ] = ""
    side: Annotated[Side | None, option("Which way to trade.")] = None
    account_id: OfAccount = ""
    trace_id: Annotated[str, option("Your trace id.", parser=texts.name, metavar="ID")] = ""
    strategy: Annotated[str, option("Name of the strategy.", parser=texts.name, metavar="NAME")] = ""
    confidence: Annotated[str, option("How sure, from 0 to 1.", parser=texts.decimal, metavar="DECIMAL")] = ""
    signal: Annotated[list[str], option("What it rests on; repeat for more.", metavar="NAME=VALUE")] = field(
        default_factory=list[str]
    )
    model: Annotated[str, option("The model that decided.", parser=texts.name, metavar="NAME")] = ""
    provider: Annotated[str, option("Whose model it is.", parser=texts.name, metavar="NAME")] = ""
    rationale: Annotated[str, option("Why, in words.", parser=texts.rationale, metavar="TEXT")] = ""
    decided_time: Annotated[datetime | None, option("When it was decided.", parser=texts.time, metavar="TIME")] = None
    expires_time: Annotated[
        datetime | None, option("Send nothing because of it after this moment.", parser=texts.time, metavar="TIME")
    ] = None
    linked_trade_id: Annotated[str, option("The trade that an exit closes.", parser=texts.name, metavar="ID")] = ""

    def request(self) -> "RecordDecisionRequest":
        """The request, but for its intent."""
        from oms.v1 import order_pb2
        from oms.v1.decision_service_pb2 import RecordDecisionRequest

        same = (
            "symbol", "account_id", "trace_id", "strategy", "confidence", "model", "provider", "rationale",
            "linked_trade_id", "decision_id",
        )  # fmt: skip
        request = RecordDecisionRequest(
            **{name: getattr(self, name) for name in same},
            kind=order_pb2.DecisionKind.Value(f"DECISION_KIND_{self.kind}"),
            signals=texts.tags(self.signal, "--signal"),
        )
        if self.side is not None:
            request.side = order_pb2.Side.Value(f"SIDE_{self.side}")
        if self.decided_time is not None:
            request.decided_time.FromDatetime(self.decided_time)
        if self.expires_time is not None:
            request.expires_time.FromDatetime(self.expires_time)
        return request


@command(decision)
async def record(
    decided: WhatWasDecided,
    sent: SentFor,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    execute: Annotated[
        bool, typer.Option("--execute", help="Send the intent at once, unless a person has to approve it first.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Write a decision down and print it as it stands.

    Its intent comes from --intent; or from --quantity and prices (an order), --entry-price with --stop-loss-price (a
    trade), or --close (the end of --linked-trade-id). To repeat, give the printed --decision-id: it is never a second
    decision, and nothing is sent twice.
    """
    import uuid

    request = decided.request()
    sent.into(request)
    request.execute = execute
    request.decision_id = request.decision_id or str(uuid.uuid4())
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        if execute:
            await ask_before_live(client, decided.account_id, f"decision {request.decision_id}", consent)
        if not decided.decision_id:
            say(f"decision_id {request.decision_id}")
        answer = await client.record_decision(request)
    if answer.replayed:
        say("replayed: this id had been used before; nothing was sent again")
    output.one(answer)
    _end(answer)


def _end(answer: "RecordDecisionResponse | ApproveDecisionResponse") -> None:
    """Say when it waits, and end as its order did."""
    from oms.v1 import order_pb2 as pb

    found = answer.decision
    if found.status == pb.DECISION_STATUS_PENDING_APPROVAL:
        say(f"waits for approval: {found.status_reason.message}")
    if found.status == pb.DECISION_STATUS_EXPIRED:
        raise Failure(Exit.REFUSED, "EXPIRED: its time is over, nothing was sent")
    if answer.HasField("order"):
        status = pb.OrderStatus.Name(answer.order.status).removeprefix("ORDER_STATUS_")
        reason = answer.order.status_reason
        code = BY_STATUS.get(status, Exit.OK)
        if code is not Exit.OK:
            why = ": ".join(part for part in (reason.code, reason.message) if part)
            raise Failure(code, f"its order is {status}: {why}")


@command(decision)
async def get(decision_id: DecisionId, connection: Connection, output: Output, account_id: OfAccount = "") -> None:
    """Print a decision with everything that came of it: orders, fills, trades, results, and how far it has come."""
    from oms.v1.decision_service_pb2 import GetDecisionRequest

    async with connection.client() as client:
        output.one(await client.decision(GetDecisionRequest(decision_id=decision_id, account_id=account_id)))


@dataclass(frozen=True, kw_only=True)
class DecisionFilter:
    """Which decisions: AND between flags, OR inside one that is repeated."""

    status: Annotated[list[DecisionStatus], option("How far it has come; repeat for more.")] = field(
        default_factory=list[DecisionStatus]
    )
    kind: Annotated[list[DecisionKind], option("Entry or exit; repeat for both.")] = field(
        default_factory=list[DecisionKind]
    )
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    trace_id: Annotated[list[str], option("Trace id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    decision_id: Annotated[list[str], option("Decision; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    trade_id: Annotated[list[str], option("Trade; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    created_after_time: Annotated[
        datetime | None, option("Recorded after then.", parser=texts.time, metavar="TIME")
    ] = None
    created_before_time: Annotated[
        datetime | None, option("Recorded before then.", parser=texts.time, metavar="TIME")
    ] = None

    def request(self, limit: int) -> "ListDecisionsRequest":
        """The request for the first page."""
        from oms.v1 import order_pb2
        from oms.v1.decision_service_pb2 import ListDecisionsRequest

        request = ListDecisionsRequest(
            account_ids=self.account_id,
            statuses=[order_pb2.DecisionStatus.Value(f"DECISION_STATUS_{status}") for status in self.status],
            kinds=[order_pb2.DecisionKind.Value(f"DECISION_KIND_{kind}") for kind in self.kind],
            symbols=self.symbol,
            strategies=self.strategy,
            trace_ids=self.trace_id,
            decision_ids=self.decision_id,
            trade_ids=self.trade_id,
            page_size=min(limit, MOST_IN_A_PAGE),
        )
        if self.created_after_time is not None:
            request.created_after_time.FromDatetime(self.created_after_time)
        if self.created_before_time is not None:
            request.created_before_time.FromDatetime(self.created_before_time)
        return request


@command(decision, "list")
async def list_(which: DecisionFilter, connection: Connection, output: Output, limit: Limit = 50) -> None:
    """Print decisions, newest first, each with the real status of its order."""
    from oms.v1.decision_service_pb2 import DecisionEntry

    async with connection.client() as client:
        await output.many(first(limit, client.decisions(which.request(limit))), DecisionEntry)


@command(decision)
async def approve(  # noqa: PLR0913 - its flags
    decision_id: DecisionId,
    connection: Connection,
    consent: Consent,
    output: Output,
    account_id: OfAccount = "",
    *,
    reference_price: Annotated[
        str, option("Price now, where the server has no quote.", parser=texts.positive, metavar="DECIMAL")
    ] = "",
    reason: Annotated[str, option("Why, for the record.", parser=texts.reason, metavar="TEXT")] = "",
    operator_name: OperatorName = "",
) -> None:
    """Send what a decision intends, once however often it is called. Risk, expiry and price are checked again."""
    from oms.v1.decision_service_pb2 import ApproveDecisionRequest

    request = ApproveDecisionRequest(
        decision_id=decision_id,
        account_id=account_id,
        reason=reason,
        operator_name=operator(operator_name),
        reference_price=reference_price,
    )
    async with connection.client() as client:
        await ask_before_live(client, account_id, f"approve decision {decision_id}", consent)
        answer = await client.approve_decision(request)
    output.one(answer)
    _end(answer)


@command(decision)
async def reject(
    decision_id: DecisionId,
    connection: Connection,
    output: Output,
    account_id: OfAccount = "",
    *,
    reason: Annotated[
        str, typer.Option("--reason", parser=texts.reason, metavar="TEXT", help="Why it is rejected, for the record.")
    ],
    operator_name: OperatorName = "",
) -> None:
    """See to it that nothing is sent because of a decision any more, and print it."""
    from oms.v1.decision_service_pb2 import RejectDecisionRequest

    request = RejectDecisionRequest(
        decision_id=decision_id, account_id=account_id, reason=reason, operator_name=operator(operator_name)
    )
    async with connection.client() as client:
        output.one(await client.reject_decision(request))
