"""Trading states, the breaker and the broker's word of what is held: what leaves, also after a restart.

The real engine, journal, adapter and venue in virtual time.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.order import OrderRole, Side
from orderd.engine.api import CancelAllAsk, ReplaceAsk, Wait
from orderd.engine.errors import EngineError
from orderd.risk.limits import Limits, Stake, Standing, TradingState
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import OrderType
from tests.e2e.books import state_of
from tests.engine.differing import by_hand
from tests.engine.world import ACCOUNT, World, intent

SELL = {"side": opb.SIDE_SELL}
STOP = {"type": opb.ORDER_TYPE_STOP, "stop_price": "1", **SELL}
NONE = Limits()
Story = Callable[[World], Awaitable[None]]


def live(directory: Path, story: Story, limits: Limits = NONE, **policy: Any) -> None:  # noqa: ANN401 - the policy's fields
    """Let a world live through a story."""

    async def main() -> None:
        world = World(directory, 11, policy={"limits": limits, **policy})
        await world.start()
        await story(world)
        await world.kill()

    run_virtual(main)


async def told(world: World, key: str, role: OrderRole | None = None, **fields: Any) -> str:  # noqa: ANN401 - fields of the request
    """The code of an order's denial or end, empty while it lives or when it traded."""
    asked = msgspec.structs.replace(intent(client_order_id=key, trace_id=key, **fields), role=role)
    result = await world.alive.engine.submit(asked, wait=Wait.BROKER, timeout_s=5)
    await asyncio.sleep(0.5)
    return code_of(world, result.order.order_id)


def code_of(world: World, order_id: str) -> str:
    order = next(order for order in world.orders() if order.order_id == order_id)
    ended = state_of(order) in {"DENIED", "REJECTED", "SUBMIT_FAILED", "CANCELED", "EXPIRED"}
    return order.status_reason.code if ended else ""


async def set_state(world: World, state: TradingState, *, freeze: bool = False) -> None:
    risk = world.alive.workers.account.risk
    await risk.set_trading_state(state, reason="a test", operator_name="t", freeze_protection=freeze)


def posted(world: World) -> int:
    return sum(row.method == "POST" for row in world.face.venue.ledger.received)


# ----------------------------------------------------------------------------------------------------- trading states


def test_what_each_state_lets_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await told(world, "entry", quantity="10") == ""
        assert await told(world, "resting", limit_price="0.5") == ""
        await set_state(world, TradingState.REDUCING)
        assert await told(world, "more", limit_price="0.5") == "TRADING_REDUCING"
        assert await told(world, "too-much", quantity="11", **SELL) == "TRADING_REDUCING"
        assert await told(world, "less", quantity="2", limit_price="999", **SELL) == ""
        assert await told(world, "with-what-rests", quantity="9", limit_price="999", **SELL) == "TRADING_REDUCING"
        await set_state(world, TradingState.HALTED)
        assert await told(world, "not-even-less", quantity="1", **SELL) == "TRADING_HALTED"
        assert await told(world, "a-stop", OrderRole.STOP_LOSS, quantity="2", **STOP) != "TRADING_HALTED"
        assert await told(world, "an-exit", OrderRole.EXIT, quantity="2", limit_price="998", **SELL) == ""
        results = await world.alive.engine.cancel_all(CancelAllAsk(account_id=ACCOUNT))
        assert len(results) == 2, "entries, and what nobody called an exit"
        assert not any(result.error_reason for result in results)
        await set_state(world, TradingState.HALTED, freeze=True)
        before = posted(world)
        assert await told(world, "frozen", OrderRole.EXIT, quantity="1", **SELL) == "TRADING_FROZEN"
        assert posted(world) == before
        ask = CancelAllAsk(account_id=ACCOUNT, include_protective=True)
        assert await world.alive.engine.cancel_all(ask), "cancels always go"
        await set_state(world, TradingState.ACTIVE)
        assert await told(world, "again", limit_price="0.5") == ""

    live(tmp_path, story)


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_a_state_outlives_the_process(tmp_path: Path, state: TradingState) -> None:
    async def story(world: World) -> None:
        await set_state(world, state, freeze=state is TradingState.HALTED)
        kept = world.alive.workers.account.risk.state
        for _ in range(2):
            await world.restart()
            assert world.alive.workers.account.risk.state == kept
        assert kept.reason is not None
        assert (kept.reason.message, kept.reason.operator_name, kept.version) == ("a test", "t", 1)
        assert (await told(world, "k", limit_price="0.5")).startswith("TRADING_")

    live(tmp_path, story)


