"""From a request that passed the checks to the orders on the book: one, a group, or a strategy."""

from decimal import Decimal
from math import gcd

import msgspec

from orderd.venue import checks, lifecycle, means
from orderd.venue.accounts import Account, intent_of
from orderd.venue.asking import Ask, ask_of, invalid
from orderd.venue.assets import Asset
from orderd.venue.funds import available_quantity
from orderd.venue.money import ONE, ZERO, is_whole
from orderd.venue.orders import (
    CLOSING,
    AssetClass,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    PositionIntent,
    Reason,
    Refused,
    Side,
    Status,
    TimeInForce,
)
from orderd.venue.state import State

FEWEST_LEGS, MOST_LEGS = 2, 4


def submit(state: State, account: Account, new: NewOrder) -> Order | Refused:
    """Judge a request and take it onto the book."""
    refused = checks.client_id(state, account, new.client_order_id)
    if refused is not None:
        return refused
    if new.order_class is OrderClass.MLEG:
        return _submit_strategy(state, account, new)
    asset = state.assets.find(new.symbol)
    if asset is None:
        return Refused(reason=Reason.UNKNOWN_ASSET, details={"symbol": new.symbol})
    ask = ask_of(state, account, new, asset)
    refused = checks.new_order(ask)
    if refused is not None:
        return refused
    order = _order(ask)
    legs = _exit_legs(state, order, new)
    order = msgspec.structs.replace(order, leg_ids=tuple(leg.order_id for leg in legs))
    return lifecycle.accept(state, order, legs)


def _order(ask: Ask) -> Order:
    state, new, asset = ask.state, ask.new, ask.asset
    order = Order(
        order_id=state.new_id(),
        account_id=ask.account.account_id,
        sequence=state.next_sequence(),
        client_order_id=new.client_order_id or state.new_id(),
        created_at=state.now,
        submitted_at=state.now,
        updated_at=state.now,
        status=Status.PENDING_NEW,
        type=new.type,
        time_in_force=new.time_in_force,
        symbol=asset.symbol,
        asset_id=asset.asset_id,
        asset_class=asset.asset_class,
        side=ask.side,
        position_intent=ask.intent,
        order_class=new.order_class,
        quantity=new.quantity,
        notional=new.notional,
        limit_price=new.limit_price,
        stop_price=new.stop_price,
        trail_price=new.trail_price,
        trail_percent=new.trail_percent,
        extended_hours=new.extended_hours,
        reserve_price=checks.reserve_price(ask),
    )
    return msgspec.structs.replace(order, expires_at=lifecycle.expiry(state, order))


def _exit_legs(state: State, parent: Order, new: NewOrder) -> tuple[Order, ...]:
    """The held exits of a group: take-profit first, then the stop (recorded order)."""
    legs: list[Order] = []
    if new.take_profit_limit is not None and new.order_class is not OrderClass.OCO:
        legs.append(_leg(state, parent, OrderType.LIMIT, limit=new.take_profit_limit))
    if new.stop_loss_stop is not None:
        kind = OrderType.STOP if new.stop_loss_limit is None else OrderType.STOP_LIMIT
        legs.append(_leg(state, parent, kind, limit=new.stop_loss_limit, stop=new.stop_loss_stop))
    return tuple(legs)


def _leg(
    state: State, parent: Order, kind: OrderType, *, limit: Decimal | None = None, stop: Decimal | None = None
) -> Order:
    side = parent.side or Side.BUY
    if parent.order_class is not OrderClass.OCO:
        side = side.opposite
    return msgspec.structs.replace(
        parent,
        order_id=state.new_id(),
        sequence=state.next_sequence(),
        client_order_id=state.new_id(),
        parent_id=parent.order_id,
        status=Status.HELD,
        type=kind,
        side=side,
        position_intent=PositionIntent.BUY_TO_CLOSE if side is Side.BUY else PositionIntent.SELL_TO_CLOSE,
        limit_price=limit,
        stop_price=stop,
        extended_hours=False,
        reserve_price=ZERO,
    )


# --- multi-leg options ------------------------------------------------------------------------------


def _submit_strategy(state: State, account: Account, new: NewOrder) -> Order | Refused:
    assets = _leg_assets(state, new)
    if isinstance(assets, Refused):
        return assets
    refused = _strategy_rules(new) or _strategy_money(state, account, new, assets)
    if refused is not None:
        return refused
    parent = _strategy_parent(state, account, new)
    legs = tuple(_strategy_leg(state, account, parent, new, position) for position in range(len(new.legs)))
    parent = msgspec.structs.replace(
        parent,
        leg_ids=tuple(leg.order_id for leg in legs),
        reserve_price=_strategy_cost(state, new, assets),
    )
    return lifecycle.accept(state, parent, legs)


