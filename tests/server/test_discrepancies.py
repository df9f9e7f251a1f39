"""BrokerService: discrepancies as records, and an operator's word on them and on orders."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import grpc
import msgspec
import pytest

from oms.v1 import broker_service_pb2 as pb
from oms.v1 import order_pb2 as opb
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Verdicts
from orderd.core.order import EventSource, OrderState
from orderd.core.values import AccountId, OrderId
from orderd.engine.api import OrderRef, ResolveAsk
from orderd.engine.errors import EngineError, Kind
from orderd.ports import Append, Discrepancy
from tests.server.conftest import House, refused

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
K = DiscrepancyKind


def difference(name: str, **changes: Any) -> Discrepancy:  # noqa: ANN401
    plain = Discrepancy(
        discrepancy_id=name,
        account_id=AccountId("paper"),
        kind=K.QUANTITY_DIFFERS,
        subject="o-1",
        order_id=OrderId("o-1"),
        broker_order_id="b-1",
        symbol="AAPL",
        expected="10",
        observed="9",
        evidence="read as b-1",
        source=EventSource.RECONCILER,
        opened_time=NOON,
        after_sequence=7,
    )
    return msgspec.structs.replace(plain, **changes)


async def kept(house: House, *records: Discrepancy) -> None:
    await house.engine.journal.append([Append(steps=(), discrepancies=records)])


async def three(house: House) -> None:
    resolved = {
        "resolved_time": NOON + timedelta(hours=1), "resolved_by": EventSource.OPERATOR,
        "resolution": "counted", "operator_name": "ann",
    }  # fmt: skip
    later = difference(
        "d-2", kind=K.OVERFILL, symbol="MSFT", subject="o-2", order_id=OrderId("o-2"),
        opened_time=NOON + timedelta(seconds=1),
    )  # fmt: skip
    halting = difference(
        "d-3", kind=K.ACCOUNT_CHANGED, subject="paper", order_id=OrderId(""), symbol="",
        opened_time=NOON + timedelta(seconds=2),
    )  # fmt: skip
    await kept(house, difference("d-1"), later, halting)
    await kept(house, msgspec.structs.replace(later, **resolved))


# ------------------------------------------------------------------------------------------------------------- the list


async def test_discrepancies_newest_first_with_all_that_is_known(house: House) -> None:
    await three(house)
    answer = await house.brokers.ListDiscrepancies(pb.ListDiscrepanciesRequest())
    halting, over, quantity = answer.discrepancies
    assert (halting.effect, halting.order_id) == (pb.DISCREPANCY_EFFECT_ACCOUNT_HALTED, "")
    assert (over.kind, over.effect) == (pb.DISCREPANCY_KIND_OVERFILL, pb.DISCREPANCY_EFFECT_SYMBOL_BLOCKED)
    assert (over.resolved_by, over.resolution, over.operator_name) == (opb.EVENT_SOURCE_OPERATOR, "counted", "ann")
    assert over.resolved_time.ToDatetime(UTC) == NOON + timedelta(hours=1)
    assert (quantity.expected, quantity.observed, quantity.evidence) == ("10", "9", "read as b-1")
    assert (quantity.order_id, quantity.broker_order_id, quantity.symbol) == ("o-1", "b-1", "AAPL")
    assert (quantity.source, quantity.after_sequence) == (opb.EVENT_SOURCE_RECONCILER, 7)
    assert not quantity.HasField("resolved_time")
    assert (answer.sequence, answer.next_page_token) == (house.engine.journal.head, "")


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ({"open_only": True}, ["d-3", "d-1"]),
        ({"kinds": [pb.DISCREPANCY_KIND_OVERFILL, pb.DISCREPANCY_KIND_QUANTITY_DIFFERS]}, ["d-2", "d-1"]),
        ({"symbols": ["AAPL"]}, ["d-1"]),
        ({"order_ids": ["o-2"], "account_ids": ["paper"]}, ["d-2"]),
        ({"order_ids": ["o-2"], "open_only": True}, []),
        ({"opened_after_time": NOON}, ["d-3", "d-2"]),
        ({"opened_before_time": NOON + timedelta(seconds=1)}, ["d-1"]),
    ],
)
async def test_the_list_can_be_narrowed(house: House, where: dict[str, Any], names: list[str]) -> None:
    await three(house)
    answer = await house.brokers.ListDiscrepancies(pb.ListDiscrepanciesRequest(**where))
    assert [record.discrepancy_id for record in answer.discrepancies] == names


async def test_the_list_in_pages_that_hold_together(house: House) -> None:
    await three(house)
    request = pb.ListDiscrepanciesRequest(page_size=2)
    first = await house.brokers.ListDiscrepancies(request)
    await kept(house, difference("d-9", subject="o-9", opened_time=NOON + timedelta(days=1)))
    await house.add(1)
    request.page_token = first.next_page_token
    second = await house.brokers.ListDiscrepancies(request)
    told = [record.discrepancy_id for record in (*first.discrepancies, *second.discrepancies)]
    assert (told, second.next_page_token, second.sequence) == (["d-3", "d-2", "d-1"], "", first.sequence)
    for other in ({"open_only": True}, {"symbols": ["AAPL"]}, {"account_ids": ["paper"]}):
        changed = pb.ListDiscrepanciesRequest(page_size=2, page_token=first.next_page_token, **other)
        error = await refused(house.brokers.ListDiscrepancies(changed))
        assert (error.reason, error.fields) == ("INVALID_PAGE_TOKEN", ["page_token"])


async def test_a_page_ends_before_it_grows_too_large(house: House) -> None:
    long = {"expected": "x" * 512, "observed": "y" * 512, "evidence": "z" * 512}
    await kept(house, *(difference(f"d-{n:04}", subject=f"o-{n}", **long) for n in range(900)))
    request, told = pb.ListDiscrepanciesRequest(page_size=1000), 0
    while True:
        answer = await house.brokers.ListDiscrepancies(request)
        assert answer.ByteSize() < 1_100_000
        told += len(answer.discrepancies)
        if not answer.next_page_token:
            break
        request.page_token = answer.next_page_token
    assert told == 900


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"account_ids": [""]}, "account_ids[0]"),
        ({"kinds": [0]}, "kinds[0]"),
        ({"kinds": [99]}, "kinds[0]"),
        ({"symbols": ["x" * 33]}, "symbols[0]"),
        ({"order_ids": ["x" * 129]}, "order_ids[0]"),
        ({"order_ids": ["x"] * 501}, "order_ids"),
        ({"opened_after_time": NOON, "opened_before_time": NOON}, "opened_before_time"),
        ({"page_size": -1}, "page_size"),
        ({"page_token": "nonsense"}, "page_token"),
    ],
)
async def test_a_list_that_cannot_be_made(house: House, wrong: dict[str, Any], field: str) -> None:
    error = await refused(house.brokers.ListDiscrepancies(pb.ListDiscrepanciesRequest(**wrong)))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, [field])


async def test_times_without_a_calendar(house: House) -> None:
    for field in ("opened_after_time", "opened_before_time"):
        request = pb.ListDiscrepanciesRequest()
        getattr(request, field).seconds = 10**15
        assert (await refused(house.brokers.ListDiscrepancies(request))).fields == [field]


async def test_the_list_of_an_unknown_account(house: House) -> None:
    error = await refused(house.brokers.ListDiscrepancies(pb.ListDiscrepanciesRequest(account_ids=["nobody"])))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


# -------------------------------------------------------------------------------------------------- closing one of them


async def test_an_operator_closes_one_with_a_reason(house: House) -> None:
    await kept(house, difference("d-1"))
    asked = pb.ResolveDiscrepancyRequest(discrepancy_id="d-1", reason="counted by hand", operator_name="ann")
    record = (await house.brokers.ResolveDiscrepancy(asked)).discrepancy
    assert (record.discrepancy_id, record.resolution, record.operator_name) == ("d-1", "counted by hand", "ann")
    assert record.resolved_by == opb.EVENT_SOURCE_OPERATOR
    assert ("resolve_discrepancy", ("d-1", "counted by hand", "ann")) in house.engine.asked


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"discrepancy_id": ""}, ["discrepancy_id"]),
        ({"discrepancy_id": "x" * 129}, ["discrepancy_id"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": "  "}, ["reason"]),
        ({"reason": "x" * 513}, ["reason"]),
        ({"reason": "two\nlines"}, ["reason"]),
        ({"operator_name": "x" * 129}, ["operator_name"]),
        ({"discrepancy_id": "", "reason": ""}, ["discrepancy_id", "reason"]),
    ],
)
async def test_a_closing_with_problems(house: House, changes: dict[str, str], fields: list[str]) -> None:
    asked = pb.ResolveDiscrepancyRequest(**({"discrepancy_id": "d-1", "reason": "r"} | changes))
    error = await refused(house.brokers.ResolveDiscrepancy(asked))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)
    assert not house.engine.asked


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        ("DISCREPANCY_NOT_FOUND", Kind.NOT_FOUND, grpc.StatusCode.NOT_FOUND),
        ("DISCREPANCY_RESOLVED", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("DISCREPANCY_STANDS", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("BROKER_UNAVAILABLE", Kind.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_closing_that_is_refused(house: House, reason: str, kind: Kind, code: grpc.StatusCode) -> None:
    house.engine.errors["resolve_discrepancy"] = EngineError(
        kind, reason, "no", subject=("orderd.Discrepancy", "d-1"), metadata={"observed": "9"}
    )
    asked = pb.ResolveDiscrepancyRequest(discrepancy_id="d-1", reason="r")
    error = await refused(house.brokers.ResolveDiscrepancy(asked))
    assert (error.code, error.reason, error.metadata) == (code, reason, {"observed": "9"})


# -------------------------------------------------------------------------------------------------- settling an order


WORD: dict[str, Any] = {"reason": "the broker called", "evidence": "ticket 7"}


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ({"resolution": pb.ORDER_RESOLUTION_NOT_PLACED}, {"verdict": Verdicts.NOT_PLACED}),
        ({"resolution": pb.ORDER_RESOLUTION_RESEND}, {"verdict": Verdicts.RESEND}),
        (
            {"resolution": pb.ORDER_RESOLUTION_ADOPT, "broker_order_id": "b-1"},
            {"verdict": Verdicts.ADOPT, "broker_order_id": "b-1"},
        ),
        (
            {"resolution": pb.ORDER_RESOLUTION_BUSTED, "execution_id": "e-1"},
            {"verdict": Verdicts.BUSTED, "execution_id": "e-1"},
        ),
        (
            {
                "resolution": pb.ORDER_RESOLUTION_ENDED, "status": opb.ORDER_STATUS_CANCELED, "filled_quantity": "4.0",
                "average_fill_price": "99.50", "expected_version": 3, "operator_name": "ann",
            },
            {
                "verdict": Verdicts.ENDED, "state": OrderState.CANCELED, "filled_quantity": Decimal(4),
                "average_price": Decimal("99.5"), "expected_version": 3, "operator_name": "ann",
            },
        ),
    ],
)  # fmt: skip
async def test_an_operators_word_reaches_the_engine(house: House, asked: dict[str, Any], heard: dict[str, Any]) -> None:
    (order,) = await house.add(1)
    answer = await house.brokers.ResolveOrder(pb.ResolveOrderRequest(order_id=order.order_id, **WORD, **asked))
    assert answer.order == order
    assert house.engine.asked[-2] == (
        "resolve_order",
        (OrderRef(order_id=order.order_id), ResolveAsk(reason="the broker called", evidence="ticket 7", **heard)),
    )


NOT_PLACED: dict[str, Any] = {"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_NOT_PLACED}
ENDED: dict[str, Any] = {
    "order_id": "o-1",
    "resolution": pb.ORDER_RESOLUTION_ENDED,
    "status": opb.ORDER_STATUS_CANCELED,
}


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({**NOT_PLACED, "order_id": ""}, ["order_id"]),
        ({**NOT_PLACED, "client_order_id": "k"}, ["client_order_id"]),
        ({**NOT_PLACED, "order_id": "", "client_order_id": "k k"}, ["client_order_id"]),
        ({**NOT_PLACED, "account_id": "x" * 129}, ["account_id"]),
        ({**NOT_PLACED, "resolution": 0}, ["resolution"]),
        ({**NOT_PLACED, "resolution": 99}, ["resolution"]),
        ({**NOT_PLACED, "reason": ""}, ["reason"]),
        ({**NOT_PLACED, "reason": "x" * 513}, ["reason"]),
        ({**NOT_PLACED, "evidence": ""}, ["evidence"]),
        ({**NOT_PLACED, "evidence": "x" * 513}, ["evidence"]),
        ({**NOT_PLACED, "operator_name": "x" * 129}, ["operator_name"]),
        ({**NOT_PLACED, "expected_version": -1}, ["expected_version"]),
        ({**NOT_PLACED, "broker_order_id": "b-1"}, ["broker_order_id"]),
        ({**NOT_PLACED, "status": opb.ORDER_STATUS_CANCELED}, ["status"]),
        ({**NOT_PLACED, "filled_quantity": "1"}, ["filled_quantity"]),
        ({**NOT_PLACED, "execution_id": "e-1"}, ["execution_id"]),
        ({"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_ADOPT}, ["broker_order_id"]),
        (
            {"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_ADOPT, "broker_order_id": "x" * 129},
            ["broker_order_id"],
        ),
        ({"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_BUSTED}, ["execution_id"]),
        ({"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_BUSTED, "execution_id": "x" * 129}, ["execution_id"]),
        ({**ENDED, "status": 0}, ["status"]),
        ({**ENDED, "status": 99}, ["status"]),
        ({**ENDED, "status": opb.ORDER_STATUS_ACCEPTED}, ["status"]),
        ({**ENDED, "filled_quantity": "1e3"}, ["filled_quantity"]),
        ({**ENDED, "filled_quantity": "-1"}, ["filled_quantity"]),
        ({**ENDED, "average_fill_price": "1"}, ["average_fill_price"]),
        ({**ENDED, "filled_quantity": "1", "average_fill_price": "x"}, ["average_fill_price"]),
        ({"order_id": "o-1", "resolution": pb.ORDER_RESOLUTION_ENDED, "reason": "", "evidence": ""},
         ["reason", "evidence", "status"]),
    ],
)  # fmt: skip
async def test_a_word_with_problems(house: House, asked: dict[str, Any], fields: list[str]) -> None:
    error = await refused(house.brokers.ResolveOrder(pb.ResolveOrderRequest(**(WORD | asked))))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)
    assert not [call for call, _ in house.engine.asked if call == "resolve_order"]


@pytest.mark.parametrize(
    ("reason", "kind", "code"),
    [
        ("ORDER_ENDED", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("ORDER_IN_FLIGHT", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("RESOLUTION_CONTRADICTED", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("RESOLUTION_NOT_ALLOWED", Kind.FAILED_PRECONDITION, grpc.StatusCode.FAILED_PRECONDITION),
        ("VERSION_CONFLICT", Kind.ABORTED, grpc.StatusCode.ABORTED),
        ("BROKER_UNAVAILABLE", Kind.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_word_that_is_refused(house: House, reason: str, kind: Kind, code: grpc.StatusCode) -> None:
    house.engine.errors["resolve_order"] = EngineError(kind, reason, "no", subject=("orderd.Order", "o-1"))
    error = await refused(house.brokers.ResolveOrder(pb.ResolveOrderRequest(**(WORD | NOT_PLACED))))
    assert (error.code, error.reason) == (code, reason)


async def test_which_order_is_meant(two_accounts: House) -> None:
    resolve = two_accounts.brokers.ResolveOrder
    by_key = {**NOT_PLACED, "order_id": "", "client_order_id": "k"}
    assert (await refused(resolve(pb.ResolveOrderRequest(**(WORD | by_key))))).reason == "ACCOUNT_REQUIRED"
    named = {**by_key, "account_id": "nobody"}
    assert (await refused(resolve(pb.ResolveOrderRequest(**(WORD | named))))).reason == "ACCOUNT_NOT_FOUND"
    error = await refused(resolve(pb.ResolveOrderRequest(**(WORD | {**by_key, "account_id": "paper"}))))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    (order,) = await two_accounts.add(1, account_id="paper")
    other = {**NOT_PLACED, "order_id": order.order_id, "account_id": "other"}
    assert (await refused(resolve(pb.ResolveOrderRequest(**(WORD | other))))).reason == "ORDER_NOT_FOUND"