@pytest.mark.parametrize("state", [TradingState.REDUCING, TradingState.HALTED])
def test_entries_in_line_do_not_leave_and_exits_behind_them_do(tmp_path: Path, state: TradingState) -> None:
    """The broker hangs on the first; what was let through behind it is judged anew by the state of its turn."""

    async def story(world: World) -> None:
        assert await told(world, "held", quantity="10") == ""
        world.face.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, order="first", barrier="b"))
        ids = [(await world.submit(client_order_id=key, limit_price="0.5"))[0] for key in ("first", "second", "third")]
        leaving = msgspec.structs.replace(
            intent(client_order_id="exit", quantity="3", limit_price="999", **SELL), role=OrderRole.EXIT
        )
        result = await world.alive.engine.submit(leaving, wait=Wait.JOURNAL, timeout_s=5)
        await set_state(world, state)
        world.face.venue.faults.barriers.release("b")
        world.pump()
        await asyncio.sleep(3)
        assert [code_of(world, order_id) for order_id in ids] == ["", f"TRADING_{state}", f"TRADING_{state}"]
        assert code_of(world, result.order.order_id) == ""
        placed = {order.client_order_id for order in world.face.venue.ledger.orders.values()}
        assert {"held", "first", "exit"} == placed

    live(tmp_path, story)


def test_a_proven_exit_in_line_leaves_while_reducing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await told(world, "held", quantity="10") == ""
        await set_state(world, TradingState.REDUCING)
        world.face.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, order="first", barrier="b"))
        for key in ("first", "second"):
            await world.submit(client_order_id=key, quantity="3", limit_price="999", **SELL)
        world.face.venue.faults.barriers.release("b")
        world.pump()
        await asyncio.sleep(3)
        assert len(world.face.venue.ledger.orders) == 3

    live(tmp_path, story)


