"""Everything the venue knows, and the agenda of what is due. The rules are in the modules beside this one."""

import heapq
import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from orderd.venue.assets import Asset, Assets
from orderd.venue.book import Book
from orderd.venue.dialect import DuplicateIds
from orderd.venue.ledger import Ledger
from orderd.venue.money import ZERO
from orderd.venue.orders import Event, EventKind, Execution, Order
from orderd.venue.quotes import Quote, Quotes
from orderd.venue.sessions import Phase, Sessions

if TYPE_CHECKING:
    from orderd.venue.accounts import Account

ULID_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
ULID_LENGTH: Final = 26


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How the venue behaves. Delays are the venue's own; the network's are the test's business."""

    route_delay: timedelta = timedelta(milliseconds=1)
    """From accepting an order to working it (pending_new to new)."""
    fill_delay: timedelta = timedelta(milliseconds=1)
    """From being marketable to trading."""
    refill_delay: timedelta = timedelta(milliseconds=5)
    """From a partial fill to the next look at the remainder."""
    cancel_delay: timedelta = timedelta(milliseconds=1)
    replace_delay: timedelta = timedelta(milliseconds=1)
    partial_rate: Decimal = Decimal("0.1")
    """Share of eligible fills that are partial (reference, section 13)."""
    is_auto_fill: bool = True
    """Off: nothing trades until a test says so."""
    tells_pending: bool = False
    """Whether pending_cancel and pending_replace are sent as events (the broker often skips them)."""
    carries_fills: bool = True
    """Whether a replace's successor starts with its predecessor's filled quantity (unknown for Alpaca)."""
    refuses_wash_trades: bool = True
    duplicate_ids: DuplicateIds = DuplicateIds.FOR_EVER
    has_fees: bool = False


class State:
    """The venue's memory. One thread, no clock: `now` moves only when the venue is advanced."""

    def __init__(
        self, *, settings: Settings, rng: random.Random, now: datetime, sessions: Sessions, assets: Assets
    ) -> None:
        self.settings = settings
        self.now = now
        self.sessions = sessions
        self.assets = assets
        self.accounts: dict[str, Account] = {}
        self.book = Book()
        self.quotes = Quotes()
        self.ledger = Ledger()
        # One stream a purpose: a test that makes one more id does not change which fills are partial.
        self.chance = random.Random(rng.getrandbits(64))
        self.attempts: set[str] = set()
        self.sweeps: set[datetime] = set()
        self.listeners: list[Callable[[Event], None]] = []
        self._id_source = random.Random(rng.getrandbits(64))
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._scheduled = 0
        self._sequence = 0
        self._event_number = 0

    # --- time -------------------------------------------------------------------------------------

    def schedule(self, at: datetime, action: Callable[[], None]) -> None:
        """Do something when the venue is advanced to that moment; equal moments in order of scheduling."""
        self._scheduled += 1
        heapq.heappush(self._agenda, (at, self._scheduled, action))

    def after(self, delay: timedelta, action: Callable[[], None]) -> None:
        """Do something that long from now."""
        self.schedule(self.now + delay, action)

    def next_due(self) -> datetime | None:
        """When something is to be done next."""
        return self._agenda[0][0] if self._agenda else None

    def advance(self, now: datetime) -> None:
        """Do everything due up to that moment, each at its own time. Time never goes back."""
        while self._agenda and self._agenda[0][0] <= now:
            at, _, action = heapq.heappop(self._agenda)
            self.now = max(self.now, at)
            action()
        self.now = max(self.now, now)

    # --- names ------------------------------------------------------------------------------------

    def new_id(self) -> str:
        """A seeded UUID."""
        return str(uuid.UUID(int=self._id_source.getrandbits(128), version=4))

    def next_sequence(self) -> int:
        """The arrival number of an order."""
        self._sequence += 1
        return self._sequence

    def _event_id(self) -> str:
        """A ULID: milliseconds, then a counter, so that ids of one venue rise strictly."""
        self._event_number += 1
        number = int(self.now.timestamp() * 1000) << 80 | self._event_number << 24 | self._id_source.getrandbits(24)
        return "".join(ULID_DIGITS[number >> shift & 31] for shift in range(5 * (ULID_LENGTH - 1), -1, -5))

    # --- looking up -------------------------------------------------------------------------------

    def asset(self, symbol: str) -> Asset:
        """An instrument that is known to be listed."""
        found = self.assets.find(symbol)
        if found is None:
            raise LookupError(symbol)
        return found

    def quote(self, symbol: str) -> Quote:
        """The market in a listed symbol."""
        return self.quotes.open(self.asset(symbol))

    def phase(self) -> Phase:
        """What trades now."""
        return self.sessions.phase(self.now)

    # --- telling ----------------------------------------------------------------------------------

    def put(self, order: Order) -> Order:
        """Store a version of an order, stamped with the time."""
        order = msgspec.structs.replace(order, updated_at=self.now)
        self.book.put(order)
        self.ledger.keep(order)
        return order

    def tell(
        self,
        kind: EventKind,
        order: Order,
        *,
        execution: Execution | None = None,
        leg_executions: tuple[Execution, ...] = (),
        previous_execution_id: str = "",
        traded: tuple[Decimal, Decimal] | None = None,
    ) -> Event:
        """Tell every listener what happened to an order."""
        if execution is not None:
            traded = (execution.quantity, execution.price)
        event = Event(
            quantity=traded[0] if traded else None,
            price=traded[1] if traded else None,
            event_id=self._event_id(),
            kind=kind,
            account_id=order.account_id,
            at=self.now,
            order=order,
            legs=self.book.legs(order),
            execution_id=self._execution_id(kind, execution, leg_executions),
            execution=execution,
            leg_executions=leg_executions,
            position_quantity=self._held(order.account_id, execution.symbol) if execution else None,
            position_quantities=tuple(
                (each.symbol, self._held(order.account_id, each.symbol)) for each in leg_executions
            ),
            previous_execution_id=previous_execution_id,
        )
        self.ledger.tell(event)
        for listener in list(self.listeners):
            listener(event)
        return event

    def _execution_id(self, kind: EventKind, execution: Execution | None, leg_executions: tuple[Execution, ...]) -> str:
        """pending_new has none, multi-leg fills have one a leg, everything else has its own (reference, 8)."""
        if execution is not None:
            return execution.execution_id
        return "" if kind is EventKind.PENDING_NEW or leg_executions else self.new_id()

    def _held(self, account_id: str, symbol: str) -> Decimal:
        account = self.accounts.get(account_id)
        return account.held(symbol) if account else ZERO
