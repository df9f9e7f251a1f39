"""What is remembered of an account's risk: its trading state and its circuit breaker.

Rule: a stricter state holds at once, a freer one when it is durable; both outlive the process.
"""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from orderd.core.order import EventSource
from orderd.core.values import AccountId, Reason, Value
from orderd.ports import Calendar, Clock, Journal
from orderd.risk import breaker as breakers
from orderd.risk.breaker import Base, Breaker, Correction, Fact, Reset, Result
from orderd.risk.limits import Limits, TradingState

_STRICTNESS: Final = {TradingState.ACTIVE: 0, TradingState.REDUCING: 1, TradingState.HALTED: 2}


class RiskState(Value, frozen=True, kw_only=True):
    """The durable part of an account's risk. `reason` and `changed_time` are of the trading state."""

    trading_state: TradingState = TradingState.ACTIVE
    freeze_protection: bool = False
    reason: Reason | None = None
    changed_time: datetime | None = None
    breaker: Breaker = Breaker()
    version: int = 0

    @property
    def strictness(self) -> int:
        """How little passes."""
        return _STRICTNESS[self.trading_state] + self.freeze_protection


class Keeper(Protocol):
    """Where the state is kept."""

    async def load(self, account_id: AccountId) -> RiskState | None:
        """What was kept last, None for a new account."""
        ...

    async def keep(self, account_id: AccountId, before: RiskState, after: RiskState, fact: Fact | None) -> None:
        """Keep the next state; `fact` is what the breaker was told, None for a change of the trading state."""
        ...


class MarkKeeper:
    """Keeps the state as a durable mark of the journal."""

    def __init__(self, journal: Journal) -> None:
        """One mark for each account."""
        self._journal = journal

    async def load(self, account_id: AccountId) -> RiskState | None:
        """What was kept last."""
        kept = await self._journal.mark(f"risk:{account_id}")
        return None if kept is None else msgspec.json.decode(kept, type=RiskState)

    async def keep(self, account_id: AccountId, before: RiskState, after: RiskState, fact: Fact | None) -> None:
        """Keep the next state."""
        del before, fact
        await self._journal.set_mark(f"risk:{account_id}", msgspec.json.encode(after).decode())


class RiskBook:
    """One account's risk state: read synchronously by the gate, changed by commands and results."""

    def __init__(
        self, account_id: AccountId, limits: Limits, *, clock: Clock, calendar: Calendar, keeper: Keeper
    ) -> None:
        """Nothing is known before `load`."""
        self._account_id = account_id
        self._limits = limits
        self._clock = clock
        self._calendar = calendar
        self._keeper = keeper
        self._lock = asyncio.Lock()
        self.state = RiskState()

    async def load(self) -> None:
        """Take up what the last process left."""
        self.state = await self._keeper.load(self._account_id) or self.state
        if self._limits.has_breaker:
            await self._calendar.ready()

    # --------------------------------------------------------------------------------------------------------- reading

    def today(self) -> datetime:
        """The day that counts now, by its regular open."""
        return self._calendar.day_of(self._clock.now())

    def day(self) -> Breaker:
        """The breaker as of today."""
        return self.state.breaker.on(self.today())

    @property
    def needs_base(self) -> bool:
        """Whether the day's loss limit has nothing to be a share of yet."""
        return self._limits.max_daily_loss_percent is not None and self.day().base is None

    # -------------------------------------------------------------------------------------------------------- changing

    async def set_trading_state(
        self, trading_state: TradingState, *, reason: str, operator_name: str, freeze_protection: bool = False
    ) -> RiskState:
        """An operator's word, kept across restarts."""
        async with self._lock:
            before = self.state
            after = msgspec.structs.replace(
                before,
                trading_state=trading_state,
                freeze_protection=freeze_protection,
                reason=Reason(
                    code=f"TRADING_{trading_state}",
                    message=reason,
                    origin=EventSource.OPERATOR,
                    operator_name=operator_name,
                ),
                changed_time=self._clock.now(),
                version=before.version + 1,
            )
            if after.strictness > before.strictness:
                self.state = after
            await self._keeper.keep(self._account_id, before, after, None)
            self.state = after
            return after

    async def base(self, equity: Decimal) -> None:
        """The broker's last equity, read today: the first one of a day stands."""
        now = self._clock.now()
        await self._tell(Base(at=now, day=self._calendar.day_of(now), equity=equity))

    async def result(self, pnl: Decimal, at: datetime) -> None:
        """A trade, or a slice of one, was completed."""
        await self._tell(Result(at=at, day=self._calendar.day_of(at), pnl=pnl))

    async def correction(self, change: Decimal, *, at: datetime, traded: datetime) -> None:
        """A trade that was completed at `traded` was restated."""
        await self._tell(Correction(at=at, day=self._calendar.day_of(traded), change=change))

    async def reset_breaker(self) -> RiskState:
        """An operator lets entries go on."""
        now = self._clock.now()
        await self._calendar.ready()
        await self._tell(Reset(at=now, day=self._calendar.day_of(now)))
        return self.state

    async def _tell(self, fact: Fact) -> None:
        """Fold a fact in and keep what comes of it; what comes of nothing is not kept."""
        async with self._lock:
            before = self.state
            told = breakers.fold(before.breaker, fact, self._limits)
            if told == before.breaker and not isinstance(fact, Reset):
                return
            after = msgspec.structs.replace(before, breaker=told, version=before.version + 1)
            if told.trip is not None:
                self.state = after
            await self._keeper.keep(self._account_id, before, after, fact)
            self.state = after
