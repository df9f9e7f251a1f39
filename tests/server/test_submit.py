"""SubmitOrder and BatchSubmitOrders: what is answered, when, and what is not recorded."""

import asyncio

import grpc
import pytest

from oms.v1 import error_pb2
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.engine.api import Wait
from orderd.engine.errors import EngineError, Kind
from tests.server.conftest import House, order_request, refused


def nothing_recorded(house: House) -> bool:
    """No event was written and the engine was not asked to write one."""
    return house.engine.journal.head == 0 and not [call for call, _ in house.engine.asked if call == "submit"]


async def test_an_order_is_answered_as_it_stands(house: House) -> None:
    request = order_request(trace_id="t-1", decision_id="d-1", strategy="s", tags={"a": "b"})
    answer = await house.orders.SubmitOrder(request)
    order = answer.order
    assert not answer.replayed
    assert (order.account_id, order.client_order_id, order.symbol) == ("paper", request.client_order_id, "AAPL")
    assert (order.quantity, order.limit_price, order.trace_id, dict(order.tags)) == ("10", "100", "t-1", {"a": "b"})
    assert order.status == opb.ORDER_STATUS_ACCEPTED
    assert order.sequence == house.engine.journal.head


async def test_the_same_key_answers_the_same_order(house: House) -> None:
    request = order_request()
    first = await house.orders.SubmitOrder(request)
    again = await house.orders.SubmitOrder(request)
    assert again.replayed
    assert again.order == first.order


async def test_the_same_key_with_other_content_is_refused(house: House) -> None:
    request = order_request()
    first = await house.orders.SubmitOrder(request)
    request.quantity = "11"
    error = await refused(house.orders.SubmitOrder(request))
    assert (error.code, error.reason) == (grpc.StatusCode.ALREADY_EXISTS, "CLIENT_ORDER_ID_REUSED")
    assert error.resource == ("orderd.Order", first.order.order_id)
    assert error.metadata["differing_fields"] == "quantity"


async def test_a_submit_waits_for_the_broker_unless_told_otherwise(house: House) -> None:
    house.engine.broker_answers.clear()
    waiting = asyncio.ensure_future(house.orders.SubmitOrder(order_request()))
    durable = await house.orders.SubmitOrder(order_request(wait=pb.SUBMIT_WAIT_JOURNAL))
    assert durable.order.status == opb.ORDER_STATUS_CREATED
    assert not waiting.done()
    house.engine.broker_answers.set()
    assert (await waiting).order.status == opb.ORDER_STATUS_ACCEPTED
    waits = [about[1] for call, about in house.engine.asked if call == "submit" and isinstance(about, tuple)]
    assert sorted(waits) == [Wait.BROKER, Wait.JOURNAL]


async def test_the_state_reached_is_answered_before_the_deadline(house: House) -> None:
    house.engine.broker_answers.clear()
    answer = await house.orders.SubmitOrder(order_request(), timeout=1.0)
    assert answer.order.status == opb.ORDER_STATUS_CREATED


@pytest.mark.parametrize(("deadline_s", "least", "most"), [(None, 5.0, 5.0), (60.0, 5.0, 5.0), (2.0, 1.0, 1.9)])
async def test_the_wait_fits_into_the_deadline(
    house: House, deadline_s: float | None, least: float, most: float
) -> None:
    await house.orders.SubmitOrder(order_request(), timeout=deadline_s)
    ((_, about),) = house.engine.asked
    assert isinstance(about, tuple)
    assert least <= about[2] <= most


async def test_a_caller_that_leaves_takes_nothing_with_it(house: House) -> None:
    house.engine.broker_answers.clear()
    request = order_request()
    call = house.orders.SubmitOrder(request)
    stream = house.stream(after_sequence=0)
    await stream.until(1)
    call.cancel()
    house.engine.broker_answers.set()
    assert (await house.orders.SubmitOrder(request)).replayed