def _leg_assets(state: State, new: NewOrder) -> tuple[Asset, ...] | Refused:
    if not FEWEST_LEGS <= len(new.legs) <= MOST_LEGS:
        return invalid("mleg orders must have between 2 and 4 legs")
    found: list[Asset] = []
    for leg in new.legs:
        asset = state.assets.find(leg.symbol)
        if asset is None:
            return Refused(reason=Reason.UNKNOWN_ASSET, details={"symbol": leg.symbol})
        if asset.asset_class is not AssetClass.OPTION:
            return invalid("mleg orders must have option legs only")
        found.append(asset)
    return tuple(found)


def _strategy_rules(new: NewOrder) -> Refused | None:
    """Reference, section 14: day only, whole strategies, unique symbols, ratios without a common divisor."""
    ratios = [leg.ratio for leg in new.legs]
    if new.quantity is None or new.quantity <= 0 or not is_whole(new.quantity):
        return invalid("qty must be a positive whole number")
    if new.type not in {OrderType.MARKET, OrderType.LIMIT} or (new.type is OrderType.LIMIT) == (
        new.limit_price is None
    ):
        return invalid("mleg orders must be market orders or limit orders with a limit_price")
    if new.time_in_force is not TimeInForce.DAY or new.extended_hours:
        return invalid("mleg orders must be DAY orders")
    if len({leg.symbol for leg in new.legs}) != len(new.legs):
        return invalid("leg symbols must be unique")
    if any(ratio <= 0 or not is_whole(ratio) for ratio in ratios) or gcd(*map(int, ratios)) != 1:
        return invalid("ratio_qty of the legs must be whole numbers with no common divisor")
    return None


def _strategy_money(state: State, account: Account, new: NewOrder, assets: tuple[Asset, ...]) -> Refused | None:
    for leg, asset in zip(new.legs, assets, strict=True):
        if _intent(account, new, new.legs.index(leg)) not in CLOSING:
            continue
        wanted = (new.quantity or ZERO) * leg.ratio
        free, _, _ = available_quantity(state, account, asset.symbol)
        if wanted > free:
            return means.not_enough(state, account, asset.symbol, wanted)
    if _uncovered(account, new):
        return invalid("all short legs must be covered within the order")
    cost = (new.quantity or ZERO) * _strategy_cost(state, new, assets)
    return means.affordable(state, account, AssetClass.OPTION, cost)


def _uncovered(account: Account, new: NewOrder) -> bool:
    """More contracts written than bought in calls, or in puts."""
    balance = {"C": ZERO, "P": ZERO}
    for position, leg in enumerate(new.legs):
        if _intent(account, new, position) not in CLOSING:
            balance[leg.symbol[-9]] += leg.side.sign * leg.ratio
    return any(left < 0 for left in balance.values())


def _strategy_cost(state: State, new: NewOrder, assets: tuple[Asset, ...]) -> Decimal:
    """Dollars for one strategy, 0 for a credit."""
    net = new.limit_price
    if net is None:
        net = sum(
            (
                leg.side.sign * leg.ratio * state.quotes.open(asset).touch(leg.side)
                for leg, asset in zip(new.legs, assets, strict=True)
            ),
            ZERO,
        )
    return max(net, ZERO) * assets[0].multiplier


def _intent(account: Account, new: NewOrder, position: int) -> PositionIntent:
    leg = new.legs[position]
    return leg.position_intent or intent_of(account.held(leg.symbol), leg.side)


def _strategy_parent(state: State, account: Account, new: NewOrder) -> Order:
    parent = Order(
        order_id=state.new_id(),
        account_id=account.account_id,
        sequence=state.next_sequence(),
        client_order_id=new.client_order_id or state.new_id(),
        created_at=state.now,
        submitted_at=state.now,
        updated_at=state.now,
        status=Status.PENDING_NEW,
        type=new.type,
        time_in_force=new.time_in_force,
        order_class=OrderClass.MLEG,
        quantity=new.quantity,
        limit_price=new.limit_price,
    )
    return msgspec.structs.replace(parent, expires_at=lifecycle.expiry(state, parent))


def _strategy_leg(state: State, account: Account, parent: Order, new: NewOrder, position: int) -> Order:
    leg = new.legs[position]
    asset = state.asset(leg.symbol)
    return msgspec.structs.replace(
        parent,
        order_id=state.new_id(),
        sequence=state.next_sequence(),
        client_order_id=state.new_id(),
        parent_id=parent.order_id,
        type=None,
        symbol=asset.symbol,
        asset_id=asset.asset_id,
        asset_class=AssetClass.OPTION,
        side=leg.side,
        position_intent=_intent(account, new, position),
        quantity=(parent.quantity or ONE) * leg.ratio,
        ratio=leg.ratio,
        limit_price=None,
        reserve_price=ZERO,
    )
