"""A key is bound to its order for ever: whatever became of it, however often and whenever the same is said again."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.errors import EngineError, Kind
from orderd.venue.dialect import DuplicateIds, Lookup
from orderd.venue.faults import FaultKind
from orderd.venue.orders import Status
from tests.ambiguity.desk import Desk, trade
from tests.ambiguity.verdicts import Broker
from tests.reach import Reached

TIMES = 100
TEN_YEARS = timedelta(days=3653)
LOST = {"kind": FaultKind.LOSE_REQUEST, "method": "POST"}
REFUSED = {
    "kind": FaultKind.ANSWER_STATUS,
    "method": "POST",
    "status": 403,
    "body": "text",
    "text": '{"code":40310000,"message":"insufficient buying power"}',
    "is_accepted": False,
}


class Fate(NamedTuple):
    """What is to become of the order, and how."""

    state: str
    fields: Mapping[str, Any] = {"limit_price": "50"}
    fault: Mapping[str, Any] = {}
    end: Status | None = None
    duplicate_ids: DuplicateIds = DuplicateIds.FOR_EVER
    lookup: Lookup = Lookup.YES
    sent: int = 1

    def __str__(self) -> str:
        """For the name of a test."""
        return self.state


FATES = (
    Fate("FILLED", fields={}),
    Fate("ACCEPTED"),
    Fate("CANCELED", end=Status.CANCELED),
    Fate("EXPIRED", end=Status.EXPIRED),
    Fate("REJECTED", fault=REFUSED),
    Fate("DENIED", fields={"quantity": "0.5", "limit_price": "50", "time_in_force": opb.TIME_IN_FORCE_GTC}, sent=0),
    Fate("SUBMIT_FAILED", fault=LOST, duplicate_ids=DuplicateIds.NEVER),
    Fate("UNKNOWN", fault=LOST, lookup=Lookup.NO),
)
OTHER_CONTENT: tuple[dict[str, Any], ...] = (
    {"quantity": "2"},
    {"symbol": "F"},
    {"side": opb.SIDE_SELL},
    {"limit_price": "49"},
    {"type": opb.ORDER_TYPE_STOP, "limit_price": "", "stop_price": "99"},
    {"time_in_force": opb.TIME_IN_FORCE_IOC},
    {"extended_hours": True, "limit_price": "48"},
    {"decision_id": "another"},
)


async def say(desk: Desk, order_id: str, fields: Mapping[str, Any]) -> int:
    """Say it many times at once; how often it was new. Every answer is about this order."""
    answers = await asyncio.gather(*(desk.submit(**fields) for _ in range(TIMES)))
    assert {answered for answered, _ in answers} <= ({order_id} if order_id else {answers[0][0]})
    return sum(not is_replay for _, is_replay in answers)


async def say_otherwise(desk: Desk, fields: Mapping[str, Any]) -> None:
    """Other content under the same key is an error, and says what differs."""
    for other in OTHER_CONTENT:
        with pytest.raises(EngineError) as refused:
            await desk.submit(**{**fields, **other})
        assert (refused.value.kind, refused.value.reason) == (Kind.ALREADY_EXISTS, "CLIENT_ORDER_ID_REUSED"), other


@pytest.mark.parametrize("fate", FATES, ids=str)
def test_a_key_names_one_order_for_ever(fate: Fate, reached: Reached) -> None:
    async def day(desk: Desk) -> None:
        fields = {"client_order_id": "the-key", "quantity": "1", **fate.fields}
        if fate.fault:
            desk.arm(**fate.fault)
        assert await say(desk, "", fields) == 1
        (order,) = desk.orders()
        await asyncio.sleep(3)
        if fate.end is not None:
            desk.face.venue.end("the-key", fate.end)
            await asyncio.sleep(1)
        for moment in ("now", "after a kill", "ten years later"):
            if moment == "after a kill":
                await desk.restart()
            elif moment == "ten years later":
                desk.clock.skew = TEN_YEARS
            assert await say(desk, order.order_id, fields) == 0, moment
            await say_otherwise(desk, fields)
            assert desk.state(order.order_id) == fate.state, moment
        assert len(desk.orders()) == 1
        assert desk.sent("the-key") == fate.sent

    broker = Broker(fate.duplicate_ids, fate.lookup, has_execution_ids=True)
    trade(broker, day)
    reached("P11", "calls with one key, before and after its order's end, a kill and ten years: one order", 4 * TIMES)
    reached("P11", "calls with other content under the same key: refused", 3 * len(OTHER_CONTENT))
