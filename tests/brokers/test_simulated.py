"""The simulated broker in virtual time: no thread, no real second, and the same seed tells the same story."""

import asyncio
import hashlib
import itertools
import random
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal

from orderd.brokers.simulated import Driver, simulated_broker
from orderd.core.order import AssetClass, OrderType
from orderd.ports import (
    Acked,
    Broker,
    BrokerReport,
    CannotTell,
    Lookup,
    NotSent,
    Refusal,
    StreamDown,
    StreamUp,
    Taken,
    Unknown,
    Update,
)
from orderd.system import SeededIds, VirtualClock, run_virtual
from orderd.venue.alpaca.face import AlpacaFace, Options
from orderd.venue.core import Venue
from orderd.venue.dialect import DuplicateIds
from orderd.venue.dialect import Lookup as VenueLookup
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.state import Settings
from tests.brokers.making import limit_order, order, staged, terms

D = Decimal
KEY_ID, SECRET = "sim-key", "sim-secret"


class Sim:
    """A broker, its venue and the story its stream tells."""

    def __init__(self, seed: int, options: Options | None = None) -> None:
        self.clock = VirtualClock()
        self.venue = Venue(rng=random.Random(seed), now=self.clock.now(), settings=Settings(partial_rate=D("0.5")))
        self.face = AlpacaFace(self.venue, clock=self.clock.now, options=options or Options(requests_per_minute=0))
        self.face.add_key(KEY_ID, SECRET, self.venue.open_account(cash=D(1_000_000)))
        self.venue.set_quote("AAPL", D("99.99"), D("100.01"))
        self.broker: Broker = self.broker_for(SECRET, seed)
        self.said: list[Update] = []

    def broker_for(self, secret: str, seed: int = 1) -> Broker:
        ids = SeededIds(seed, self.clock.now)
        return simulated_broker(self.face, key_id=KEY_ID, secret_key=secret, clock=self.clock, ids=ids)

    async def listen(self) -> None:
        async for update in self.broker.updates():
            self.said.append(update)

    def events(self) -> list[str]:
        return [each.event for each in self.said if isinstance(each, BrokerReport)]


def simulate(body: Callable[[Sim], Awaitable[None]], seed: int = 1, options: Options | None = None) -> Sim:
    """Run a story in virtual time to its end."""

    async def main() -> Sim:
        sim = Sim(seed, options)
        listening = asyncio.create_task(sim.listen())
        await asyncio.sleep(0)
        await body(sim)
        await sim.broker.close()
        await listening  # the stream ends when the broker is closed
        return sim

    return run_virtual(main)


async def busy(sim: Sim) -> None:
    for number in range(20):
        await sim.broker.submit(staged(order(f"k-{number}", terms(quantity="7"))), timeout_s=5)
        await sim.clock.sleep(0.2)
    await sim.broker.submit(staged(limit_order("rest")), timeout_s=5)
    await sim.clock.sleep(3600)


def test_the_same_seed_tells_the_same_story_and_another_one_another() -> None:
    def story(seed: int) -> str:
        told = hashlib.sha256()
        for update in simulate(busy, seed).said:
            told.update(update.raw if isinstance(update, BrokerReport) else repr(update).encode())
        return told.hexdigest()

    assert story(1) == story(1)
    assert story(1) != story(2)


def test_an_hour_passes_without_a_thread() -> None:
    before = set(threading.enumerate())
    sim = simulate(busy)
    assert set(threading.enumerate()) <= before
    assert sim.events().count("fill") == 20
    assert sim.clock.now is not None


def test_fills_come_when_they_are_due_though_nobody_asks() -> None:
    async def body(sim: Sim) -> None:
        await sim.broker.submit(staged(order("k", terms(quantity="7"))), timeout_s=5)
        assert sim.events() == []
        await sim.clock.sleep(1)
        assert sim.events()[:2] == ["pending_new", "new"]
        assert sim.events()[-1] == "fill"

    simulate(body)


def test_an_answer_held_past_the_deadline_is_unknown_then_late() -> None:
    async def body(sim: Sim) -> None:
        sim.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, method="POST", delay_ms=9000))
        began = sim.clock.monotonic_ns()
        assert isinstance(await sim.broker.submit(staged(limit_order("k")), timeout_s=5), Unknown)
        assert sim.clock.monotonic_ns() - began == 5 * 10**9
        assert "late_answer" not in sim.events()
        await sim.clock.sleep(5)
        assert sim.events()[-1] == "late_answer"

    simulate(body)