def test_new_terms_are_judged_by_the_state_too(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order_id, _ = await world.submit(client_order_id="k", limit_price="0.5")
        await asyncio.sleep(1)
        await set_state(world, TradingState.HALTED)
        with pytest.raises(EngineError, match="TRADING_HALTED"):
            await world.replace(order_id, ReplaceAsk(request_id="r", quantity=Decimal(2)))

    live(tmp_path, story)


# --------------------------------------------------------------------------------------------------- what is held


def test_nobody_is_denied_as_an_entry_before_the_broker_was_asked(tmp_path: Path) -> None:
    """A position that somebody else has made since the last reading, and nobody has told of."""

    async def story(world: World) -> None:
        await asyncio.sleep(1)
        world.face.venue.faults.arm(Fault(kind=FaultKind.DROP_FRAME, times=0))
        by_another = by_hand(type=OrderType.MARKET, limit_price=None)
        world.face.venue.submit(next(iter(world.face.venue.state.accounts.values())), by_another)
        world.pump()
        await asyncio.sleep(5.5)
        assert world.alive.workers.holdings.quantity("KO") == 0
        assert await told(world, "exit", quantity="10", limit_price="999", **SELL) == ""
        assert await told(world, "too-much", quantity="1", limit_price="999", **SELL) == "CROSSES_ZERO"

    live(tmp_path, story, Limits(max_order_quantity=Decimal("0.5")), reconcile_interval_s=300)


def test_a_denied_entry_is_not_read_for_each_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(1)

        def reads() -> int:
            return sum(row.path.startswith("/v2/positions") for row in world.face.venue.ledger.received)

        before = reads()
        for number in range(20):
            assert await told(world, f"k-{number}", quantity="9", limit_price="0.5") == "MAX_ORDER_QUANTITY"
        assert reads() - before <= 4, "at most one in five seconds, beside the reconciler's"

    live(tmp_path, story, Limits(max_order_quantity=Decimal(8)))


def test_crossing_zero_and_own_orders(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await told(world, "long", quantity="10") == ""
        assert await told(world, "turn", quantity="11", **SELL) == "CROSSES_ZERO"
        assert await told(world, "stop", OrderRole.STOP_LOSS, quantity="10", **STOP) == ""
        assert await told(world, "into-the-stop", limit_price="0.5") == "WOULD_CROSS_OWN_ORDER"
        assert await told(world, "other-symbol", symbol="F", limit_price="0.5") == ""
        assert await told(world, "far", symbol="AMD", limit_price="900", **SELL) == ""
        assert await told(world, "near", symbol="AMD", limit_price="900") == "WOULD_CROSS_OWN_ORDER"
        assert posted(world) == 4

    live(tmp_path, story)


def test_flags_and_strategies(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        workers = world.alive.workers
        world.face.venue.change_asset("F", is_tradable=False)
        world.face.venue.change_asset("AMD", is_shortable=False)
        assert await told(world, "f", symbol="F", limit_price="0.5") == "NOT_TRADABLE"
        assert await told(world, "amd", symbol="AMD", limit_price="900", **SELL) == "NOT_SHORTABLE"
        assert workers.figures.standing == Standing(may_short=True, options_level=3)
        workers.account.stakes_of = lambda _: [Stake(strategy="a", side=Side.SELL)]
        assert await told(world, "b", strategy="b", limit_price="0.5") == "OPPOSITE_STRATEGY"
        assert await told(world, "a", strategy="a", limit_price="0.5") == ""
        workers.account.stakes_of = lambda _: ()
        assert await told(world, "c", strategy="c", limit_price="900", **SELL) == "OPPOSITE_STRATEGY"
        adjusted = {"symbol": "KO1260619C00050000", "limit_price": "1"}
        assert await told(world, "d", **adjusted) == "MULTIPLIER_UNKNOWN"

    live(tmp_path, story)


# ----------------------------------------------------------------------------------------------------- the breaker


def test_the_breaker_pauses_entries_and_lets_exits_pass_for_its_day(tmp_path: Path) -> None:
    """The venue's account has 100,000 at the last close: two per cent are 2,000."""

    async def story(world: World) -> None:
        assert await told(world, "entry", quantity="10") == ""
        risk = world.alive.workers.account.risk
        assert risk.day().base is not None
        await risk.result("r-1", Decimal(-1999), at=world.clock.now())
        assert await told(world, "more", limit_price="0.5") == ""
        await risk.result("r-2", Decimal(-1), at=world.clock.now())
        assert await told(world, "tripped", limit_price="0.5") == "CIRCUIT_BREAKER"
        assert await told(world, "exit", quantity="10", limit_price="999", **SELL) == ""
        kept = risk.state
        await world.restart()
        assert world.alive.workers.account.risk.state == kept
        assert await told(world, "still", limit_price="0.5") == "CIRCUIT_BREAKER"
        world.clock.skew += timedelta(days=1)
        assert await told(world, "tomorrow", limit_price="0.5") == ""
        await world.alive.workers.account.risk.result("r-3", Decimal(-50_000), at=world.clock.now())
        assert await told(world, "again", limit_price="0.5") == "CIRCUIT_BREAKER"
        await world.alive.workers.account.risk.reset_breaker("a test", "t")
        assert await told(world, "reset", limit_price="0.5") == ""

    live(tmp_path, story, Limits(max_daily_loss_percent=Decimal(2), max_losses_in_a_row=3))


def test_a_restatement_can_trip_it_and_never_frees_it(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        risk, now = world.alive.workers.account.risk, world.clock.now()
        for result_id in ("a", "b"):
            await risk.result(result_id, Decimal(0), at=now)
        await risk.result("b", Decimal(-5), before=Decimal(0), at=now)
        assert risk.day().trip is None
        await risk.result("c", Decimal(5), at=now)
        assert risk.day().trip is None
        await risk.result("c", Decimal(-1), before=Decimal(5), at=now)
        assert risk.day().trip is not None
        await risk.result("c", Decimal(500), before=Decimal(-1), at=now)
        assert await told(world, "k", limit_price="0.5") == "CIRCUIT_BREAKER"

    live(tmp_path, story, Limits(max_losses_in_a_row=3))


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_what_waits_for_the_brokers_rate_limit_does_not_leave_after_the_halt(
    tmp_path: Path, state: TradingState
) -> None:
    """It was handed to the adapter before the state was set, and its turn comes afterwards."""

    async def story(world: World) -> None:
        faults = world.face.venue.faults
        faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=429, method="POST", is_accepted=False))
        _ = await world.submit(client_order_id="limited", limit_price="0.5")
        await asyncio.sleep(1)
        waits = await world.submit(client_order_id="waits", symbol="F", limit_price="0.5")
        await asyncio.sleep(0.1)
        assert not any(order.client_order_id == "waits" for order in world.face.venue.ledger.orders.values())
        await set_state(world, state)
        await asyncio.sleep(120)
        assert not world.face.venue.ledger.orders
        assert code_of(world, waits[0]) == f"TRADING_{state}"

    live(tmp_path, story, submit_timeout_s=20)
