"""Trade, back up, trade more, lose everything, restore, start: nothing is sent twice, and the books are the venue's."""

import asyncio
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from oms.v1 import order_service_pb2 as pb
from tests.cli.processes import ran
from tests.e2e.audit import audit, every_order
from tests.e2e.errors import reason_of
from tests.e2e.harness import House, submit_request, trading
from tests.e2e.tape import Tape
from tests.e2e.test_crashes import at_rest
from tests.reach import Reached, scaled

SYMBOLS = ("KO", "AAPL", "MSFT", "F", "AMD")


async def said(house: House, *arguments: str) -> dict[str, Any]:
    """What an `orderd` command answers; it must end well."""
    code, out, err = await ran(*arguments, cwd=house.directory)
    assert code == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


async def lose(house: House) -> None:
    """kill -9, and the disk with it."""
    await house.kill()
    for file in house.directory.glob("orderd.db*"):
        file.unlink()


class Bot:
    """Submits, cancels and replaces; and knows what it asked for."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.chance = random.Random(seed)
        self.asked: list[pb.SubmitOrderRequest] = []

    async def trade(self, count: int) -> None:
        """So many orders, one after the other."""
        for _ in range(count):
            resting = {} if self.chance.random() < 0.6 else {"limit_price": "5"}
            request = submit_request(
                client_order_id=f"n-{len(self.asked)}",
                symbol=self.chance.choice(SYMBOLS),
                quantity=str(self.chance.randint(1, 9)),
                **resting,
            )
            self.asked.append(request)
            answer = await self.house.orders.SubmitOrder(request)
            if resting and self.chance.random() < 0.5:
                replace = pb.ReplaceOrderRequest(order_id=answer.order.order_id, request_id="r1", limit_price="5.5")
                await self.house.orders.ReplaceOrder(replace)

    async def until_lost(self, lost: Callable[[], bool]) -> None:
        """Trade until the server is gone."""
        try:
            await self.trade(1_000)
        except grpc.aio.AioRpcError as error:
            assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}, error
        assert lost()

    async def repeat(self) -> list[bool]:
        """All of it again: whether each was a repeat."""
        return [(await self.house.steady(lambda r=request: self.house.orders.SubmitOrder(r))).replayed
                for request in self.asked]  # fmt: skip


async def refused(house: House, **asked: Any) -> str:  # noqa: ANN401 - any field of the request
    """Why a stream is not begun."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in house.orders.StreamOrderEvents(pb.StreamOrderEventsRequest(**asked)):
            pytest.fail("a position in the lost journal was taken")
    return reason_of(error.value)


@pytest.mark.scaled
@pytest.mark.timeout(180)
@pytest.mark.parametrize("seed", range(scaled(10)))
async def test_lost_and_restored(tmp_path: Path, seed: int, reached: Reached) -> None:
    backup = tmp_path / "backup.db"
    async with trading(tmp_path, venue={"seed": seed, "partial_rate": "0.3", "witness_database": ""}) as house:
        await house.venue.settings(route_delay_ms=5, fill_delay_ms=20, refill_delay_ms=30)
        bot = Bot(house, seed)
        await bot.trade(10)
        kept = await said(house, "backup", "--config", "orderd.toml", "--to", str(backup))
        is_lost = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(bot.until_lost(is_lost.is_set))
            await asyncio.sleep(bot.chance.uniform(0.2, 1.0))
            is_lost.set()
            await lose(house)
        old = house.tape
        house.tape = Tape()
        made = await said(house, "restore", "--config", "orderd.toml", "--from", str(backup))
        assert (made["sequence"], kept["journalId"]) == (kept["sequence"], old.journal_id)
        assert made["journalId"] != old.journal_id
        await house.start()
        assert await refused(house, after_sequence=old.sequence, journal_id=old.journal_id) == "JOURNAL_MISMATCH"
        repeats = await bot.repeat()
        assert all(repeats[:-1]), "only the last one's submit may have been cut on its way"
        await at_rest(house)
        orders = await every_order(house)
        assert {order.client_order_id for order in orders} == {request.client_order_id for request in bot.asked}
        assert not any(order.external for order in orders)
        await audit(house)
        assert (await ran("doctor", "--config", "orderd.toml", cwd=tmp_path))[0] == 0
        reached("P2", "orders traded by a process that was lost and restored, none sent twice", len(orders))
        reached("P19", "restores of a real process from a backup, books equal to the venue's", 1)


async def test_a_backup_is_made_while_the_server_answers(tmp_path: Path) -> None:
    """Submits go on during the copy, and none of them waits for it."""
    async with trading(tmp_path) as house:
        bot = Bot(house, 1)
        await bot.trade(20)
        copying = asyncio.create_task(ran("backup", "--config", "orderd.toml", "--to", "b.db", cwd=tmp_path))
        before = len(bot.asked)
        while not copying.done():
            await bot.trade(1)
        code, out, err = await copying
        assert code == 0, err
        assert len(bot.asked) - before > 3
        assert 0 < int(json.loads(out)["sequence"]) <= house.tape.sequence or house.tape.sequence == 0
        await audit(house)