async def test_without_a_key_one_is_derived_from_what_the_caller_said(house: House) -> None:
    request = order_request(client_order_id="", trace_id="t-1")
    first = await house.orders.SubmitOrder(request)
    again = await house.orders.SubmitOrder(request)
    assert first.order.client_order_id.startswith("t-")
    assert (again.order.order_id, again.replayed) == (first.order.order_id, True)


async def test_neither_key_nor_anything_to_derive_one_from(house: House) -> None:
    error = await refused(house.orders.SubmitOrder(order_request(client_order_id="")))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "KEY_REQUIRED")
    assert error.fields == ["client_order_id"]
    assert nothing_recorded(house)


async def test_all_problems_are_named_at_once(house: House) -> None:
    request = order_request(
        symbol="apple", quantity="1e3", notional="5", type=opb.ORDER_TYPE_MARKET, time_in_force=99, trace_id="t" * 129
    )
    error = await refused(house.orders.SubmitOrder(request))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert sorted(error.fields) == ["limit_price", "notional", "quantity", "symbol", "time_in_force", "trace_id"]
    assert nothing_recorded(house)


async def test_more_problems_than_a_header_holds_still_get_through(house: House) -> None:
    error = await refused(house.orders.SubmitOrder(order_request(tags={f"k{n}": "\n" for n in range(32)})))
    assert error.reason == "INVALID_FIELDS"
    assert error.fields[0] == 'tags["k0"]'
    assert len(error.fields) > 10
    assert nothing_recorded(house)


async def test_several_accounts_need_a_name(two_accounts: House) -> None:
    error = await refused(two_accounts.orders.SubmitOrder(order_request()))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ACCOUNT_REQUIRED")
    assert error.fields == ["account_id"]
    assert nothing_recorded(two_accounts)


async def test_an_unknown_account(house: House) -> None:
    error = await refused(house.orders.SubmitOrder(order_request(account_id="nobody")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert error.resource == ("orderd.Account", "nobody")
    assert nothing_recorded(house)


async def test_a_key_is_of_one_account(two_accounts: House) -> None:
    request = order_request(account_id="paper")
    ours = await two_accounts.orders.SubmitOrder(request)
    request.account_id = "other"
    theirs = await two_accounts.orders.SubmitOrder(request)
    assert not theirs.replayed
    assert theirs.order.order_id != ours.order.order_id


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        (Kind.EXHAUSTED, "QUEUE_FULL", grpc.StatusCode.RESOURCE_EXHAUSTED),
        (Kind.UNAVAILABLE, "ACCOUNT_RECOVERING", grpc.StatusCode.UNAVAILABLE),
        (Kind.UNAVAILABLE, "DISK_LOW", grpc.StatusCode.UNAVAILABLE),
    ],
)
async def test_a_refusal_that_passes_says_when_to_come_back(
    house: House, kind: Kind, reason: str, code: grpc.StatusCode
) -> None:
    house.engine.errors["submit"] = EngineError(kind, reason, "later", retry_after_s=2.5)
    error = await refused(house.orders.SubmitOrder(order_request()))
    assert (error.code, error.reason, error.retry_s) == (code, reason, 2.5)
    assert house.engine.journal.head == 0


# ------------------------------------------------------------------------------------------------------------- batch


async def test_each_order_of_a_batch_stands_alone_and_in_its_place(house: House) -> None:
    good, bad, stray = order_request(), order_request(quantity="-1", side=0), order_request(account_id="nobody")
    reused = order_request(client_order_id=good.client_order_id, quantity="11")
    request = pb.BatchSubmitOrdersRequest(requests=[good, bad, stray, order_request(), good])
    answer = await house.orders.BatchSubmitOrders(request)
    first, second, third, fourth, fifth = answer.results
    assert first.response.order.client_order_id == good.client_order_id
    assert second.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert second.error.reason == error_pb2.ERROR_REASON_INVALID_FIELDS
    assert sorted(violation.field for violation in second.error.field_violations) == ["quantity", "side"]
    assert third.error.reason == error_pb2.ERROR_REASON_ACCOUNT_NOT_FOUND
    assert fourth.response.order.order_id
    assert fifth.WhichOneof("outcome")
    (other,) = (await house.orders.BatchSubmitOrders(pb.BatchSubmitOrdersRequest(requests=[reused]))).results
    assert other.error.reason == error_pb2.ERROR_REASON_CLIENT_ORDER_ID_REUSED
    assert other.error.metadata["order_id"] == first.response.order.order_id


