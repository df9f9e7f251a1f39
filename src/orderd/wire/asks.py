"""What a checked request says, in core values; or everything that is wrong with it.

The names of the query fields are those of the journal's filters (ports.py), so that one becomes the other by name.
"""

from datetime import datetime
from decimal import Decimal
from typing import Final

from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Verdicts
from orderd.core.order import AssetClass, OrderIntent, OrderRole, OrderState, Side, TimeInForce
from orderd.core.values import Value
from orderd.wire.enums import WaitFor

INVALID_FIELDS: Final = "INVALID_FIELDS"
KEY_REQUIRED: Final = "KEY_REQUIRED"
ACCOUNT_REQUIRED: Final = "ACCOUNT_REQUIRED"
INVALID_PAGE_TOKEN: Final = "INVALID_PAGE_TOKEN"


class Violation(Value, frozen=True, kw_only=True):
    """One problem of one field: its path in the request, and the rule it breaks. Never the value itself."""

    field: str
    rule: str


class Invalid(Value, frozen=True, kw_only=True):
    """Every problem of a request. `reason` is an `oms.v1.ErrorReason` without its prefix."""

    reason: str
    violations: tuple[Violation, ...]


class OrderName(Value, frozen=True, kw_only=True):
    """How a caller names an order: exactly one id; `account_id` as the caller gave it, perhaps empty."""

    order_id: str = ""
    client_order_id: str = ""
    broker_order_id: str = ""
    account_id: str = ""


class SubmitAsk(Value, frozen=True, kw_only=True):
    """A well-formed order. `wait` is None when the caller left it open."""

    intent: OrderIntent
    wait: WaitFor | None


class BatchAsk(Value, frozen=True, kw_only=True):
    """A batch whose size and wait are in order; its orders are checked one by one."""

    wait: WaitFor | None


class GetAsk(Value, frozen=True, kw_only=True):
    """One order to read; `is_full` asks for the decision and the broker's record, too."""

    order: OrderName
    is_full: bool


class CancelAsk(Value, frozen=True, kw_only=True):
    """One order to cancel."""

    order: OrderName
    reason: str
    wait: WaitFor | None


class CancelAllAsk(Value, frozen=True, kw_only=True):
    """Which open orders of one account to cancel; no symbols means all."""

    account_id: str
    symbols: tuple[str, ...]
    include_protective: bool
    include_external: bool
    reason: str


class ReplaceAsk(Value, frozen=True, kw_only=True):
    """New terms for one order; None keeps the old one. `expected_version` 0: not asked."""

    order: OrderName
    request_id: str
    quantity: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail: Decimal | None
    time_in_force: TimeInForce | None
    expected_version: int
    reason: str


class OrderQuery(Value, frozen=True, kw_only=True):
    """Which orders: AND between fields, OR inside one, empty = all. Both ends of a time range are left out."""

    account_ids: tuple[str, ...] = ()
    states: tuple[OrderState, ...] = ()
    open_only: bool = False
    symbols: tuple[str, ...] = ()
    underlyings: tuple[str, ...] = ()
    expires_on_or_after: str = ""
    expires_on_or_before: str = ""
    asset_classes: tuple[AssetClass, ...] = ()
    sides: tuple[Side, ...] = ()
    roles: tuple[OrderRole, ...] = ()
    strategies: tuple[str, ...] = ()
    strategy_types: tuple[str, ...] = ()
    is_external: bool | None = None
    trace_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    created_after: datetime | None = None
    created_before: datetime | None = None


class FillQuery(Value, frozen=True, kw_only=True):
    """Which fills, by recorded time; both ends of the range are left out."""

    account_ids: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None


class OrdersAsk(Value, frozen=True, kw_only=True):
    """A page of orders."""

    where: OrderQuery
    page_size: int


class FillsAsk(Value, frozen=True, kw_only=True):
    """A page of fills."""

    where: FillQuery
    page_size: int


class StoryAsk(Value, frozen=True, kw_only=True):
    """A page of one order's events."""

    order_id: str
    page_size: int


class StreamAsk(Value, frozen=True, kw_only=True):
    """What a subscriber wants. `after_sequence` None: live from now. The heartbeat is within its bounds."""

    account_ids: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    after_sequence: int | None = None
    journal_id: str = ""
    with_snapshot: bool = False
    heartbeat_ms: int


class DeskStreamAsk(Value, frozen=True, kw_only=True):
    """What a subscriber to the desk's events wants; `types` are numbers of `DeskEventType`."""

    account_ids: tuple[str, ...] = ()
    types: tuple[int, ...] = ()
    symbols: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    after_sequence: int | None = None
    journal_id: str = ""
    heartbeat_ms: int


class BrokerOrdersAsk(Value, frozen=True, kw_only=True):
    """A page of the comparison with the broker."""

    account_id: str
    open_only: bool
    orphans_only: bool
    page_size: int


class ResumeAsk(Value, frozen=True, kw_only=True):
    """An account to resume, and why."""

    account_id: str
    reason: str


class DiscrepancyQuery(Value, frozen=True, kw_only=True):
    """Which discrepancies; both ends of the range of opening times are left out."""

    account_ids: tuple[str, ...] = ()
    kinds: tuple[DiscrepancyKind, ...] = ()
    symbols: tuple[str, ...] = ()
    order_ids: tuple[str, ...] = ()
    open_only: bool = False
    opened_after: datetime | None = None
    opened_before: datetime | None = None


class DiscrepanciesAsk(Value, frozen=True, kw_only=True):
    """A page of discrepancies."""

    where: DiscrepancyQuery
    page_size: int


class SettleAsk(Value, frozen=True, kw_only=True):
    """A discrepancy to close, why, and who says so."""

    discrepancy_id: str
    reason: str
    operator_name: str


class ResolveOrderAsk(Value, frozen=True, kw_only=True):
    """An operator's word about one order. What does not belong to its verdict is empty."""

    order: OrderName
    verdict: Verdicts
    broker_order_id: str
    state: OrderState | None
    filled_quantity: Decimal | None
    average_price: Decimal | None
    execution_id: str
    expected_version: int
    reason: str
    evidence: str
    operator_name: str


class ResultQuery(Value, frozen=True, kw_only=True):
    """Which completed trades, by the first exit fill; both ends of the range are left out."""

    account_ids: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    trade_ids: tuple[str, ...] = ()
    decision_ids: tuple[str, ...] = ()
    trace_ids: tuple[str, ...] = ()
    closed_after: datetime | None = None
    closed_before: datetime | None = None


class ResultsAsk(Value, frozen=True, kw_only=True):
    """A page of completed trades."""

    where: ResultQuery
    page_size: int


class PerformanceAsk(Value, frozen=True, kw_only=True):
    """Whose results are looked at; `account_id` empty: the only one."""

    account_id: str
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    after: datetime | None
    before: datetime | None
    has_points: bool
