"""CancelOrder, CancelAllOrders, ReplaceOrder, PreviewOrder."""

from decimal import Decimal

import grpc
import pytest

from oms.v1 import error_pb2
from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from orderd.core.assets import Asset
from orderd.core.values import Reason
from orderd.engine.api import CancelAllAsk, CancelResult, OrderRef, Preview, ReplaceAsk, Wait
from orderd.engine.errors import EngineError, Kind
from tests.server.conftest import House, order_request, refused


def asked(house: House, call: str) -> list[object]:
    """What the engine was asked by this call."""
    return [about for name, about in house.engine.asked if name == call]


# ------------------------------------------------------------------------------------------------------------ cancel


async def test_a_cancel_answers_the_order(house: House) -> None:
    (order,) = await house.add(1)
    answer = await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id, reason="enough"))
    assert answer.order.order_id == order.order_id
    assert answer.order.version > order.version
    ((ref, reason, wait, timeout_s),) = asked(house, "cancel")
    assert (ref, reason, wait, timeout_s) == (OrderRef(order_id=order.order_id), "enough", Wait.BROKER, 5.0)


async def test_a_cancel_by_key_in_the_only_account(house: House) -> None:
    (order,) = await house.add(1)
    request = pb.CancelOrderRequest(client_order_id=order.client_order_id, wait=pb.SUBMIT_WAIT_JOURNAL)
    await house.orders.CancelOrder(request)
    ((ref, _, wait, _),) = asked(house, "cancel")
    assert ref == OrderRef(client_order_id=order.client_order_id, account_id="paper")
    assert wait is Wait.JOURNAL


async def test_an_ended_order_comes_with_the_refusal(house: House) -> None:
    (order,) = await house.add(1)
    house.engine.errors["cancel"] = EngineError(
        Kind.FAILED_PRECONDITION,
        "ORDER_ENDED",
        "it is FILLED",
        subject=("orderd.Order", order.order_id),
        order_data=house.engine.journal.order_data(order.order_id),
    )
    error = await refused(house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id)))
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ORDER_ENDED")
    assert error.precondition == "ORDER_ENDED"
    assert error.order == order


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.CancelOrderRequest(), ["order_id"]),
        (pb.CancelOrderRequest(order_id="a", client_order_id="b"), ["client_order_id"]),
        (pb.CancelOrderRequest(client_order_id="a b", reason="r" * 513, wait=9), ["client_order_id", "reason", "wait"]),
        (pb.CancelOrderRequest(order_id="o" * 129), ["order_id"]),
    ],
)
async def test_a_cancel_that_says_too_little_or_too_much(
    house: House, request_: pb.CancelOrderRequest, fields: list[str]
) -> None:
    error = await refused(house.orders.CancelOrder(request_))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert sorted(error.fields) == fields
    assert house.engine.asked == []


async def test_unknown_orders_cannot_be_canceled(house: House) -> None:
    for request in (pb.CancelOrderRequest(order_id="nobody"), pb.CancelOrderRequest(client_order_id="nobody")):
        error = await refused(house.orders.CancelOrder(request))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
        assert error.resource == ("orderd.Order", "nobody")


async def test_an_order_of_another_account_is_unknown(two_accounts: House) -> None:
    (order,) = await two_accounts.add(1, account_id="paper")
    for name in ({"order_id": order.order_id}, {"client_order_id": order.client_order_id}):
        error = await refused(two_accounts.orders.CancelOrder(pb.CancelOrderRequest(account_id="other", **name)))
        assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")
    stands = await two_accounts.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    assert stands.order == order


async def test_a_key_needs_its_account_when_there_are_several(two_accounts: House) -> None:
    error = await refused(two_accounts.orders.CancelOrder(pb.CancelOrderRequest(client_order_id="k")))
    assert (error.reason, error.fields) == ("ACCOUNT_REQUIRED", ["account_id"])
    error = await refused(
        two_accounts.orders.CancelOrder(pb.CancelOrderRequest(client_order_id="k", account_id="nobody"))
    )
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


# -------------------------------------------------------------------------------------------------------- cancel all


async def test_cancel_all_answers_order_by_order(house: House) -> None:
    house.engine.cancel_results = [
        CancelResult(order_id="a"),
        CancelResult(order_id="b", error_reason="ORDER_ENDED"),
        CancelResult(order_id="c", error_reason="A_WORD_OF_NOBODY"),
    ]
    answer = await house.orders.CancelAllOrders(
        pb.CancelAllOrdersRequest(symbols=["AAPL", "AAPL"], include_protective=True, reason="the end")
    )
    assert [(result.order_id, result.error_reason) for result in answer.results] == [
        ("a", error_pb2.ERROR_REASON_UNSPECIFIED),
        ("b", error_pb2.ERROR_REASON_ORDER_ENDED),
        ("c", error_pb2.ERROR_REASON_INTERNAL),
    ]
    assert asked(house, "cancel_all") == [
        CancelAllAsk(account_id="paper", symbols=("AAPL",), include_protective=True, reason="the end")
    ]


