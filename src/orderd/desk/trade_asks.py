"""What callers ask of trades."""

from decimal import Decimal

from orderd.core.trade import OnEntryEnd, OnPartial, Signal
from orderd.core.values import AccountId, Value


class OpenTrade(Value, frozen=True, kw_only=True):
    """A signal to act on. `quantity` None: sized by the account's risk settings."""

    account_id: AccountId
    client_trade_id: str
    signal: Signal
    quantity: Decimal | None = None
    decision_id: str = ""
    trace_id: str = ""
    on_partial: OnPartial | None = None
    on_entry_end: OnEntryEnd = OnEntryEnd.CLOSE
    accept_unprotected: bool = False
    tags: tuple[tuple[str, str], ...] = ()
