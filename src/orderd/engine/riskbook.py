"""What is remembered of an account's risk: its trading state and its circuit breaker.

Rule 1: a stricter state holds at once, a freer one when it is durable; both outlive the process.
Rule 2: what is counted is kept in a mark, what is told is a record's next version, in one transaction with it.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
import structlog

from orderd.core.order import EventSource
from orderd.core.records import RecordKind
from orderd.core.values import AccountId, Reason
from orderd.ports import Calendar, Clock, Journal, Record, RecordChange
from orderd.risk import breaker as breakers
from orderd.risk.breaker import Base, Breaker, Fact, Morning, Reset, Result
from orderd.risk.limits import Limits, TradingState
from orderd.risk.state import RiskEvent, RiskState, breaker_event
from orderd.wire.risk import risk_event_bytes, status_message

log = structlog.get_logger("orderd.risk")

_decode = msgspec.json.Decoder(RiskState).decode
Marks = Sequence[tuple[str, str]]
OPERATOR_RESET = "RESET_BY_OPERATOR"
NEXT_DAY = "NEXT_DAY"


class RiskBook:
    """One account's risk state: read synchronously by the gate, changed by commands and results."""

    def __init__(
        self, account_id: AccountId, limits: Limits, *, clock: Clock, calendar: Calendar, journal: Journal
    ) -> None:
        """Nothing is known before `load`."""
        self._account_id = account_id
        self._limits = limits
        self._clock = clock
        self._journal = journal
        self.calendar = calendar
        self._lock = asyncio.Lock()
        self.state = RiskState()

    async def load(self) -> None:
        """Take up what the last process left."""
        kept = await self._journal.mark(self._mark)
        self.state = self.state if kept is None else _decode(kept)
        if self._limits.has_breaker:
            await self.calendar.ready()

    @property
    def _mark(self) -> str:
        return f"risk:{self._account_id}"

    # --------------------------------------------------------------------------------------------------------- reading

    def today(self) -> datetime:
        """The day that counts now, by its regular open."""
        return self.calendar.day_of(self._clock.now())

    def day(self) -> Breaker:
        """The breaker as of today."""
        return self.state.breaker.on(self.today())

    @property
    def needs_base(self) -> bool:
        """Whether the day's loss limit has nothing to be a share of yet."""
        return self._limits.max_daily_loss_percent is not None and self.day().base is None

    @property
    def is_over(self) -> bool:
        """Whether the breaker is open by a trip of an earlier day, which nobody has told yet."""
        return self.state.breaker.trip is not None and self.day().trip is None

    @property
    def record_id(self) -> str:
        """The id of its record."""
        return f"risk-{self._account_id}"

    # -------------------------------------------------------------------------------------------------------- changing

    async def set_trading_state(
        self, trading_state: TradingState, *, reason: str, operator_name: str, freeze_protection: bool = False
    ) -> RiskState:
        """An operator's word, kept across restarts."""
        word = _word(f"TRADING_{trading_state}", reason, operator_name)
        async with self._lock:
            after = msgspec.structs.replace(
                self.state,
                trading_state=trading_state,
                freeze_protection=freeze_protection,
                reason=word,
                changed_time=self._clock.now(),
            )
            if after.strictness > self.state.strictness:
                self.state = after
            return await self._keep(after, RiskEvent.TRADING_STATE_CHANGED, word)

    async def flattened(self, reason: str, operator_name: str) -> RiskState:
        """The kill switch was used."""
        async with self._lock:
            return await self._keep(self.state, RiskEvent.ACCOUNT_FLATTENED, _word("FLATTENED", reason, operator_name))

    async def reset_breaker(self, reason: str, operator_name: str) -> RiskState:
        """An operator lets entries go on."""
        await self.calendar.ready()
        now = self._clock.now()
        fact = Reset(at=now, day=self.calendar.day_of(now))
        async with self._lock:
            after = msgspec.structs.replace(self.state, breaker=breakers.fold(self.state.breaker, fact, self._limits))
            word = _word(OPERATOR_RESET, reason, operator_name)
            log.info("circuit_breaker_reset", account_id=self._account_id, reason=reason, operator_name=operator_name)
            return await self._keep(after, RiskEvent.CIRCUIT_BREAKER_RESET, word)

    async def base(self, equity: Decimal) -> None:
        """The broker's last equity, read today: the first one of a day stands."""
        now = self._clock.now()
        await self._tell(Base(at=now, day=self.calendar.day_of(now), equity=equity))

    async def morning(self) -> None:
        """A day has begun: what was tripped yesterday is over."""
        now = self._clock.now()
        await self._tell(Morning(at=now, day=self.calendar.day_of(now)))

    async def result(
        self, result_id: str, pnl: Decimal | None, *, at: datetime, before: Decimal | None = None, marks: Marks = ()
    ) -> None:
        """What came of a trade, as it stands now, and (name, value) marks that are set with it."""
        fact = Result(result_id=result_id, at=at, day=self.calendar.day_of(at), pnl=pnl, before=before)
        await self._tell(fact, marks)

    async def _tell(self, fact: Fact, marks: Marks = ()) -> None:
        """Fold a fact in and keep what comes of it."""
        async with self._lock:
            before = self.state.breaker
            told = breakers.fold(before, fact, self._limits)
            if told == before and not marks:
                return
            after = msgspec.structs.replace(self.state, breaker=told)
            event = breaker_event(before, told)
            word: Reason | None = None
            if event is RiskEvent.CIRCUIT_BREAKER_TRIPPED and told.trip is not None:
                word = Reason(code=told.trip.cause, message=told.trip.message, origin=EventSource.RISK)
                self.state = after
                log.warning("circuit_breaker_tripped", account_id=self._account_id, reason=told.trip.message)
            elif event is RiskEvent.CIRCUIT_BREAKER_RESET:
                word = Reason(code=NEXT_DAY, message="its day is over", origin=EventSource.RISK)
                log.info("circuit_breaker_reset", account_id=self._account_id, reason="its day is over")
            await self._keep(after, event, word, marks)

    async def _keep(
        self, after: RiskState, event: RiskEvent | None, word: Reason | None, marks: Marks = ()
    ) -> RiskState:
        """Make it durable, then true. To be called under the lock."""
        changes: list[RecordChange] = []
        if event is not None:
            now = self._clock.now()
            created = after.created_time or now
            after = msgspec.structs.replace(after, version=after.version + 1, created_time=created)
            changes.append(self._change(after, event, word, now))
        kept = msgspec.json.encode(after).decode()
        await asyncio.shield(asyncio.ensure_future(self._write(changes, ((self._mark, kept), *marks))))
        self.state = after
        return after

    async def _write(self, changes: Sequence[RecordChange], marks: Marks) -> None:
        _ = await self._journal.record(changes, marks)

    def _change(self, after: RiskState, event: RiskEvent, word: Reason | None, now: datetime) -> RecordChange:
        day = after.breaker.day
        message = status_message(
            self._account_id, after, self._limits, day_end=None if day is None else self.calendar.next_open(day)
        )
        record = Record(
            record_id=self.record_id,
            kind=RecordKind.RISK,
            account_id=self._account_id,
            status=after.trading_state.value,
            is_open=True,
            created_time=after.created_time or now,
            version=after.version,
            body=message.SerializeToString(deterministic=True),
        )
        return RecordChange(record=record, event=risk_event_bytes(self._account_id, event, word, now))


def _word(code: str, message: str, operator_name: str) -> Reason:
    return Reason(code=code, message=message, origin=EventSource.OPERATOR, operator_name=operator_name)
