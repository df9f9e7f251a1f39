"""What is held, as a command: what it asks for and what it prints."""

import json

import pytest

from oms.v1 import position_service_pb2 as pb
from tests.cli.conftest import Run
from tests.client.fake import Fake


@pytest.fixture(autouse=True)
def _answers(fake: Fake) -> None:
    held = pb.Position(position_id="p-1", symbol="KO", fill_quantity="10", broker_quantity="9", discrepancy_id="d-1")
    fake.answer("ListPositions", pb.ListPositionsResponse(positions=[held, held]))
    fake.answer("GetPosition", pb.GetPositionResponse(position=held, sequence=7))


def test_a_list_asks_for_what_the_flags_say(run: Run, fake: Fake) -> None:
    ran = run(
        "position", "list", "paper", "--symbol", "ko", "--underlying", "aapl", "--strategy", "a", "--closed",
        "--expiry-date-from", "2026-01-05", "--expiry-date-to", "2026-02-05", "--limit", "1", "-o", "json",
    )  # fmt: skip
    assert [each["positionId"] for each in json.loads(ran.out)] == ["p-1"]
    assert fake.asked["ListPositions"].pop() == pb.ListPositionsRequest(
        account_ids=["paper"], symbols=["KO"], underlyings=["AAPL"], strategies=["a"], include_closed=True,
        expires_on_or_after="2026-01-05", expires_on_or_before="2026-02-05", page_size=1,
    )  # fmt: skip
    table = run("position", "list", "-o", "table").out
    assert "fillQuantity" in table
    assert "d-1" in table
    assert fake.asked["ListPositions"].pop() == pb.ListPositionsRequest(page_size=50)


def test_one_by_its_symbol(run: Run, fake: Fake) -> None:
    assert json.loads(run("position", "get", "ko", "paper").out)["brokerQuantity"] == "9"
    assert fake.asked["GetPosition"].pop() == pb.GetPositionRequest(account_id="paper", symbol="KO")
