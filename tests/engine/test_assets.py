"""What the broker says of instruments: asked for once, kept, renewed, and never guessed when it cannot be read."""

import asyncio
from pathlib import Path

import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.order import OrderRole
from orderd.engine import assets
from orderd.engine.assets import AGAIN_S, KEPT_S, NOT_LISTED_S, RENEWED_S, WAIT_S
from orderd.system import run_virtual
from orderd.venue.faults import AnswerBody, Fault, FaultKind
from tests.engine.test_trading_states import SELL, live, posted, told
from tests.engine.world import World, intent

RESTING = {"limit_price": "0.5"}
ASSETS = "/v2/assets"


def readings(world: World, symbol: str = "") -> int:
    """How often the venue was asked for an instrument."""
    return sum(row.path.startswith(f"{ASSETS}/{symbol}") for row in world.face.venue.ledger.received)


def break_reading(world: World, **how: object) -> None:
    chosen = {"kind": FaultKind.ANSWER_STATUS, "status": 503, "times": 0, **how}
    world.face.venue.faults.arm(Fault(path=ASSETS, **chosen))  # type: ignore[arg-type]


def mend(world: World) -> None:
    world.face.venue.faults.clear(None)


async def preview(world: World, **fields: object) -> str:
    """The code of what the gate says of an order, empty when it lets it pass."""
    said = await world.alive.engine.preview(intent(client_order_id="p", **fields))
    return "" if said.denial is None else said.denial.code


def test_what_the_broker_says_is_judged_before_anything_is_sent(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        change = world.face.venue.change_asset
        change("F", minimum_quantity="5")
        change("AMD", quantity_step="0.01")
        cases = (
            ({"symbol": "RGC", **RESTING}, "NOT_TRADABLE"),
            ({"symbol": "OCGN", "limit_price": "900", **SELL}, "NOT_SHORTABLE"),
            ({"symbol": "MSFT", "limit_price": "900", "quantity": "1.5", **SELL}, "NOT_SHORTABLE"),
            ({"symbol": "OCGN", "quantity": "0.5", **RESTING}, "NOT_FRACTIONABLE"),
            ({"symbol": "OCGN", "type": opb.ORDER_TYPE_MARKET, "quantity": "", "notional": "5"}, "NOT_FRACTIONABLE"),
            ({"symbol": "AMD", "quantity": "1.001", **RESTING}, "QUANTITY_STEP"),
            ({"symbol": "F", "quantity": "4", **RESTING}, "MIN_ORDER_QUANTITY"),
        )
        for number, (fields, code) in enumerate(cases):
            assert await preview(world, **fields) == code
            assert await told(world, f"k-{number}", **fields) == code
        assert posted(world) == 0
        assert await told(world, "good", symbol="AMD", quantity="1.25", **RESTING) == ""
        assert [readings(world, symbol) for symbol in ("RGC", "OCGN", "AMD")] == [1, 1, 1]

    live(tmp_path, story)


def test_an_exit_asks_for_nothing_and_waits_for_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await told(world, "entry", quantity="10") == ""
        world.face.venue.change_asset("KO", is_tradable=True, is_shortable=False)
        await world.restart()
        break_reading(world, kind=FaultKind.HOLD_ANSWER, barrier="never")
        before = readings(world)
        assert await told(world, "exit", OrderRole.EXIT, quantity="10", limit_price="900", **SELL) == ""
        assert readings(world) == before

    live(tmp_path, story)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"body": AnswerBody.HTML},
        {"status": 404, "body": AnswerBody.HTML},
        {"status": 200, "body": AnswerBody.TEXT, "text": '{"symbol": "RGC", "min_order_size": "NaN"}'},
        {"status": 200, "body": AnswerBody.TEXT, "text": '{"symbol": "KO", "tradable": true}'},
        {"kind": FaultKind.LOSE_ANSWER},
        {"kind": FaultKind.HOLD_ANSWER, "barrier": "never"},
    ],
)
def test_what_cannot_be_read_is_not_judged_and_the_brokers_answer_decides(
    tmp_path: Path, how: dict[str, object]
) -> None:
    async def story(world: World) -> None:
        break_reading(world, **how)
        began_ns = world.clock.monotonic_ns()
        assert await told(world, "untradable", symbol="RGC", **RESTING) == "42210000"
        assert (world.clock.monotonic_ns() - began_ns) / 1e9 < WAIT_S + 1
        assert await told(world, "plain", symbol="F", **RESTING) == ""
        assert posted(world) == 2
        assert world.alive.workers.account.assets.get("RGC") is None

    live(tmp_path, story)


