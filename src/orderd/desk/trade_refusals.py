"""Why a request about a trade is refused, in the errors that callers get."""

from collections.abc import Callable
from decimal import Decimal

from orderd.core.assets import Asset, is_whole
from orderd.core.order import OrderType
from orderd.core.trade import Signal, Trade
from orderd.core.values import canonical
from orderd.desk.trade_asks import OpenTrade
from orderd.engine.errors import EngineError, Kind


def check_increments(signal: Signal, increment: Callable[[Decimal], Decimal | None]) -> None:
    """Raise INVALID for a price of the signal that no order could have; `increment` tells the tick at a price."""
    if signal.type is not OrderType.MARKET:
        check_increment("signal.entry_price", signal.entry_price, increment(signal.entry_price))
    check_increment("signal.stop_loss_price", signal.stop_loss_price, increment(signal.stop_loss_price))


def check_increment(field: str, price: Decimal, increment: Decimal | None) -> None:
    """Raise INVALID for a price that is no whole number of ticks."""
    if increment is not None and not is_whole(price, increment):
        rule = f"must be a whole number of {canonical(increment)}"
        raise EngineError(
            Kind.INVALID,
            "PRICE_INCREMENT",
            f"{field} {rule}",
            fields=((field, rule),),
            metadata={"field": field, "increment": canonical(increment)},
        )


def check_step(quantity: Decimal | None, asset: Asset | None) -> None:
    """Raise INVALID for a part of a trade that no order could close, as far as its instrument is known."""
    step = None if asset is None else asset.quantity_step
    if quantity is not None and step is not None and not is_whole(quantity, step):
        rule = f"must be a whole number of {canonical(step)}"
        raise EngineError(
            Kind.INVALID,
            "QUANTITY_STEP",
            f"quantity {rule}",
            fields=(("quantity", rule),),
            metadata={"field": "quantity", "step": canonical(step)},
        )


def same_content(known: Trade, ask: OpenTrade) -> None:
    """Raise ALREADY_EXISTS when the key stands for another trade. Tags and traces are not content."""
    pairs = {
        "signal": (known.signal, ask.signal),
        "decision_id": (known.decision_id, ask.decision_id),
        "quantity": (known.quantity if ask.quantity is not None else None, ask.quantity),
        "accept_unprotected": (known.accept_unprotected, ask.accept_unprotected),
        "on_entry_end": (known.on_entry_end, ask.on_entry_end),
    }
    differing = [name for name, (ours, theirs) in pairs.items() if ours != theirs]
    if differing:
        raise EngineError(
            Kind.ALREADY_EXISTS,
            "CLIENT_TRADE_ID_REUSED",
            f"client_trade_id {known.client_trade_id} stands for a trade with another {', '.join(differing)}",
            metadata={"fields": ",".join(differing), "trade_id": known.trade_id},
            subject=("orderd.Trade", known.trade_id),
        )


def unknown(name: str) -> EngineError:
    """NOT_FOUND."""
    return EngineError(
        Kind.NOT_FOUND, "TRADE_NOT_FOUND", "there is no such trade", subject=("orderd.Trade", name[:128])
    )


def ended(trade: Trade) -> EngineError:
    """Nothing can be asked of a trade that is over."""
    return EngineError(
        Kind.FAILED_PRECONDITION,
        "TRADE_ENDED",
        f"the trade is {trade.state}",
        metadata={"trade_id": trade.trade_id, "state": trade.state},
        subject=("orderd.Trade", trade.trade_id),
    )
