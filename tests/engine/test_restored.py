"""A journal restored from a backup: nothing is sent twice, and what was traded since is ours again.

In virtual time: the real engine, journal and adapter, the venue in the same process. A backup is made somewhere in a
day of trading, the day goes on, the process and its journal are lost at any moment, the backup is restored; then every
bot repeats what it ever asked for, with the same keys.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.api import CancelAllAsk, ReplaceAsk, Wait
from orderd.engine.errors import EngineError
from orderd.storage.backup import back_up, restore
from orderd.system import run_virtual
from orderd.venue.exchange import Request
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.options import VenueOptions
from tests.e2e.books import state_of
from tests.engine.world import ACCOUNT, World
from tests.reach import Reached, scaled
from tests.storage.integrity import sound

NOW = datetime(2026, 2, 3, tzinfo=UTC)


def save(world: World, to: Path) -> None:
    """Back the journal up; a server may be at work on it."""
    back_up(world.database, to, now=NOW, told=lambda _: None)


async def lose(world: World, backup: Path, *, name: str = "restored") -> None:
    """Kill the process, lose its journal, and make one of the backup."""
    await world.kill()
    for file in world.directory.glob("orderd.db*"):
        file.unlink()
    restore(backup, world.database, journal_id=name, now=NOW, told=lambda _: None)


def order(world: World, key: str) -> opb.Order:
    """The order with this key."""
    (found,) = [one for one in world.orders() if one.client_order_id == key]
    return found


def by_hand(world: World, client_order_id: str) -> None:
    """An order that does not come from orderd."""
    keys = VenueOptions()
    body = {"symbol": "F", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
    reply = world.face.handle(
        Request(
            method="POST",
            path="/v2/orders",
            query={},
            headers={"APCA-API-KEY-ID": keys.key_id, "APCA-API-SECRET-KEY": keys.secret},
            body=msgspec.json.encode(body | {"client_order_id": client_order_id}),
        )
    )
    assert reply.status == 200
    world.pump()


def live(directory: Path, main: Callable[[World], Awaitable[None]], *, seed: int = 1, **options: object) -> None:
    """Run `main` in a world whose orders rest or fill at once."""

    async def body() -> None:
        await main(World(directory, seed, venue_options=options))

    run_virtual(body)


def test_every_order_since_the_backup_is_ours_again(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await world.start()
        await world.submit(client_order_id="before", wait=Wait.BROKER)
        save(world, tmp_path / "b")
        await world.submit(client_order_id="filled", quantity="3", strategy="lost")
        rests, _ = await world.submit(client_order_id="rests", limit_price="5", quantity="2")
        canceled, _ = await world.submit(client_order_id="canceled", limit_price="5")
        replaced, _ = await world.submit(client_order_id="replaced", limit_price="5", wait=Wait.BROKER)
        await asyncio.sleep(1)
        await world.cancel(canceled, wait=Wait.BROKER)
        await world.replace(replaced, ReplaceAsk(request_id="r", quantity=Decimal(3)))
        await asyncio.sleep(1)
        asked = {one.client_order_id: one for one in world.orders()}
        await lose(world, tmp_path / "b")
        await world.start()
        assert {key: state_of(one) for key, one in asked.items()} == {
            one.client_order_id: state_of(one) for one in world.orders()
        }
        for key, before in asked.items():
            after = order(world, key)
            assert not after.external
            assert (after.filled_quantity, after.average_fill_price) == (
                before.filled_quantity,
                before.average_fill_price,
            )
            assert (after.quantity, after.limit_price) == (before.quantity, before.limit_price)
        assert order(world, "rests").order_id != rests, "its record is lost, and its id with it"
        assert order(world, "filled").strategy == "", "what only orderd knew is lost"
        assert await world.submit(client_order_id="rests", limit_price="5", quantity="2") == (
            order(world, "rests").order_id, True
        )  # fmt: skip
        imported = [event for event in world.events() if event.type == opb.ORDER_EVENT_TYPE_IMPORTED]
        assert {event.reason.code for event in imported} == {"TAKEN_UP"}
        assert len(imported) == 4
        assert not world.disagreements()
        assert not await world.discrepancies()
        await world.kill()

    live(tmp_path, main)


def test_a_taken_up_order_is_followed_replaced_and_canceled(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await world.start()
        save(world, tmp_path / "b")
        await world.submit(client_order_id="one", limit_price="5", quantity="2", wait=Wait.BROKER)
        await world.submit(client_order_id="two", limit_price="5", quantity="2", wait=Wait.BROKER)
        await lose(world, tmp_path / "b")
        await world.start()
        await world.replace(order(world, "one").order_id, ReplaceAsk(request_id="r", limit_price=Decimal("4.5")))
        results = await world.alive.engine.cancel_all(CancelAllAsk(account_id=ACCOUNT))
        assert len(results) == 2, "ours: cancelled with the others"
        await asyncio.sleep(2)
        assert {state_of(one) for one in world.orders()} == {"CANCELED"}
        assert not world.disagreements()
        await world.kill()

    live(tmp_path, main)


def test_a_bracket_is_taken_up_with_its_legs(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await world.start()
        save(world, tmp_path / "b")
        bracket: dict[str, Any] = {
            "client_order_id": "bracket",
            "order_class": opb.ORDER_CLASS_BRACKET,
            "limit_price": "5",
            "stop_loss": opb.StopLoss(stop_price="4"),
            "take_profit": opb.TakeProfit(limit_price="9"),
        }
        await world.submit(**bracket, wait=Wait.BROKER)
        await asyncio.sleep(1)
        legs = sorted(one.client_order_id for one in world.orders())
        await lose(world, tmp_path / "b")
        await world.start()
        assert sorted(one.client_order_id for one in world.orders()) == legs
        roles = {one.role for one in world.orders() if one.parent_order_id}
        assert roles == {opb.ORDER_ROLE_STOP_LOSS, opb.ORDER_ROLE_TAKE_PROFIT}
        assert (await world.submit(**bracket))[1], "the parent's key answers"
        assert not world.disagreements()
        await world.kill()

    live(tmp_path, main)


def test_another_order_under_a_lost_key_is_refused(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await world.start()
        save(world, tmp_path / "b")
        await world.submit(client_order_id="key", quantity="3", wait=Wait.BROKER)
        await lose(world, tmp_path / "b")
        await world.start()
        with pytest.raises(EngineError, match="differs in symbol, side, quantity"):
            await world.submit(client_order_id="key", quantity="4", symbol="AAPL", side=opb.SIDE_SELL)
        assert (await world.submit(client_order_id="key", quantity="3", decision_id="d"))[1]
        assert not world.books().doubles()
        await world.kill()

    live(tmp_path, main)


def test_submits_wait_until_everything_is_taken_up(tmp_path: Path) -> None:
    """Also through a kill in the middle of it, and never again once it is done."""

    async def main(world: World) -> None:
        await world.start()
        save(world, tmp_path / "b")
        await world.submit(client_order_id="key", wait=Wait.BROKER)
        await lose(world, tmp_path / "b")
        for _ in range(3):
            await world.start(is_ready=False)
            with pytest.raises(EngineError, match="has not been reconciled"):
                await world.submit(client_order_id="other")
            await asyncio.sleep(0.5)  # one reconciliation is through, the settle time is not
            assert (await world.submit(client_order_id="key"))[1]
            with pytest.raises(EngineError, match="has not been reconciled"):
                await world.submit(client_order_id="other")
            await world.kill()
        await world.start()
        assert not (await world.submit(client_order_id="other"))[1]
        await world.kill()
        made = world.clock.monotonic_ns()
        await world.start()
        assert world.clock.monotonic_ns() - made < 1e9, "the next start has nothing to take up"
        await world.kill()

    live(tmp_path, main)


def test_what_others_placed_stays_theirs_after_and_a_replacements_id_is_no_key(tmp_path: Path) -> None:
    async def main(world: World) -> None:
        await world.start()
        save(world, tmp_path / "b")
        await lose(world, tmp_path / "b")
        await world.start()
        by_hand(world, "by-hand")
        await asyncio.sleep(6)
        (found,) = world.orders()
        assert found.external
        assert found.broker_client_reference == "by-hand"
        await world.kill()

    live(tmp_path, main)


def test_a_key_that_somebody_elses_order_has_at_the_broker_is_refused(tmp_path: Path) -> None:
    """Their order has its record already: ours cannot be it, alike or not, and does not wait for an end for ever."""

    async def main(world: World) -> None:
        await world.start()
        by_hand(world, "taken")
        await asyncio.sleep(6)
        await world.submit(client_order_id="taken", symbol="F", quantity="1", wait=Wait.BROKER)
        ended = order(world, "taken")
        assert (state_of(ended), ended.status_reason.code) == ("REJECTED", "DUPLICATE_CLIENT_ORDER_ID")
        assert len(world.books().orders) == 1
        await world.kill()

    live(tmp_path, main)


UNCLEAR = (FaultKind.LAND_LATE, FaultKind.LOSE_ANSWER, FaultKind.LOSE_REQUEST, FaultKind.HOLD_ANSWER)
"""What leaves the outcome of a submit open, at the latest for seven tenths of the settle time."""


class Bot:
    """Asks for orders, and repeats what it asked for."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.asked: list[dict[str, object]] = []

    async def trade(self, count: int) -> None:
        """Submit, and cancel or replace some of it; nothing is waited for."""
        for _ in range(count):
            number = len(self.asked)
            fields: dict[str, object] = {
                "client_order_id": f"key-{number}",
                "symbol": self.chance.choice(("KO", "F", "AMD")),
                "quantity": str(self.chance.randint(1, 9)),
            }
            if self.chance.random() < 0.5:
                fields["limit_price"] = "5"
            self.asked.append(fields)
            order_id, _ = await self.world.submit(**fields)
            await asyncio.sleep(self.chance.choice((0, 0.001, 0.02, 0.5)))
            if "limit_price" in fields and self.chance.random() < 0.5:
                await self._change(order_id)

    async def _change(self, order_id: str) -> None:
        try:
            if self.chance.random() < 0.5:
                await self.world.cancel(order_id)
            else:
                await self.world.replace(order_id, ReplaceAsk(request_id="r", limit_price=Decimal("4.5")))
        except EngineError:
            pass  # filled, or not working yet

    async def repeat(self) -> None:
        """All of it again, as after an answer that was lost."""
        for fields in self.asked:
            await self.world.submit(**fields)


