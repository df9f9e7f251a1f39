"""One configured account: its broker, its policy, and what is known of both right now."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from orderd.core.facts import Fact
from orderd.core.order import CLOSING_ROLES, EventSource, Mode, Order
from orderd.core.values import AccountId, OrderId
from orderd.engine.assets import Assets
from orderd.engine.blotter import Blotter
from orderd.engine.intake import Intake
from orderd.engine.riskbook import RiskBook
from orderd.ports import Broker, Calendar, Clock, Discrepancy, Ids, Journal, RawPayload
from orderd.risk.limits import Limits, Stake, TradingState

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How this account is traded. Durations in seconds."""

    mode: Mode
    limits: Limits
    reconcile_interval_s: float = 30
    submit_timeout_s: float = 10
    settle_s: float = 5
    send_within_s: float = 60
    parallel_submits: int = 4
    queue_limit: int = 10_000
    """Orders written down and not sent yet, beyond which submits are refused."""


class PositionCheck(Protocol):
    """Whoever compares positions; the desk, where there is one."""

    async def compare(self) -> None:
        """Compare what the broker holds with what the fills say. To be called at the end of a reconciliation."""
        ...

    async def accept(self, record: Discrepancy, *, reason: str, operator_name: str) -> None:
        """Book what differs as an adjustment, by an operator's word. Raises EngineError when it cannot be told now."""
        ...


class EndingError(asyncio.CancelledError):
    """The engine ends, and what was asked is not begun any more. To a task of its own it is a cancellation."""


