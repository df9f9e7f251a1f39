"""What the server asks of the engine: plain values in, plain values out, `EngineError` when nothing was recorded."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from orderd.core.assets import Asset
from orderd.core.facts import Verdicts, View
from orderd.core.order import Mode, Order, OrderIntent, OrderState, TimeInForce
from orderd.core.values import Reason, Value
from orderd.ports import BrokerAccount, Discrepancy, Entry, Journal
from orderd.risk.limits import TradingState


class Wait(StrEnum):
    """How long a call waits: for the journal, or for the broker's word."""

    JOURNAL = "JOURNAL"
    BROKER = "BROKER"


class SubmitResult(Value, frozen=True, kw_only=True):
    """The order as it stands now; `replayed` when the key had been used before."""

    order: Order
    replayed: bool


class Preview(Value, frozen=True, kw_only=True):
    """What a submit would do. Money in the account's currency."""

    valid: bool
    denial: Reason | None
    complaint: str
    estimated_cost: Decimal | None
    broker_request: bytes
    asset: Asset | None = None
    """The instrument in the broker's words, None when they are not known."""


class OrderRef(Value, frozen=True, kw_only=True):
    """Names an order: exactly one of the ids is set; `account_id` narrows the latter two (empty = the only account)."""

    order_id: str = ""
    client_order_id: str = ""
    broker_order_id: str = ""
    account_id: str = ""


class ReplaceAsk(Value, frozen=True, kw_only=True):
    """New terms; None keeps the old one."""

    request_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    time_in_force: TimeInForce | None = None
    expected_version: int = 0
    reason: str = ""


class ResolveAsk(Value, frozen=True, kw_only=True):
    """An operator's word about an order: what became of it, why, on what it rests, who says so."""

    verdict: Verdicts
    reason: str
    evidence: str
    operator_name: str = ""
    broker_order_id: str = ""
    """With ADOPT."""
    state: OrderState | None = None
    """With ENDED, like the two below."""
    filled_quantity: Decimal | None = None
    average_price: Decimal | None = None
    execution_id: str = ""
    """With BUSTED."""
    expected_version: int = 0


class CancelAllAsk(Value, frozen=True, kw_only=True):
    """Which open orders to cancel: entries; protective and external ones only when asked."""

    account_id: str
    symbols: tuple[str, ...] = ()
    include_protective: bool = False
    include_external: bool = False
    reason: str = ""


class CancelResult(Value, frozen=True, kw_only=True):
    """One order of a CancelAll; an empty `error_reason` means its cancel stands."""

    order_id: str
    error_reason: str = ""
    message: str = ""


class AccountStatus(Value, frozen=True, kw_only=True):
    """One configured account and how well we know it. Ages in seconds, None = never."""

    account_id: str
    broker: str
    mode: Mode
    is_recovering: bool
    halt_reason: str
    trading_state: TradingState
    trading_state_reason: str
    stream_connected: bool
    stream_changed_time: datetime | None
    reconciled_time: datetime | None
    reconcile_age_s: float | None
    open_orders: int
    unknown_orders: int
    open_discrepancies: int
    figures: BrokerAccount | None = None
    """Fresh from the broker for GetAccount; None in lists or when the broker cannot be read."""
    figures_error: str = ""


class ReconcileStage(StrEnum):
    STARTED = "STARTED"
    FETCHED = "FETCHED"
    APPLIED = "APPLIED"
    DONE = "DONE"
    FAILED = "FAILED"


class ReconcileProgress(Value, frozen=True, kw_only=True):
    """How far a reconciliation is and what it found so far."""

    stage: ReconcileStage
    account_id: str
    broker_orders: int = 0
    local_orders: int = 0
    fills_booked: int = 0
    orders_changed: int = 0
    orders_imported: int = 0
    discrepancies_opened: int = 0
    message: str = ""


class PairedOrder(Value, frozen=True, kw_only=True):
    """A broker order beside ours; one of them is missing for an orphan."""

    view: View | None
    broker_json: bytes
    order_id: str = ""
    state: OrderState | None = None
    client_order_id: str = ""
    agrees: bool = False


class Feed(Protocol):
    """The journal as a stream: reads by sequence, a bell, no queues."""

    @property
    def head(self) -> int:
        """Sequence of the last committed event."""
        ...

    @property
    def oldest(self) -> int:
        """The smallest `after_sequence` that can still be read from."""
        ...

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        """Committed events with a greater sequence, oldest first; empty when there are none yet.

        Raises CompactedError when events after `after` are no longer kept.
        """
        ...

    async def changed(self, after: int, timeout_s: float) -> bool:
        """Wait until the head is beyond `after` (True) or the time is up (False). No queue, no memory per waiter."""
        ...


class Engine(Protocol):
    """Everything the services call."""

    @property
    def journal(self) -> Journal: ...

    @property
    def feed(self) -> Feed: ...

    def account_ids(self) -> Sequence[str]:
        """Configured accounts, in configuration order."""
        ...

    async def submit(self, intent: OrderIntent, *, wait: Wait, timeout_s: float) -> SubmitResult:
        """Write it down, hand it to the submit worker, wait as asked but at most `timeout_s`."""
        ...

    async def preview(self, intent: OrderIntent) -> Preview:
        """Judge it and show the broker request; store and send nothing."""
        ...

    def find(self, ref: OrderRef) -> str:
        """The order id a reference names. NOT_FOUND otherwise. Synchronous."""
        ...

    async def cancel(self, ref: OrderRef, *, reason: str, wait: Wait, timeout_s: float) -> Order:
        """Ask for a cancel; repeats are fine; another end is FAILED_PRECONDITION with the order."""
        ...

    async def cancel_all(self, ask: CancelAllAsk) -> Sequence[CancelResult]:
        """Ask for the cancel of every matching open order."""
        ...

    async def replace(self, ref: OrderRef, ask: ReplaceAsk, *, timeout_s: float) -> Order:
        """Ask for new terms in place; the answer shows them pending or proven."""
        ...

    async def account_status(self, account_id: str, *, fresh: bool) -> AccountStatus:
        """How the account stands; `fresh` asks the broker for its figures."""
        ...

    def reconcile(self, account_id: str) -> AsyncIterator[ReconcileProgress]:
        """Run a full reconciliation now (or join the one running)."""
        ...

    async def broker_orders(self, account_id: str) -> Sequence[PairedOrder]:
        """The broker's open and recent orders beside ours, orphans both ways."""
        ...

    async def resume_account(self, account_id: str, *, reason: str) -> AccountStatus:
        """Let a halted account trade again."""
        ...

    async def resolve_discrepancy(self, discrepancy_id: str, *, reason: str, operator_name: str) -> Discrepancy:
        """Close a discrepancy by an operator's word. NOT_FOUND, resolved already, or it still stands."""
        ...

    async def resolve_order(self, ref: OrderRef, ask: ResolveAsk) -> Order:
        """Record an operator's word about an order, after the broker was asked."""
        ...
