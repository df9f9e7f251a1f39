"""Cancel, cancel all, replace and resume: what passes, and every field that does not."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_pb2 as pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.order import OrderClass, OrderType, Terms, TimeInForce
from orderd.wire.asks import CancelAllAsk, CancelAsk, OrderName, ReplaceAsk, ResumeAsk
from orderd.wire.enums import WaitFor
from orderd.wire.validate_changes import cancel_all_ask, cancel_ask, replace_ask, resume_ask, unsuited
from tests.wire import samples
from tests.wire.samples import fields_of


def replacing(**changes: Any) -> service_pb.ReplaceOrderRequest:  # noqa: ANN401 - any field of the message
    return service_pb.ReplaceOrderRequest(**({"order_id": "o-1", "request_id": "r-1"} | changes))


def asked(**changes: Any) -> ReplaceAsk:  # noqa: ANN401 - any field of the message
    ask = replace_ask(replacing(**changes))
    assert isinstance(ask, ReplaceAsk), ask
    return ask


def test_a_cancel() -> None:
    request = service_pb.CancelOrderRequest(
        client_order_id="bot-1", account_id="paper", reason="enough", wait=service_pb.SUBMIT_WAIT_JOURNAL
    )
    assert cancel_ask(request) == CancelAsk(
        order=OrderName(client_order_id="bot-1", account_id="paper"), reason="enough", wait=WaitFor.JOURNAL
    )


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({}, ["order_id"]),
        ({"order_id": "o", "client_order_id": "c"}, ["client_order_id"]),
        ({"order_id": "o" * 129}, ["order_id"]),
        ({"order_id": "o\n"}, ["order_id"]),
        ({"client_order_id": "c c"}, ["client_order_id"]),
        ({"order_id": "o", "reason": "r" * 513}, ["reason"]),
        ({"order_id": "o", "reason": "two\nlines"}, ["reason"]),
        ({"order_id": "o", "account_id": "a\x00"}, ["account_id"]),
        ({"order_id": "o", "wait": 99}, ["wait"]),
        ({"account_id": "\x00", "reason": "\x00", "wait": 9}, ["order_id", "account_id", "reason", "wait"]),
    ],
)
def test_a_cancel_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(cancel_ask(service_pb.CancelOrderRequest(**given))) == fields


def test_a_cancel_of_all() -> None:
    request = service_pb.CancelAllOrdersRequest(
        account_id="paper", symbols=["AAPL", "BTC/USD", "AAPL"], include_protective=True, reason="r" * 512
    )
    assert cancel_all_ask(request) == CancelAllAsk(
        account_id="paper",
        symbols=("AAPL", "BTC/USD"),
        include_protective=True,
        include_external=False,
        reason="r" * 512,
    )


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"symbols": [""]}, ["symbols[0]"]),
        ({"symbols": ["AAPL", "A" * 33]}, ["symbols[1]"]),
        ({"symbols": ["A"] * 501}, ["symbols"]),
        ({"account_id": "a" * 129}, ["account_id"]),
        ({"reason": "\x1b[31m"}, ["reason"]),
    ],
)
def test_a_cancel_of_all_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(cancel_all_ask(service_pb.CancelAllOrdersRequest(**given))) == fields


def test_a_replace() -> None:
    ask = asked(
        account_id="paper",
        quantity="12.50",
        limit_price="151",
        stop_price="149",
        trail="1.5",
        time_in_force=pb.TIME_IN_FORCE_GTC,
        expected_version=3,
        reason="better",
    )
    assert ask == ReplaceAsk(
        order=OrderName(order_id="o-1", account_id="paper"),
        request_id="r-1",
        quantity=Decimal("12.5"),
        limit_price=Decimal(151),
        stop_price=Decimal(149),
        trail=Decimal("1.5"),
        time_in_force=TimeInForce.GTC,
        expected_version=3,
        reason="better",
    )


def test_a_replace_that_keeps_everything() -> None:
    ask = asked()
    assert (ask.quantity, ask.limit_price, ask.stop_price, ask.trail, ask.time_in_force) == (None,) * 5


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"request_id": ""}, ["request_id"]),
        ({"request_id": "r r"}, ["request_id"]),
        ({"request_id": "r" * 129}, ["request_id"]),
        ({"order_id": ""}, ["order_id"]),
        ({"client_order_id": "c"}, ["client_order_id"]),
        ({"quantity": "0"}, ["quantity"]),
        ({"quantity": "-1"}, ["quantity"]),
        ({"quantity": "NaN"}, ["quantity"]),
        ({"limit_price": "1e3"}, ["limit_price"]),
        ({"stop_price": "-1"}, ["stop_price"]),
        ({"trail": "0"}, ["trail"]),
        ({"time_in_force": 99}, ["time_in_force"]),
        ({"expected_version": -1}, ["expected_version"]),
        ({"reason": "r" * 513}, ["reason"]),
        ({"quantity": "x", "limit_price": "x", "stop_price": "x", "trail": "x"},
         ["quantity", "limit_price", "stop_price", "trail"]),
    ],
)  # fmt: skip
def test_a_replace_that_is_not_in_order(given: dict[str, Any], fields: list[str]) -> None:
    assert fields_of(replace_ask(replacing(**given))) == fields


def terms(kind: OrderType, **changes: Any) -> Terms:  # noqa: ANN401 - any field of the value
    return Terms(**({"type": kind, "time_in_force": TimeInForce.DAY, "quantity": Decimal(1)} | changes))


@pytest.mark.parametrize(
    ("kind", "suiting"),
    [
        (OrderType.MARKET, set[str]()),
        (OrderType.LIMIT, {"limit_price"}),
        (OrderType.STOP, {"stop_price"}),
        (OrderType.STOP_LIMIT, {"limit_price", "stop_price"}),
        (OrderType.TRAILING_STOP, {"trail"}),
    ],
)
def test_terms_that_an_order_of_this_type_does_not_have(kind: OrderType, suiting: set[str]) -> None:
    order = samples.order(terms=terms(kind))
    for name in ("limit_price", "stop_price", "trail"):
        answer = unsuited(asked(**{name: "2"}), order)
        assert (answer is None) if name in suiting else fields_of(answer) == [name]
    assert unsuited(asked(quantity="2", time_in_force=pb.TIME_IN_FORCE_GTC), order) is None


def test_a_credit_suits_only_a_multileg_order() -> None:
    order = samples.order(terms=terms(OrderType.LIMIT))
    for price in ("-1", "0"):
        assert fields_of(unsuited(asked(limit_price=price), order)) == ["limit_price"]
        spread = msgspec.structs.replace(order, intent=samples.intent(order_class=OrderClass.MULTILEG))
        assert unsuited(asked(limit_price=price), spread) is None


def test_a_quantity_does_not_suit_a_notional_order() -> None:
    order = samples.order(terms=terms(OrderType.MARKET, quantity=None, notional=Decimal(100)))
    assert fields_of(unsuited(asked(quantity="2"), order)) == ["quantity"]


def test_a_resume_needs_a_reason() -> None:
    assert resume_ask(broker_pb.ResumeAccountRequest(account_id="paper", reason="checked")) == ResumeAsk(
        account_id="paper", reason="checked"
    )
    for reason in ("", "   ", "r" * 513, "a\nb"):
        assert fields_of(resume_ask(broker_pb.ResumeAccountRequest(reason=reason))) == ["reason"]
