"""A seeded day of trading in which everything goes wrong at once, and what must hold during it and when it is over.

A seed decides all of it: what is traded, which faults, where the process dies. The venue is the referee's witness.
"""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from orderd.core.order import TimeInForce
from orderd.engine.api import ReplaceAsk, Wait
from orderd.engine.errors import EngineError, Kind
from orderd.ports import JournalError
from orderd.system import run_virtual
from orderd.venue.core import Venue
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import Change, ExecutionState, NewOrder, OrderType, Side, Status
from orderd.venue.orders import Order as VenueOrder
from orderd.venue.orders import OrderClass as VenueClass
from orderd.venue.orders import TimeInForce as VenueTimeInForce
from tests.e2e.raw import journal_bytes
from tests.engine.seams import PLACES
from tests.engine.world import ACCOUNT, OTHER, DeadError, World
from tests.faults.referee import Referee
from tests.faults.rest import Rest
from tests.faults.script import SYMBOLS, TOO_MANY, asked, faults_of, theme_of
from tests.storage.integrity import sound

PATIENCE_S = 5.0
"""How long a caller waits for an answer."""
EXPECTED = frozenset({Kind.UNAVAILABLE, Kind.FAILED_PRECONDITION, Kind.EXHAUSTED, Kind.ABORTED, Kind.NOT_FOUND})
FIRED_AS = {
    FaultKind.LAND_LATE: "landed late",
    FaultKind.LOSE_ANSWER: "answer lost",
    FaultKind.LOSE_REQUEST: "request lost",
    FaultKind.CUT_ANSWER: "answer cut",
    FaultKind.DISCONNECT: "stream cut",
    FaultKind.DROP_FRAME: "frame dropped",
    FaultKind.REORDER_FRAME: "frames out of order",
    FaultKind.DUPLICATE_FRAME: "frame told twice",
}
REASONS = {"QUEUE_FULL": "queue full", "ACCOUNT_RECOVERING": "account recovering"}
RARE_PLACES = tuple(f"{when} {method}" for when in ("before", "after") for method in ("PATCH", "DELETE"))
PAUSES_S = (0, 0, 0, 0.001, 0.003, 0.01, 0.1, 0.5)
JUMPS = (timedelta(days=1), timedelta(days=-1), timedelta(hours=1), timedelta(hours=-1))


class BreachError(AssertionError):
    """Something happened that must not."""


