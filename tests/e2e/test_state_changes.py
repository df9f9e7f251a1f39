"""A part of the order state change tables (tests/fix/table.py) over real sockets: what a venue is told from outside.

All of them are played in virtual time; here the same rows go through processes, HTTP, WebSocket and gRPC.
"""

import asyncio
from typing import TYPE_CHECKING

import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.harness import House
from tests.fix.stage import row_of
from tests.fix.steps import Act, Row, Scenario, Step
from tests.fix.table import SCENARIOS
from tests.reach import Reached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE_S = 15
NEVER_MS = 3_600_000
FROM_OUTSIDE = frozenset(
    {
        Act.WORKS,
        Act.FILLS,
        Act.CANCELS,
        Act.EXPIRES,
        Act.REJECTS,
        Act.SAYS,
        Act.BUSTS,
        Act.CORRECTS,
        Act.ASKS_CANCEL,
        Act.SUBMITS_AGAIN,
    }
)
PLAYED = [s for s in SCENARIOS if {row.step.act for row in s.rows} <= FROM_OUTSIDE and not s.notional]


class Player:
    """One scenario in a house."""

    def __init__(self, house: House, scenario: Scenario) -> None:
        """The order is named after it."""
        self.house = house
        self.name = f"fix-{scenario.name.replace('.', '-')}"
        tif = opb.TimeInForce.Value(f"TIME_IN_FORCE_{scenario.time_in_force}")
        self.wanted = {"client_order_id": self.name, "quantity": "10", "limit_price": "20", "time_in_force": tif}
        self.executions: list[str] = []
        self.order_id = ""

    async def begin(self) -> None:
        """Submit the order."""
        self.order_id = (await self.house.submit(**self.wanted)).order_id

    async def reach(self, row: Row) -> Row:
        """The order as a row once it is as the table says, or as it stands when patience ends."""
        seen = row_of(await self.house.get(self.order_id), row.step)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while seen != row:
                    await asyncio.sleep(0.02)
                    seen = row_of(await self.house.get(self.order_id), row.step)
        except TimeoutError:
            pass
        return seen

    async def act(self, step: Step) -> None:
        """Do what the step says."""
        acts: dict[Act, Callable[[Step], Awaitable[object]]] = {
            Act.WORKS: self._nothing,
            Act.FILLS: self._fill,
            Act.CANCELS: lambda _: self._call("end", status="canceled"),
            Act.EXPIRES: lambda _: self._call("end", status="expired"),
            Act.REJECTS: lambda _: self._call("end", status="rejected"),
            Act.SAYS: self._say,
            Act.BUSTS: lambda step: self.house.venue.call(
                "POST", f"executions/{self.executions[step.number - 1]}/bust"
            ),
            Act.CORRECTS: self._correct,
            Act.ASKS_CANCEL: lambda _: self.house.cancel(self.order_id, wait=pb.SUBMIT_WAIT_JOURNAL),
            Act.SUBMITS_AGAIN: lambda _: self.house.submit(**self.wanted),
        }
        await acts[step.act](step)

    async def _call(self, what: str, **body: str) -> None:
        await self.house.venue.call("POST", f"orders/{self.name}/{what}", body)

    async def _nothing(self, _: Step) -> None:
        """The venue works it by itself."""

    async def _fill(self, step: Step) -> None:
        await self.house.venue.fill(self.name, step.quantity, step.price)
        await self._note_executions()

    async def _note_executions(self) -> None:
        rows = (await self.house.venue.ledger())["executions"]
        mine = [row["execution_id"] for row in rows if row["client_order_id"] == self.name]
        self.executions += [each for each in mine if each not in self.executions]

    async def _correct(self, step: Step) -> None:
        body = {"quantity": step.quantity, "price": step.price}
        await self.house.venue.call("POST", f"executions/{self.executions[step.number - 1]}/correct", body)

    async def _bust(self, step: Step) -> None:
        await self.house.venue.call("POST", f"executions/{self.executions[step.number - 1]}/bust")

    async def _say(self, step: Step) -> None:
        row = await self.house.venue.order(self.name)
        status = row["status"] if step.word == "restated" else step.word
        await self._call("mark", status=status, event=step.word)


@pytest.mark.parametrize("scenario", PLAYED, ids=str)
async def test_the_order_goes_as_the_table_says(house: House, scenario: Scenario, reached: Reached) -> None:
    await house.venue.settings(is_auto_fill=False, cancel_delay_ms=NEVER_MS, tells_pending=True)
    player = Player(house, scenario)
    await player.begin()
    for number, row in enumerate(scenario.rows, start=1):
        await player.act(row.step)
        assert await player.reach(row) == row, f"row {number}"
    reached("P5", "rows of the order state change tables, played over real sockets", len(scenario.rows))
    await house.venue.settings(cancel_delay_ms=1, tells_pending=False)