class Tasks:
    """The account's tasks, born in the engine's TaskGroup: a failing one ends the process with its reason."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        """Tasks are born in `group`."""
        self._group = group
        self._named: dict[tuple[str, ...], asyncio.Task[None]] = {}
        self._again: set[tuple[str, ...]] = set()

    def start(self, coroutine: Coroutine[Any, Any, None], name: str) -> None:
        """Run to its end, whoever asked. Nothing is begun any more once the group is ending."""
        _ = self._begin(coroutine, name)

    def _begin(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None] | None":
        try:
            return self.hold(coroutine, name)
        except RuntimeError:  # the group is shutting down: what was to be done here, recovery takes up
            coroutine.close()
            return None

    def hold(self, coroutine: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Run, and keep the task to end it early."""
        return self._group.create_task(coroutine, name=name)

    def run(self, coroutine: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Run for a result that several may wait for (shielded). Raises EndingError once the group is ending."""
        try:
            return self._group.create_task(coroutine, name=name)
        except RuntimeError:
            coroutine.close()
            raise EndingError from None

    def start_once(self, work: Callable[[], Coroutine[Any, Any, None]], *name: str) -> None:
        """Run, or, when one of that name is running, run once more after it: what is asked meanwhile is not lost."""
        if name in self._named:
            self._again.add(name)
            return
        task = self._begin(work(), ":".join(name))
        if task is not None:
            self._named[name] = task
            task.add_done_callback(lambda done: self._ended(done, work, name))

    def _ended(
        self, task: "asyncio.Task[None]", work: Callable[[], Coroutine[Any, Any, None]], name: tuple[str, ...]
    ) -> None:
        del self._named[name]
        is_wanted = name in self._again
        self._again.discard(name)
        if is_wanted and not task.cancelled() and task.exception() is None:
            self.start_once(work, *name)


@dataclass(kw_only=True)
class Account:
    """What every worker of the account shares. Only the fields below the line change."""

    account_id: AccountId
    broker: Broker
    policy: Policy
    journal: Journal
    blotter: Blotter
    intake: Intake
    clock: Clock
    ids: Ids
    tasks: Tasks
    calendar: Calendar
    numbers: dict[str, str] = field(default_factory=dict)
    """The broker's account number of every configured account: no two may trade one account."""
    # ---- what changes
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    halt_reason: str = ""
    stream_connected: bool = False
    stream_changed_time: datetime | None = None
    reconciled_time: datetime | None = None
    reconciled_ns: int | None = None
    number: str = ""
    lost_since: datetime | None = None
    """The journal was restored from a backup, and what was traded since this time is not all taken up yet."""
    blocked_symbols: set[str] = field(default_factory=set)
    stakes_of: Callable[[str], Sequence[Stake]] = lambda _symbol: ()
    """The strategies that have something open in a symbol, by whoever attributes positions."""
    proven_exits: set[OrderId] = field(default_factory=set)
    """Orders that have not gone out yet and were proven to reduce when they were judged."""
    reconcile_wanted: asyncio.Event = field(default_factory=asyncio.Event)
    recovered: asyncio.Event = field(default_factory=asyncio.Event)

    replaces_to_send: set[tuple[OrderId, int]] = field(default_factory=set)
    """Replaces (order, number) recorded by this process that have not gone out yet."""
    stuck_replaces: set[OrderId] = field(default_factory=set)
    """Orders whose replace could not be proven in time: their cancel does not wait for it any more."""
    positions: PositionCheck | None = None
    watch: Callable[[Order], None] = lambda _order: None
    """Looks at an order for work that its flags ask for."""
    born_ns: dict[OrderId, int] = field(default_factory=dict)
    """Monotonic time of each unsent intent, so that a jumping wall clock makes nothing stale."""

    def __post_init__(self) -> None:
        """What is remembered of its risk begins empty, until it is loaded; nothing is known of instruments."""
        self.assets = Assets(self)
        self.risk = RiskBook(
            self.account_id,
            self.policy.limits,
            clock=self.clock,
            calendar=self.calendar,
            journal=self.journal,
        )

    def age_s(self, order: Order) -> float:
        """Seconds since the intent was written down, by the monotonic clock where this process saw it."""
        born = self.born_ns.get(order.order_id)
        if born is not None:
            return (self.clock.monotonic_ns() - born) / 1e9
        return max((self.clock.now() - order.created_time).total_seconds(), 0)

    def is_too_old(self, order: Order, *, ahead_s: float = 0) -> bool:
        """Whether it may no longer be sent (`ahead_s` seconds from now).

        A trade's own stop or exit has no age: its trade takes it back when it is not wanted any more.
        """
        valid_until = order.intent.valid_until_time
        if valid_until is None and order.intent.trade_id and order.intent.role in CLOSING_ROLES:
            return False
        if valid_until is not None:
            return self.clock.now() + timedelta(seconds=ahead_s) > valid_until
        return self.age_s(order) + ahead_s > self.policy.send_within_s

    def forbidden(self, order: Order) -> tuple[str, str] | None:
        """Why the trading state does not let this order out now, as code and text; None when it does."""
        risk, intent = self.risk.state, order.intent
        match risk.trading_state:
            case TradingState.HALTED if risk.freeze_protection or intent.role not in CLOSING_ROLES:
                return "TRADING_HALTED", "the account was halted before it was handed to the broker"
            case TradingState.REDUCING if not (intent.is_exit or order.order_id in self.proven_exits):
                return "TRADING_REDUCING", "only what reduces a position is handed to the broker"
            case _:
                return None

    def limit_text(self, order: Order) -> str:
        """Why an order is too old, for people."""
        valid_until = order.intent.valid_until_time
        if valid_until is not None:
            return f"not handed to the broker by {valid_until.isoformat()}"
        return f"not handed to the broker within {self.policy.send_within_s:g} s"

    @property
    def is_recovered(self) -> bool:
        """Whether the first full reconciliation of this process is done."""
        return self.recovered.is_set()

    @property
    def is_stopping(self) -> bool:
        """Whether the server drains: nothing new is sent, nothing new is looked up."""
        return self.stopping.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the moment the server begins to drain."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return

    def open_count(self) -> int:
        """How many orders of this account have no end."""
        return self.blotter.count(self.account_id)

    def may_send(self) -> bool:
        """Whether entries may leave now."""
        return self.is_recovered and not self.is_stopping and not self.halt_reason

    def raw(self, broker_order_id: str, kind: str, body: bytes) -> tuple[RawPayload, ...]:
        """The broker's own bytes as a row beside the event; none for an empty body."""
        if not body:
            return ()
        return (
            RawPayload(
                account_id=self.account_id,
                broker_order_id=broker_order_id,
                kind=kind,
                body=body,
                recorded_time=self.clock.now(),
            ),
        )

    async def take(self, order: Order, fact: Fact, raw: tuple[RawPayload, ...] = ()) -> Order:
        """Bring a fact in and return the order after its commit."""
        return (await self.intake.take(order.order_id, fact, raw)).order

    def legs(self, order: Order) -> list[Order]:
        """The legs of a complex order, in leg order."""
        legs = (self.blotter.get(leg_id) for leg_id in order.leg_order_ids)
        return [leg for leg in legs if leg is not None]

    async def take_with_legs(self, order: Order, fact: Fact, raw: tuple[RawPayload, ...] = ()) -> Order:
        """Bring in a fact about the whole submission: the parent first, and when it goes on its legs go along.

        When it ends, `Legs` ends them.
        """
        after = await self.take(order, fact, raw)
        if after.is_open:
            await asyncio.gather(*(self.intake.take(leg.order_id, fact) for leg in self.legs(after)))
        return after


ENGINE = EventSource.ENGINE
REPLY = EventSource.BROKER_REPLY
STREAM = EventSource.BROKER_STREAM
RECONCILER = EventSource.RECONCILER
OPERATOR = EventSource.OPERATOR
