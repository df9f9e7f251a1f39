"""In which steps a signal is sized: whole units, or parts of one where the broker takes every order that needs them."""

from decimal import Decimal

from orderd.core.assets import WHOLE, Asset, is_whole
from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import AssetClass, OrderType, Side
from orderd.core.trade import Signal
from orderd.ports import Capabilities


def step_of(asset: Asset | None, signal: Signal, can: Capabilities, *, allows_fractions: bool) -> Decimal:
    """The step to size by. Whole units where nothing else is known, wished or taken: orders for parts of a share are
    of fewer types and times, and only whole shares are sold short. Coins have no whole unit.
    """
    step = None if asset is None else asset.quantity_step
    if asset is None or step is None:
        return WHOLE
    is_coin = asset_class_of_symbol(signal.symbol) is AssetClass.CRYPTO
    if is_coin or (allows_fractions and _takes_fractions(asset, signal, can)) or not is_whole(WHOLE, step):
        return step
    return WHOLE


def _takes_fractions(asset: Asset, signal: Signal, can: Capabilities) -> bool:
    """Whether the entry can be about a part of a unit, and its stop can rest."""
    is_taken = signal.type in can.split_types and signal.time_in_force in can.split_times
    return (
        is_taken
        and OrderType.STOP in can.split_types
        and signal.side is Side.BUY
        and (not signal.extended_hours or asset.splits_outside_session is True)
    )