async def test_a_batch_answers_when_it_is_durable(house: House) -> None:
    house.engine.broker_answers.clear()
    request = pb.BatchSubmitOrdersRequest(requests=[order_request(wait=pb.SUBMIT_WAIT_BROKER) for _ in range(3)])
    answer = await house.orders.BatchSubmitOrders(request)
    assert [result.response.order.status for result in answer.results] == [opb.ORDER_STATUS_CREATED] * 3
    house.engine.broker_answers.set()
    request = pb.BatchSubmitOrdersRequest(requests=[order_request()], wait=pb.SUBMIT_WAIT_BROKER)
    answer = await house.orders.BatchSubmitOrders(request)
    assert answer.results[0].response.order.status == opb.ORDER_STATUS_ACCEPTED


async def test_a_batch_reaches_the_engine_in_order_before_any_of_it_is_durable(house: House) -> None:
    heads: list[int] = []
    house.engine.before_submit = lambda: heads.append(house.engine.journal.head)
    orders = await house.add(100)
    assert heads == [0] * 100
    assert [order.sequence for order in orders] == list(range(1, 101))


async def test_a_defect_in_one_order_is_that_orders_answer(house: House) -> None:
    def stumble() -> None:
        if len(house.engine.asked) == 2:
            raise ZeroDivisionError("secret text")

    house.engine.before_submit = stumble
    request = pb.BatchSubmitOrdersRequest(requests=[order_request() for _ in range(3)])
    answer = await house.orders.BatchSubmitOrders(request)
    assert [result.WhichOneof("outcome") for result in answer.results] == ["response", "error", "response"]
    assert answer.results[1].error.reason == error_pb2.ERROR_REASON_INTERNAL
    assert answer.results[1].error.metadata["error_id"] in answer.results[1].error.message
    assert "secret" not in str(answer)


@pytest.mark.parametrize("count", [0, 501])
async def test_a_batch_has_its_bounds(house: House, count: int) -> None:
    request = pb.BatchSubmitOrdersRequest(requests=[order_request() for _ in range(count)])
    error = await refused(house.orders.BatchSubmitOrders(request))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["requests"])
    assert nothing_recorded(house)


async def test_a_batch_whose_answer_would_be_too_long_comes_without_tags(house: House) -> None:
    tags = {f"k{n}": "v" * 256 for n in range(32)}
    keys = [order.client_order_id for _ in range(5) for order in await house.add(100, tags=tags)]
    replays = pb.BatchSubmitOrdersRequest(requests=[order_request(client_order_id=key) for key in keys])
    answer = await house.orders.BatchSubmitOrders(replays)
    assert [result.response.order.client_order_id for result in answer.results] == keys
    assert all(result.response.replayed for result in answer.results)
    assert not answer.results[0].response.order.tags


async def test_an_order_that_must_wait_says_so_within_a_batch(house: House) -> None:
    house.engine.errors["submit"] = EngineError(Kind.EXHAUSTED, "QUEUE_FULL", "later", retry_after_s=2.5)
    answer = await house.orders.BatchSubmitOrders(pb.BatchSubmitOrdersRequest(requests=[order_request()]))
    error = answer.results[0].error
    assert error.reason == error_pb2.ERROR_REASON_QUEUE_FULL
    assert error.metadata["retry_after_ms"] == "2500"