async def test_cancel_all_never_guesses_the_account(two_accounts: House) -> None:
    error = await refused(two_accounts.orders.CancelAllOrders(pb.CancelAllOrdersRequest()))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "ACCOUNT_REQUIRED")
    error = await refused(two_accounts.orders.CancelAllOrders(pb.CancelAllOrdersRequest(account_id="nobody")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    request = pb.CancelAllOrdersRequest(account_id="other", symbols=[""], reason="\n")
    error = await refused(two_accounts.orders.CancelAllOrders(request))
    assert sorted(error.fields) == ["reason", "symbols[0]"]
    assert two_accounts.engine.asked == []


# ----------------------------------------------------------------------------------------------------------- replace


async def test_a_replace_passes_on_what_is_new_and_nothing_else(house: House) -> None:
    (order,) = await house.add(1)
    answer = await house.orders.ReplaceOrder(
        pb.ReplaceOrderRequest(
            order_id=order.order_id, request_id="r-1", limit_price="101.50", expected_version=1, reason="up"
        )
    )
    assert answer.order.order_id == order.order_id
    ((ref, ask, _),) = asked(house, "replace")
    assert ref == OrderRef(order_id=order.order_id)
    assert ask == ReplaceAsk(request_id="r-1", limit_price=Decimal("101.50"), expected_version=1, reason="up")


@pytest.mark.parametrize(
    ("terms", "fields"),
    [
        ({}, ["request_id"]),
        (
            {"request_id": "a b", "quantity": "0", "expected_version": -1},
            ["expected_version", "quantity", "request_id"],
        ),
        ({"request_id": "r", "stop_price": "90"}, ["stop_price"]),
        ({"request_id": "r", "trail": "1", "limit_price": "-1"}, ["limit_price", "trail"]),
        ({"request_id": "r", "time_in_force": 99}, ["time_in_force"]),
    ],
)
async def test_terms_that_a_limit_order_cannot_have(house: House, terms: dict[str, object], fields: list[str]) -> None:
    (order,) = await house.add(1)
    error = await refused(house.orders.ReplaceOrder(pb.ReplaceOrderRequest(order_id=order.order_id, **terms)))
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    assert sorted(error.fields) == fields
    assert asked(house, "replace") == []


@pytest.mark.parametrize(
    ("kind", "reason", "code"),
    [
        (Kind.ABORTED, "VERSION_CONFLICT", grpc.StatusCode.ABORTED),
        (Kind.ALREADY_EXISTS, "REQUEST_ID_REUSED", grpc.StatusCode.ALREADY_EXISTS),
        (Kind.FAILED_PRECONDITION, "QUANTITY_NOT_ABOVE_FILLED", grpc.StatusCode.FAILED_PRECONDITION),
        (Kind.FAILED_PRECONDITION, "ORDER_PENDING_REPLACE", grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
async def test_the_engines_refusals_of_a_replace(house: House, kind: Kind, reason: str, code: grpc.StatusCode) -> None:
    (order,) = await house.add(1)
    house.engine.errors["replace"] = EngineError(kind, reason, "no", subject=("orderd.Order", order.order_id))
    error = await refused(house.orders.ReplaceOrder(pb.ReplaceOrderRequest(order_id=order.order_id, request_id="r")))
    assert (error.code, error.reason) == (code, reason)


async def test_an_unknown_order_cannot_be_replaced(house: House) -> None:
    error = await refused(house.orders.ReplaceOrder(pb.ReplaceOrderRequest(order_id="nobody", request_id="r")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ORDER_NOT_FOUND")


# ----------------------------------------------------------------------------------------------------------- preview


async def test_a_preview_tells_and_records_nothing(house: House) -> None:
    house.engine.preview_answer = Preview(
        valid=False,
        denial=Reason(code="MAX_NOTIONAL", message="over 500"),
        complaint="no fractions here",
        estimated_cost=Decimal("1000.00"),
        broker_request=b'{"symbol": "AAPL"}',
        asset=Asset(symbol="AAPL", is_tradable=True, is_fractionable=False, quantity_step=Decimal("1.0")),
    )
    request = order_request(client_order_id="", trace_id="t")
    answer = await house.orders.PreviewOrder(pb.PreviewOrderRequest(order=request))
    assert not answer.valid
    assert (answer.risk_verdict.allowed, answer.risk_verdict.code) == (False, "MAX_NOTIONAL")
    assert answer.estimated_cost == "1000"
    assert answer.broker_request == '{"symbol": "AAPL"}'
    assert [violation.description for violation in answer.field_violations] == ["no fractions here"]
    assert answer.client_order_id.startswith("t-")
    known = answer.instrument
    assert (known.symbol, known.tradable, known.fractionable, known.quantity_step) == ("AAPL", True, False, "1")
    assert (known.HasField("shortable"), known.minimum_quantity, known.price_step) == (False, "", "")
    assert house.engine.journal.head == 0


async def test_a_preview_that_would_pass(house: House) -> None:
    answer = await house.orders.PreviewOrder(pb.PreviewOrderRequest(order=order_request()))
    assert (answer.valid, answer.risk_verdict.allowed) == (True, True)
    assert (answer.risk_verdict.code, answer.estimated_cost, len(answer.field_violations)) == ("", "", 0)
    assert not answer.HasField("instrument")


async def test_a_malformed_order_is_what_a_preview_is_for(house: House) -> None:
    answer = await house.orders.PreviewOrder(pb.PreviewOrderRequest(order=order_request(side=0, quantity="x")))
    assert not answer.valid
    assert not answer.HasField("risk_verdict")
    assert sorted(violation.field for violation in answer.field_violations) == ["order.quantity", "order.side"]
    assert house.engine.asked == []


async def test_a_preview_of_nothing_or_for_nobody(house: House) -> None:
    error = await refused(house.orders.PreviewOrder(pb.PreviewOrderRequest()))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, ["order"])
    error = await refused(house.orders.PreviewOrder(pb.PreviewOrderRequest(order=order_request(account_id="nobody"))))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")


async def test_a_canceled_order_stays_readable(house: House) -> None:
    (order,) = await house.add(1)
    await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id))
    answer = await house.orders.GetOrder(pb.GetOrderRequest(order_id=order.order_id))
    assert answer.order.pending_cancel or answer.order.status == opb.ORDER_STATUS_CANCELED
