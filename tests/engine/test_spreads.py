"""A spread that is replaced while it trades, at a broker whose successors count anew and at one whose carry on."""

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.engine.api import ReplaceAsk
from orderd.venue.faults import FaultKind
from tests.e2e.books import state_of
from tests.engine.differing import arm, calm, live, until
from tests.engine.world import World
from tests.faults.script import strategy


@pytest.mark.parametrize("carries_fills", [False, True])
@pytest.mark.parametrize("lost", ["", "the fills of the first", "every frame of both"])
def test_what_both_broker_orders_of_a_spread_traded_is_its_total(
    tmp_path: Path, lost: str, *, carries_fills: bool
) -> None:
    async def story(world: World) -> None:
        venue = world.face.venue
        spread = {**strategy({"quantity": "3", "trace_id": "t"}), "limit_price": "1"}
        order_id, _ = await world.submit(client_order_id="spread", **spread)
        await until(world, order_id, "ACCEPTED")
        if lost:
            arm(world, FaultKind.DROP_FRAME)
        venue.fill("spread", Decimal(2))
        world.pump()
        await asyncio.sleep(0.5)
        if lost != "every frame of both":
            calm(world)
        await world.replace(order_id, ReplaceAsk(request_id="more", quantity=Decimal(5)))
        await asyncio.sleep(2)
        elder = venue.find("spread")
        assert elder.replaced_by
        venue.fill(elder.replaced_by, Decimal(1))
        venue.fill(elder.replaced_by, Decimal(2))
        world.pump()
        await asyncio.sleep(0.5)
        calm(world)
        assert await world.reconcile()
        await asyncio.sleep(1)
        parent, *legs = world.orders()
        assert [(state_of(order), order.filled_quantity) for order in (parent, *legs)] == [("FILLED", "5")] * 3
        assert not world.disagreements()
        assert await world.reconcile()
        assert not await world.discrepancies()

    live(tmp_path, story, venue_options={"carries_fills": carries_fills}, policy={"reconcile_interval_s": 300})