@dataclass
class Day:
    """One seed."""

    seed: int
    world: World
    orders: int
    kills: int
    ids: dict[str, str] = field(default_factory=dict)
    """Order ids by key, as they were answered."""
    fresh: Counter[str] = field(default_factory=Counter)
    """How often a key was answered as new."""
    lies: set[int] = field(default_factory=set)
    """Faults that say "not taken" about what was taken."""
    slowest_s: float = 0.0
    """Virtual seconds from the last fault to agreement, at most."""
    is_quiet: bool = False
    """Nothing goes wrong any more."""
    has_desk: ClassVar[bool] = False
    """Whether trades are looked after."""

    def __post_init__(self) -> None:
        """The script has a stream of its own: what the world draws does not change it."""
        self.random = random.Random(f"day {self.seed}")
        self.theme = theme_of(self.seed)
        venues = {bench.account_id: bench.face.venue for bench in self.world.benches.values()}
        self.world.watcher = self.referee = self.seen_by(venues)
        self.situations = self.referee.situations
        self.venue = self.world.face.venue

    async def run(self) -> None:
        """The day, and the judgement."""
        asyncio.get_running_loop().set_exception_handler(self._unhandled)
        await self.world.start()
        self._arm()
        for step in self._steps():
            await self._survive()
            await self.bear(step)
            self.check()
            await asyncio.sleep(self.random.choice(PAUSES_S))
        await self._heal()
        await self._survive()
        await self.judge()
        self._count()
        self.referee.close()

    @staticmethod
    def chosen(seed: int) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """Options of the venue and of the account's policy, beside those of every day."""
        del seed
        return {}, {}

    def seen_by(self, venues: Mapping[str, Venue]) -> Referee:
        """Who looks on."""
        return Referee(self.world.database, venues)

    async def judge(self) -> None:
        """What it must have come to."""
        await Rest(self).judge()

    def _steps(self) -> list[Callable[[], Awaitable[None]]]:
        theme, many = self.theme, self.orders
        of_100 = {self._restate: theme.restates, self._jump: theme.jumps, self._fail: theme.failing_commits}
        of_100 |= {self._end_session: theme.expires}
        steps = [self._submit] * many + [self._aim] * (self.kills * theme.deaths) + [self._kill]
        steps += [self._cancel] * (many * theme.wants_changes // 3) + [self._replace] * (
            many * theme.wants_changes // 4
        )
        steps += [self._repeat] * (many // 8) + [self._person] * (many // 6)
        steps += [self._market] * (many // 4) + [self._kick, self._reconcile, self._reconcile]
        for step, number in of_100.items():
            steps += [step] * -(-many * number // 100)
        if theme.has_neighbour:
            steps += [self._submit_to_other] * (many // 4)
        self.random.shuffle(steps)
        return steps

    def _arm(self) -> None:
        for shape in faults_of(self.seed, self.random):
            armed = self.venue.faults.arm(Fault(**shape))
            if armed.kind is FaultKind.ANSWER_STATUS and armed.status == TOO_MANY and armed.is_accepted:
                self.lies.add(armed.fault_id)
        if self.theme.has_neighbour:
            other = self.world.benches[OTHER].face.venue.faults
            for kind in (FaultKind.LOSE_REQUEST, FaultKind.REFUSE_UPGRADE):
                other.arm(Fault(kind=kind, times=0))
            for session in list(self.world.benches[OTHER].face.sessions.values()):
                session.kick(1011)

    async def _heal(self) -> None:
        """The faults stop; a process that is about to end has ended."""
        self.is_quiet = True
        if self.world.has_failed:
            await self.world.kill()
        self.world.arm("", 0)
        self.world.failing_commit = ""
        for bench in self.world.benches.values():
            faults = bench.face.venue.faults
            faults.clear()
            for gate in list(faults.barriers.waiting()):
                faults.barriers.release(gate)
        self.world.pump()

    async def _survive(self) -> None:
        """A process that has died is started again, as often as it takes."""
        while self.world.is_dead:
            await self.world.bury()
            self.referee.settle_hearing(is_dead=True)
            self.referee.check_file()
            self.check()
            await asyncio.sleep(self.random.choice((0, 0.01, 1)))
            if self.random.random() < 0.4 and not self.is_quiet:
                self._take_aim(2)
            await self.world.start(is_ready=self.random.random() < 0.5)

    async def bear(self, step: Callable[[], Awaitable[None]]) -> None:
        """A call may be refused, a caller does not wait for ever, and the process may die under it."""
        call = asyncio.ensure_future(step())
        await asyncio.wait([call, self.world.death], timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if not call.done():
            call.cancel()
            return
        try:
            call.result()
        except EngineError as error:
            if error.kind not in EXPECTED:
                raise
            if error.reason in REASONS:
                self.situations[REASONS[error.reason]] += 1
        except (JournalError, DeadError, asyncio.CancelledError):
            return

    def _unhandled(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback that failed ends the real process."""
        if "handle" in context:
            self.referee.breach(f"a callback failed: {context.get('exception')!r}")

    def check(self) -> None:
        """Raise BreachError when the referee has noted one."""
        self.referee.committed()
        if self.referee.breaches:
            raise BreachError("\n".join(self.referee.breaches[:10]))

    # ---------------------------------------------------------------------------------------------------------- steps

    async def _submit(self) -> None:
        await self._say(f"k-{len(self.ids) + self.random.randrange(1_000_000) * 1000}", ACCOUNT)

    async def _submit_to_other(self) -> None:
        self.situations["broker of the other account dead"] += 1
        await self._say(f"n-{len(self.ids) + self.random.randrange(1_000_000) * 1000}", OTHER)

    async def _repeat(self) -> None:
        if self.ids:
            key = self.random.choice(sorted(self.ids))
            await self._say(key, OTHER if key.startswith("n-") else ACCOUNT)

    async def _say(self, key: str, account_id: str) -> None:
        wait = self.random.choice((Wait.JOURNAL, Wait.JOURNAL, Wait.BROKER))
        order_id, is_replay = await self.world.submit(
            client_order_id=key, account_id=account_id, wait=wait, **asked(key)
        )
        self.referee.committed()
        if self.referee.by_key.get((account_id, key)) != order_id or self.ids.setdefault(key, order_id) != order_id:
            self.referee.breach(f"{key} was answered with {order_id}, which is not its order in the journal")
        self.fresh[key] += not is_replay
        if self.fresh[key] > 1:
            self.referee.breach(f"{key} was new twice")

    async def _cancel(self) -> None:
        if self.ids:
            order_id = self.ids[self.random.choice(sorted(self.ids))]
            await self.world.cancel(order_id, wait=self.random.choice((Wait.JOURNAL, Wait.BROKER)))

    async def _replace(self) -> None:
        if keys := sorted(self.ids):
            number = self.random.randrange(1_000_000)
            ask = ReplaceAsk(request_id=f"r-{number}", quantity=Decimal(self.random.randint(2, 12)))
            if self.random.random() < 0.3:
                ask = ReplaceAsk(request_id=f"r-{number}", time_in_force=TimeInForce.GTC)
            await self.world.replace(self.ids[self.random.choice(keys)], ask)

    async def _person(self) -> None:
        """Somebody at the broker's own screen, or the market itself."""
        at_the_screen = (self._buy_by_hand, self._cancel_by_hand, self._replace_by_hand, self._trade, self._trade_late)
        self.random.choice(at_the_screen)()
        self.world.pump()

    def _open(self) -> list[VenueOrder]:
        account = next(iter(self.venue.state.accounts.values()))
        return sorted(self.venue.state.book.open_of_account(account.account_id), key=lambda order: order.sequence)

    def _buy_by_hand(self) -> None:
        account = next(iter(self.venue.state.accounts.values()))
        self.venue.submit(
            account,
            NewOrder(
                symbol="F",
                side=Side.BUY,
                type=OrderType.LIMIT,
                time_in_force=VenueTimeInForce.DAY,
                quantity=Decimal(3),
                limit_price=Decimal(self.random.choice((5, 20))),
                client_order_id=f"hand-{self.random.randrange(10**9)}",
            ),
        )

    def _cancel_by_hand(self) -> None:
        if orders := [order for order in self._open() if order.order_class is not VenueClass.MLEG or order.leg_ids]:
            self.venue.end(self.random.choice(orders).order_id, Status.CANCELED)

    def _replace_by_hand(self) -> None:
        if orders := [order for order in self._open() if order.order_class is not VenueClass.MLEG]:
            change = Change(quantity=Decimal(self.random.randint(2, 12)))
            self.venue.replace_by_person(self.random.choice(orders).order_id, change)

    def _trade(self) -> None:
        if orders := self._open():
            order = self.random.choice(orders)
            is_working = order.status in {Status.NEW, Status.PARTIALLY_FILLED}
            if is_working and order.leaves > 1 and order.order_class is not VenueClass.MLEG:
                self.venue.fill(order.order_id, Decimal(1))

    def _trade_late(self) -> None:
        """A fill that comes after the end."""
        ended = [
            order
            for order in self.venue.ledger.orders.values()
            if order.status is Status.CANCELED and order.leaves and order.order_class is VenueClass.SIMPLE
        ]
        if ended:
            order = self.random.choice(ended)
            self.venue.fill(order.order_id, self.random.choice((order.leaves, Decimal(1))))

    async def _restate(self) -> None:
        """The venue takes an execution back, or corrects it."""
        executions = self.venue.ledger.executions.values()
        simple = [
            e
            for e in executions
            if e.state is ExecutionState.LIVE and self.venue.find(e.order_id).order_class is VenueClass.SIMPLE
        ]
        if not simple:
            return
        execution = self.random.choice(simple[-4:])
        if self.random.random() < 0.5:
            self.venue.bust(execution.execution_id)
        else:
            self.venue.correct(execution.execution_id, execution.quantity, execution.price + Decimal("0.5"))
        self.world.pump()

    async def _market(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        middle = {"KO": 86, "F": 11, "AMD": 160}[symbol] * Decimal(self.random.choice(("0.97", "1", "1.03")))
        price = middle.quantize(Decimal("0.01"))
        self.venue.set_quote(symbol, price, price + Decimal("0.01"))
        self.world.pump()

    async def _end_session(self) -> None:
        self.venue.expire_day()
        self.world.pump()

    async def _kick(self) -> None:
        for session in list(self.world.face.sessions.values()):
            session.kick(1011)

    async def _reconcile(self) -> None:
        await self.world.reconcile()

    async def _jump(self) -> None:
        """Somebody sets the clock."""
        jump = self.random.choice(JUMPS)
        self.situations["wall clock forward" if jump > timedelta(0) else "wall clock back"] += 1
        self.world.clock.skew = jump if self.random.random() < 0.8 else timedelta(0)

    async def _fail(self) -> None:
        """A commit fails: it is in the file, or it is not."""
        self.world.failing_commit = self.random.choice(("lost", "kept"))

    async def _kill(self) -> None:
        await self.world.kill()
        self.referee.settle_hearing(is_dead=True)

    async def _aim(self) -> None:
        self._take_aim(6)

    def _take_aim(self, most: int) -> None:
        """Die soon, in the middle of something."""
        place = self.random.choice((*PLACES, *RARE_PLACES))
        self.world.arm(place, 1 if place in RARE_PLACES else self.random.randint(1, most))

    # ------------------------------------------------------------------------------------------------------- counting

    def _count(self) -> None:
        """What happened on this day, besides what its events tell."""
        for bench in self.world.benches.values():
            for fired in bench.face.venue.faults.fired:
                if name := FIRED_AS.get(fired.kind):
                    self.situations[name] += 1
        lies = sum(fired.fault_id in self.lies for fired in self.venue.faults.fired)
        self.situations["taken and answered 429"] += lies
        for place, times in self.world.places.items():
            name = {"failed commit": "failed commit", "in recovery": "died in recovery"}.get(place, f"died {place}")
            self.situations[name] += times


@dataclass(frozen=True)
class Told:
    """What is left of a day."""

    digest: str
    situations: Counter[str]
    slowest_s: float
    """Virtual seconds from the last fault to agreement, at most."""


def live(seed: int, directory: Path, *, orders: int = 40, kills: int = 3, of: type[Day] = Day) -> Told:
    """Live one day of this kind. Raises BreachError or whatever else went wrong."""

    async def main() -> Told:
        day = of(seed=seed, world=_world(seed, directory, of), orders=orders, kills=kills)
        await day.run()
        return Told(digest(day.world.database), day.situations, day.slowest_s)

    told = run_virtual(main)
    sound(directory / "orderd.db")
    return told


def _world(seed: int, directory: Path, of: type[Day]) -> World:
    theme = theme_of(seed)
    of_venue, of_policy = of.chosen(seed)
    policy = {"parallel_submits": 3, "reconcile_interval_s": (5, 10, 25)[seed // 3 % 3]}
    return World(
        directory,
        seed,
        venue_options={"partial_rate": Decimal("0.3"), "carries_fills": theme.carries_fills, **of_venue},
        policy=policy | dict(theme.policy) | dict(of_policy),
        account_ids=(ACCOUNT, OTHER) if theme.has_neighbour else (ACCOUNT,),
        slowest_commit_s=theme.slowest_commit_s,
        has_desk=of.has_desk,
    )


def digest(database: Path) -> str:
    """The hash of every event's bytes."""
    total = hashlib.sha256()
    for body in journal_bytes(database):
        total.update(body)
    return total.hexdigest()