def test_an_answer_held_within_the_deadline_is_an_answer() -> None:
    async def body(sim: Sim) -> None:
        sim.venue.faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, method="POST", delay_ms=2000))
        assert isinstance(await sim.broker.submit(staged(limit_order("k")), timeout_s=5), Acked)

    simulate(body)


def test_a_budget_that_is_used_up_is_not_sent() -> None:
    async def body(sim: Sim) -> None:
        answers = [await sim.broker.submit(staged(limit_order(f"k-{n}")), timeout_s=5) for n in range(16)]
        kinds = [type(each) for each in answers]
        assert kinds[:4] == [Acked] * 4
        assert kinds[-1] is NotSent
        assert [each.status for each in sim.venue.ledger.received if each.status == 429] == []
        rest = sim.venue.find("k-0").order_id
        assert await sim.broker.cancel(rest, timeout_s=5) == Taken()  # type: ignore[arg-type]

    simulate(body, options=Options(requests_per_minute=10))


def test_a_wrong_key_is_told_and_nothing_is_guessed() -> None:
    async def main() -> None:
        sim = Sim(1)
        broker = sim.broker_for("wrong")
        updates = broker.updates()
        assert await anext(updates) == StreamDown(message="login refused")
        assert isinstance(await broker.find("k", timeout_s=5), CannotTell)
        await broker.close()

    run_virtual(main)


def test_cut_streams_come_back_by_themselves_each_gap_marked() -> None:
    async def body(sim: Sim) -> None:
        sim.venue.faults.arm(Fault(kind=FaultKind.DISCONNECT, event="new", times=3))
        sim.venue.faults.arm(Fault(kind=FaultKind.REFUSE_UPGRADE, status=429, skip=1, times=2))
        sim.venue.faults.arm(Fault(kind=FaultKind.REFUSE_LOGIN, skip=1))
        for number in range(4):
            await sim.broker.submit(staged(limit_order(f"k-{number}")), timeout_s=5)
            await sim.clock.sleep(60)
        states = [type(each) for each in sim.said if isinstance(each, StreamUp | StreamDown)]
        assert states[0] is states[-1] is StreamUp
        assert states.count(StreamDown) == 6
        assert all(first is not StreamUp or second is StreamDown for first, second in itertools.pairwise(states))

    simulate(body)


def test_what_a_test_does_to_the_venue_is_noticed_when_it_is_woken() -> None:
    async def body(sim: Sim) -> None:
        await sim.broker.submit(staged(limit_order("k", "10", "50")), timeout_s=5)
        await sim.clock.sleep(1)
        sim.venue.set_quote("AAPL", D("49"), D("49.5"))
        Driver(sim.face, sim.clock).wake()
        await sim.clock.sleep(1)
        assert sim.events()[-1] == "fill"

    simulate(body)


def test_trailing_orders_and_types_pass_through_the_same_parser() -> None:
    async def body(sim: Sim) -> None:
        trailing = order("k", terms(OrderType.TRAILING_STOP, "5", trail_percent="5"))
        answer = await sim.broker.submit(staged(trailing), timeout_s=5)
        assert isinstance(answer, Acked)
        assert answer.view.terms is not None
        assert (answer.view.terms.trail_percent, answer.view.terms.stop_price) == (5, None)

    simulate(body)


def test_a_closed_broker_sends_nothing_and_its_stream_ends() -> None:
    async def main() -> None:
        sim = Sim(1)
        await sim.broker.close()
        assert isinstance(await sim.broker.submit(staged(order()), timeout_s=5), NotSent)
        assert [update async for update in sim.broker.updates()] == []

    run_virtual(main)


def test_it_declares_what_its_venue_can_do() -> None:
    async def body(sim: Sim) -> None:
        plain = sim.broker.capabilities(AssetClass.US_EQUITY)
        sim.venue.change_settings(duplicate_ids=DuplicateIds.WHILE_OPEN)
        sim.face.options = Options(lookup=VenueLookup.LIST_ONLY, has_execution_ids=False)
        can = sim.broker.capabilities(AssetClass.US_EQUITY)
        assert (plain.duplicate_refusal, plain.lookup, plain.has_execution_ids) == (
            Refusal.FOR_EVER,
            Lookup.YES,
            True,
        )
        assert (can.duplicate_refusal, can.lookup, can.has_execution_ids) == (
            Refusal.WHILE_OPEN,
            Lookup.LIST_ONLY,
            False,
        )

    simulate(body)