@pytest.mark.scaled
@pytest.mark.parametrize("seed", range(scaled(100)))
def test_lost_at_any_moment_nothing_is_sent_twice(tmp_path: Path, seed: int, reached: Reached) -> None:
    chance = random.Random(seed)
    taken_up: list[int] = []

    async def main(world: World) -> None:
        bot = Bot(world, seed)
        for kind in chance.sample(UNCLEAR, chance.randrange(3)):
            script = {"method": "POST", "path": "/v2/orders", "probability": 0.2, "times": 0}
            world.face.venue.faults.arm(Fault(kind=kind, delay_ms=chance.randrange(700), **script))
        await world.start()
        await bot.trade(chance.randrange(8))
        save(world, tmp_path / "b")
        trading = asyncio.create_task(bot.trade(12))
        await asyncio.sleep(chance.uniform(0, 4))
        await lose(world, tmp_path / "b")
        trading.cancel()
        await asyncio.gather(trading, return_exceptions=True)
        for _ in range(chance.randrange(3)):  # killed in the middle of taking it up
            await world.start(is_ready=False)
            await asyncio.sleep(chance.uniform(0, 1.5))
            await world.kill()
        await world.start()
        await world.alive.workers.account.recovered.wait()
        await bot.repeat()
        world.face.venue.faults.clear()
        await asyncio.sleep(12)
        assert await world.reconcile()
        assert not world.books().doubles()
        assert not world.disagreements()
        assert not await world.discrepancies()
        assert {one.client_order_id for one in world.orders()} == {
            str(fields["client_order_id"]) for fields in bot.asked
        }
        assert not any(one.external for one in world.orders())
        taken_up.append(sum(event.type == opb.ORDER_EVENT_TYPE_IMPORTED for event in world.events()))
        await world.kill()
        sound(world.database)

    live(tmp_path, main, seed=seed, partial_rate=Decimal("0.3"))
    reached("P2", "journals lost in the middle of trading and restored from a backup, nothing sent twice", 1)
    reached("P2", "orders whose record such a journal had lost, taken up under their keys", sum(taken_up))