def test_a_reading_that_failed_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        break_reading(world)
        for number in range(3):
            assert await told(world, f"k-{number}", **RESTING) == ""
        assert readings(world, "KO") == 1
        mend(world)
        await asyncio.sleep(AGAIN_S)
        world.face.venue.change_asset("KO", is_tradable=False)
        assert await told(world, "again", **RESTING) == "NOT_TRADABLE"
        assert readings(world, "KO") == 2

    live(tmp_path, story)


def test_what_was_said_is_renewed_beside_orders_and_forgotten_after_hours(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await told(world, "first", **RESTING) == ""
        world.face.venue.change_asset("KO", is_tradable=False)
        await asyncio.sleep(RENEWED_S)
        assert await preview(world, **RESTING) == "", "it does not wait for the renewal"
        await asyncio.sleep(1)
        assert await preview(world, **RESTING) == "NOT_TRADABLE"
        break_reading(world)
        await asyncio.sleep(RENEWED_S)
        assert await preview(world, **RESTING) == "NOT_TRADABLE", "what cannot be renewed stays good for its time"
        await asyncio.sleep(1)
        before = readings(world)
        assert await preview(world, **RESTING) == "NOT_TRADABLE"
        assert readings(world) == before, "a renewal that failed is left alone for a while"
        await asyncio.sleep(KEPT_S)
        assert await preview(world, **RESTING) == "", "it is not known any more"

    live(tmp_path, story, reconcile_interval_s=3600)


def test_a_name_that_was_unknown_may_be_listed_any_moment(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for key in ("k-1", "k-2"):
            assert await told(world, key, symbol="NEW", **RESTING) == "40010001", "the broker's own refusal"
        assert readings(world) == 2, "which has it read again"
        assets_here = world.face.venue.state.assets
        listed = assets_here.find("F")
        assert listed is not None
        assert await preview(world, symbol="NEW", **RESTING) == ""
        new = type(listed)(symbol="NEW", name="New", price=listed.price, is_tradable=False)
        assets_here.add(new)
        assert await preview(world, symbol="NEW", **RESTING) == ""
        assert readings(world) == 3
        await asyncio.sleep(NOT_LISTED_S)
        assert await preview(world, symbol="NEW", **RESTING) == "NOT_TRADABLE"

    live(tmp_path, story)


def test_a_refusal_by_the_broker_has_the_instrument_read_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await preview(world, **RESTING) == ""
        world.face.venue.change_asset("KO", is_tradable=False)
        assert await told(world, "refused", **RESTING) == "42210000"
        assert await told(world, "denied", **RESTING) == "NOT_TRADABLE"

    live(tmp_path, story)


def test_orders_at_once_share_one_reading_and_many_symbols_leave_the_broker_its_requests(tmp_path: Path) -> None:
    async def main() -> None:
        world = World(tmp_path, 11, requests_per_minute=200)
        await world.start()
        await asyncio.gather(*(preview(world, **RESTING) for _ in range(20)))
        assert readings(world) == 1
        for number in range(50):
            await preview(world, symbol=f"X{'ABCDEFGHIJ'[number // 10]}{'ABCDEFGHIJ'[number % 10]}", **RESTING)
        assert readings(world) == 20, "a tenth of a minute's requests"
        await asyncio.sleep(60)
        assert await preview(world, symbol="RGC", **RESTING) == "NOT_TRADABLE"
        await world.kill()

    run_virtual(main)


def test_only_so_many_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "MOST_KEPT", 2)

    async def story(world: World) -> None:
        for symbol in ("KO", "F", "AMD"):
            assert await preview(world, symbol=symbol, **RESTING) == ""
        known = world.alive.workers.account.assets
        assert [known.get(symbol) is None for symbol in ("KO", "F", "AMD")] == [True, False, False]

    live(tmp_path, story)


def test_options_are_not_asked_for(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        option = {"symbol": "KO261218C00080000", "limit_price": "0.05", "time_in_force": opb.TIME_IN_FORCE_DAY}
        assert await told(world, "option", **option) == ""
        assert readings(world) == 0

    live(tmp_path, story)
