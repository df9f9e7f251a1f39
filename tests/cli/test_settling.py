"""What differs, and an operator's word on it, as commands."""

import grpc
import pytest

from oms.v1 import account_service_pb2 as accounts_pb
from oms.v1 import broker_service_pb2 as broker_pb
from tests.cli.conftest import Run
from tests.client.fake import Fake, Refusal, account, order


def test_what_differs_is_listed_and_settled_by_a_named_person(run: Run, fake: Fake) -> None:
    fake.answer("ListDiscrepancies", broker_pb.ListDiscrepanciesResponse())
    fake.answer("ResolveDiscrepancy", broker_pb.ResolveDiscrepancyResponse())
    flags = ["--kind", "overfill", "--kind", "REVIVED", "--symbol", "aapl", "--order-id", "o-1", "--limit", "5"]
    assert run("broker", "discrepancies", "paper", *flags).code == 0
    assert fake.asked["ListDiscrepancies"].pop() == broker_pb.ListDiscrepanciesRequest(
        account_ids=["paper"], kinds=["DISCREPANCY_KIND_OVERFILL", "DISCREPANCY_KIND_REVIVED"], symbols=["AAPL"],
        order_ids=["o-1"], open_only=True, page_size=5,
    )  # fmt: skip
    assert run("broker", "discrepancies", "--all").code == 0
    assert fake.asked["ListDiscrepancies"].pop() == broker_pb.ListDiscrepanciesRequest(page_size=50)
    assert run("broker", "resolve", "d-1", "--reason", "counted", "--operator-name", "ann").code == 0
    assert fake.asked["ResolveDiscrepancy"].pop() == broker_pb.ResolveDiscrepancyRequest(
        discrepancy_id="d-1", reason="counted", operator_name="ann"
    )


def test_an_order_is_settled_by_a_named_person(run: Run, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.answer("ResolveOrder", broker_pb.ResolveOrderResponse(order=order()))
    fake.answer("ListAccounts", accounts_pb.ListAccountsResponse(accounts=[account()]))
    monkeypatch.setenv("LOGNAME", "bob")
    ended = ["--status", "filled", "--filled-quantity", "10", "--average-fill-price", "99.5"]
    words = ["--reason", "they filled it", "--evidence", "statement", "--expected-version", "3"]
    assert run("order", "resolve", "o-1", "--resolution", "ended", *ended, *words).code == 0
    assert fake.asked["ResolveOrder"].pop() == broker_pb.ResolveOrderRequest(
        order_id="o-1", resolution="ORDER_RESOLUTION_ENDED", status="ORDER_STATUS_FILLED", filled_quantity="10",
        average_fill_price="99.5", expected_version=3, reason="they filled it", evidence="statement",
        operator_name="bob",
    )  # fmt: skip
    adopt = ["--client-order-id", "k-1", "--resolution", "ADOPT", "--broker-order-id", "b-1"]
    assert run("order", "resolve", *adopt, "--reason", "r", "--evidence", "e", "--operator-name", "ann").code == 0
    assert fake.asked["ResolveOrder"].pop() == broker_pb.ResolveOrderRequest(
        client_order_id="k-1", resolution="ORDER_RESOLUTION_ADOPT", broker_order_id="b-1", reason="r", evidence="e",
        operator_name="ann",
    )  # fmt: skip
    busted = ["order", "resolve", "o-1", "--resolution", "busted", "--execution-id", "e-1"]
    fake.answer("ResolveOrder", Refusal(grpc.StatusCode.FAILED_PRECONDITION, "RESOLUTION_CONTRADICTED", "no"))
    ran = run(*busted, "--reason", "r", "--evidence", "e")
    assert (ran.code, "RESOLUTION_CONTRADICTED" in ran.err) == (8, True)
