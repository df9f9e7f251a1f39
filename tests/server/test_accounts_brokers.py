"""AccountService and BrokerService."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import grpc
import pytest

from oms.v1 import account_service_pb2 as account_pb
from oms.v1 import broker_service_pb2 as pb
from oms.v1 import order_pb2 as opb
from orderd.core.order import OrderState, OrderType, Phase, Side, Terms, TimeInForce
from orderd.engine.api import PairedOrder, ReconcileProgress, ReconcileStage
from orderd.engine.errors import EngineError, Kind
from orderd.ports import BrokerAccount, BrokerError
from tests.server.conftest import House, OpenHouse, refused, said
from tests.server.stand_in import view

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
UPDATED_NS = 1_700_000_000_123_456_789


# ---------------------------------------------------------------------------------------------------------- accounts


async def test_accounts_are_listed_without_asking_their_brokers(two_accounts: House) -> None:
    answer = await two_accounts.accounts.ListAccounts(account_pb.ListAccountsRequest())
    assert [account.account_id for account in answer.accounts] == ["paper", "other"]
    assert [about for call, about in two_accounts.engine.asked if call == "account_status"] == [
        ("paper", False),
        ("other", False),
    ]
    first = answer.accounts[0]
    assert (first.mode, first.broker, first.equity, first.HasField("figures_time")) == (
        opb.MODE_PAPER, "simulated", "", False,
    )  # fmt: skip
    assert (first.open_order_count, first.unknown_order_count, first.open_discrepancy_count) == (3, 1, 2)
    assert first.stream_health == account_pb.STREAM_HEALTH_CONNECTED
    assert first.reconcile_age.ToTimedelta() == timedelta(seconds=1.5)


async def test_an_account_with_its_figures(house: House) -> None:
    house.engine.figures = BrokerAccount(
        number="1", status="ACTIVE", currency="USD", equity=Decimal("100000.50"), last_equity=None,
        cash=Decimal("-3.10"), buying_power=Decimal("200000"), is_trading_blocked=False,
    )  # fmt: skip
    account = (await house.accounts.GetAccount(account_pb.GetAccountRequest())).account
    assert (account.currency, account.equity, account.cash) == ("USD", "100000.5", "-3.1")
    assert (account.last_equity, account.buying_power, account.figures_error) == ("", "200000", "")
    assert account.HasField("figures_time")


async def test_a_broker_that_cannot_be_read_is_said(house: House) -> None:
    house.engine.figures_error = "no answer"
    house.engine.halt_reason = "orders vanished"
    account = (await house.accounts.GetAccount(account_pb.GetAccountRequest(account_id="paper"))).account
    assert (account.figures_error, account.equity) == ("no answer", "")
    assert (account.halted, account.halt_reason) == (True, "orders vanished")


async def test_which_account(two_accounts: House) -> None:
    error = await refused(two_accounts.accounts.GetAccount(account_pb.GetAccountRequest()))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ACCOUNT_REQUIRED")
    error = await refused(two_accounts.accounts.GetAccount(account_pb.GetAccountRequest(account_id="nobody")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert error.resource == ("orderd.Account", "nobody")


# --------------------------------------------------------------------------------------------------------- reconcile


async def test_a_reconciliation_tells_how_far_it_is(house: House) -> None:
    house.engine.progress = [
        ReconcileProgress(stage=ReconcileStage.STARTED, account_id="paper"),
        ReconcileProgress(stage=ReconcileStage.DONE, account_id="paper", broker_orders=7, fills_booked=2, message="ok"),
    ]
    told = [step async for step in house.brokers.Reconcile(pb.ReconcileRequest())]
    assert [step.stage for step in told] == [pb.RECONCILE_STAGE_STARTED, pb.RECONCILE_STAGE_DONE]
    assert (told[1].broker_order_count, told[1].booked_fill_count, told[1].message) == (7, 2, "ok")


async def test_a_reconciliation_that_is_refused(two_accounts: House) -> None:
    async def error_of(request: pb.ReconcileRequest) -> str:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await two_accounts.brokers.Reconcile(request).read()
        return said(caught.value).reason

    assert await error_of(pb.ReconcileRequest()) == "ACCOUNT_REQUIRED"
    assert await error_of(pb.ReconcileRequest(account_id="nobody")) == "ACCOUNT_NOT_FOUND"
    two_accounts.engine.errors["reconcile"] = BrokerError("key 123")
    assert await error_of(pb.ReconcileRequest(account_id="paper")) == "BROKER_UNAVAILABLE"


def test_every_stage_has_its_word_on_the_wire() -> None:
    for stage in ReconcileStage:
        assert pb.ReconcileStage.Value(f"RECONCILE_STAGE_{stage}") > 0


# ----------------------------------------------------------------------------------------------------- broker orders


async def paired(house: House) -> opb.Order:
    """One order that both sides know, one that only the broker has, one that only we have."""
    both, ours = await house.add(2)
    terms = Terms(
        type=OrderType.LIMIT, time_in_force=TimeInForce.GTC, quantity=Decimal("10.0"), limit_price=Decimal("99.50")
    )
    house.engine.pairs = [
        PairedOrder(
            view=view("b-1", filled_quantity=Decimal(4), created_time=NOON, symbol="AAPL", side=Side.BUY, terms=terms),
            broker_json=b'{"id": "b-1"}', order_id=both.order_id, state=OrderState.PARTIALLY_FILLED, agrees=True,
        ),
        PairedOrder(
            view=view("b-2", Phase.CANCELED, created_time=NOON + timedelta(hours=1), updated_ns=UPDATED_NS),
            broker_json=b"{}",
        ),
        PairedOrder(view=None, broker_json=b"", order_id=ours.order_id, state=OrderState.SUBMITTED),
    ]  # fmt: skip
    return both


async def test_the_brokers_orders_beside_ours_newest_first(house: House) -> None:
    both = await paired(house)
    answer = await house.brokers.ListBrokerOrders(pb.ListBrokerOrdersRequest())
    local_only, broker_only, agreed = answer.entries
    assert local_only.orphan_side == pb.ORPHAN_SIDE_LOCAL_ONLY
    assert not local_only.HasField("broker_order")
    assert broker_only.orphan_side == pb.ORPHAN_SIDE_BROKER_ONLY
    assert not broker_only.HasField("order")
    assert broker_only.broker_order.status == opb.ORDER_STATUS_CANCELED
    assert broker_only.broker_order.updated_time.ToNanoseconds() == UPDATED_NS
    assert agreed.orphan_side == pb.ORPHAN_SIDE_UNSPECIFIED
    assert (agreed.agrees, agreed.order, agreed.broker_json) == (True, both, '{"id": "b-1"}')
    theirs = agreed.broker_order
    assert (theirs.quantity, theirs.limit_price, theirs.filled_quantity) == ("10", "99.5", "4")
    assert (theirs.status, theirs.side, theirs.type) == (
        opb.ORDER_STATUS_PARTIALLY_FILLED, opb.SIDE_BUY, opb.ORDER_TYPE_LIMIT,
    )  # fmt: skip
    assert answer.HasField("as_of_time")


@pytest.mark.parametrize(
    ("where", "count"),
    [
        ({}, 3),
        ({"orphans_only": True}, 2),
        ({"open_only": True}, 2),
        ({"open_only": True, "orphans_only": True}, 1),
    ],
)
async def test_the_comparison_can_be_narrowed(house: House, where: dict[str, bool], count: int) -> None:
    await paired(house)
    answer = await house.brokers.ListBrokerOrders(pb.ListBrokerOrdersRequest(**where))
    assert len(answer.entries) == count


async def test_the_comparison_in_pages(house: House) -> None:
    await paired(house)
    request = pb.ListBrokerOrdersRequest(page_size=2)
    first = await house.brokers.ListBrokerOrders(request)
    request.page_token = first.next_page_token
    second = await house.brokers.ListBrokerOrders(request)
    whole = await house.brokers.ListBrokerOrders(pb.ListBrokerOrdersRequest())
    assert [*first.entries, *second.entries] == list(whole.entries)
    assert second.next_page_token == ""
    request.open_only = True
    error = await refused(house.brokers.ListBrokerOrders(request))
    assert (error.reason, error.fields) == ("INVALID_PAGE_TOKEN", ["page_token"])


async def test_a_comparison_that_cannot_be_made(two_accounts: House) -> None:
    ask = two_accounts.brokers.ListBrokerOrders
    assert (await refused(ask(pb.ListBrokerOrdersRequest()))).reason == "ACCOUNT_REQUIRED"
    assert (await refused(ask(pb.ListBrokerOrdersRequest(account_id="nobody")))).reason == "ACCOUNT_NOT_FOUND"
    assert (await refused(ask(pb.ListBrokerOrdersRequest(account_id="paper", page_size=-1)))).fields == ["page_size"]
    two_accounts.engine.errors["broker_orders"] = BrokerError("key 123")
    error = await refused(ask(pb.ListBrokerOrdersRequest(account_id="paper")))
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "BROKER_UNAVAILABLE")
    assert "123" not in error.message


def test_every_phase_means_something() -> None:
    from orderd.server.brokers import STATUS_OF  # noqa: PLC0415 - only here

    assert set(STATUS_OF) == set(Phase)


# ------------------------------------------------------------------------------------------------------------ resume


async def test_an_operator_resumes_an_account_with_a_reason(house: House) -> None:
    house.engine.halt_reason = "orders vanished"
    answer = await house.brokers.ResumeAccount(pb.ResumeAccountRequest(reason="looked at it"))
    assert not answer.account.halted
    assert ("resume_account", ("paper", "looked at it")) in house.engine.asked


async def test_a_resume_that_is_refused(two_accounts: House) -> None:
    resume = two_accounts.brokers.ResumeAccount
    assert (await refused(resume(pb.ResumeAccountRequest(account_id="paper")))).fields == ["reason"]
    assert (await refused(resume(pb.ResumeAccountRequest(reason="r")))).reason == "ACCOUNT_REQUIRED"
    two_accounts.engine.errors["resume_account"] = EngineError(
        Kind.FAILED_PRECONDITION, "ACCOUNT_NOT_HALTED", "it trades", subject=("orderd.Account", "paper")
    )
    error = await refused(resume(pb.ResumeAccountRequest(account_id="paper", reason="r")))
    assert (error.code, error.precondition) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_NOT_HALTED")


async def test_a_leaving_server_starts_no_reconciliation(serve: OpenHouse) -> None:
    async with serve() as house:
        house.server.refuse_submits()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await house.brokers.Reconcile(pb.ReconcileRequest()).read()
        assert said(caught.value).reason == "DRAINING"
