"""What is to be done for a trade now: its stop follows its fills, and its exits never sell twice.

`next_step` looks at the trade, all of its orders and the world, and names one step. Whoever takes it records it, does
it, and asks again; nothing is remembered between two questions, so a crash anywhere is healed by asking again.

Rule 1: what working stops have still to execute is what is held (less what an exit is about to execute).
Rule 2: no stop and no exit goes out while an own opposite order is not proven ended, where the broker refuses that.
Rule 3: an outcome that is not known stops everything else: never a second stop or exit beside it.
Rule 4: nothing is sold that the broker does not show as held: its position is read right before.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import takewhile

import msgspec

from orderd.core.assets import WHOLE, is_whole
from orderd.core.order import EventSource, Order, OrderRole, OrderState
from orderd.core.split_guard import LOOK_S, restated_by_broker, split_suspected
from orderd.core.trade import (
    INSISTENT,
    WORKING,
    Closing,
    ExitReason,
    Figures,
    OnEntryEnd,
    OnPartial,
    Trade,
    TradeOrders,
    figures,
    is_of_before,
)
from orderd.core.trade_steps import (
    WAIT,
    BeginClosing,
    CancelChild,
    CloseExternally,
    Disarm,
    EndClosing,
    Judged,
    NeverSent,
    ReadOrder,
    ReadPosition,
    Refused,
    ReplaceStop,
    SendExit,
    SendStop,
    Step,
    Wait,
    World,
)
from orderd.core.values import ZERO, add, subtract

RETRY_S = 1
"""Between two tries of a stop that was refused for the moment."""
TRIES = 3
"""How often a stop is tried again that was refused for the moment."""
PROOF_S = 10
"""Without the proof of a stop's end for this long, the alarm is raised; no exit is sent, however long it takes."""
UNFILLED_S = 5
"""How long a stop may be triggered and not executed."""
REARMS = 3
"""How often in a session an ended stop is placed again that nobody asked to end."""
CLOSED_S = 300
"""At most between two looks at a session that is closed."""
INSIST_S = (1, 2, 4, 8, 15, 30, 60)
"""Before an exit is tried again that nobody waits for, or a cancel that was refused: by how often it has failed."""

ENDED_BY_ITSELF = frozenset({OrderState.CANCELED, OrderState.EXPIRED})
"""Ends of a stop that, unless we asked for them, are the venue's or a person's."""


# Every generator below is asked for its first step only: what follows a `yield` is what holds when nothing was yielded.


def next_step(trade: Trade, orders: TradeOrders, world: World) -> Step:
    """Name the one thing to do now."""
    sums = figures(trade, orders)
    if sums.open <= 0:
        rest = Wait(alarm=f"{-sums.open} more was closed than opened") if sums.open < 0 else WAIT
        return _paced(next(_nothing_held(trade, orders, sums), rest), trade, world)
    if trade.closing is None:
        step = next(_hold(trade, orders, sums, world), WAIT)
    else:
        step = next(_close(trade, trade.closing, orders, sums, world), WAIT)
    if world.is_frozen and not isinstance(step, Wait | CancelChild | EndClosing | Judged | ReadOrder):
        return Wait(seconds=Decimal(LOOK_S), alarm="the account is frozen: neither stops nor exits are sent")
    return _paced(step, trade, world)


def _paced(step: Step, trade: Trade, world: World) -> Step:
    """A cancel that was refused is asked for again after a while, the longer the more often it was."""
    asked = trade.canceled_by_us.count(step.order_id) if isinstance(step, CancelChild) else 0
    if not isinstance(step, CancelChild) or not asked:
        return step
    age_s = dict(world.ages).get(step.order_id, ZERO)
    left = subtract(Decimal(INSIST_S[min(asked, len(INSIST_S)) - 1]), age_s)
    return Wait(seconds=left, alarm=f"the cancel of {step.order_id} was refused") if left > 0 else step


# ------------------------------------------------------------------------------------------------------- nothing held


def _nothing_held(trade: Trade, orders: TradeOrders, sums: Figures) -> Iterator[Step]:
    """Whatever could still execute has nothing to close, and nothing to add to."""
    yield from _cancels(order for order in orders.closers if order.is_open)
    entry = orders.entry
    if entry is None and trade.closing is not None:
        yield NeverSent()
    yield from _entry_of_before(trade, orders)
    if entry is not None and entry.is_open and (sums.entered or trade.closing is not None):
        yield from _cancels([entry])
    if trade.closing is not None and not any(order.is_open for order in orders.all):
        yield EndClosing()


def _cancels(orders: Iterable[Order]) -> Iterator[Step]:
    yield from (CancelChild(order_id=order.order_id) for order in orders if not order.pending_cancel)


# ------------------------------------------------------------------------------------------------------------ closing


def _close(trade: Trade, closing: Closing, orders: TradeOrders, sums: Figures, world: World) -> Iterator[Step]:
    """Bring the open quantity down to the target: make room, prove it, look at the position, send the exit."""
    yield from _unknown(orders)
    yield from _oversized(orders, sums, subtract(sums.open, closing.target))
    if sums.open <= closing.target:
        yield EndClosing()
    if sums.exit_leaves:
        yield WAIT
    yield from _after_exits(_exits_of(trade, closing, orders), closing, world)
    if not world.takes_exits:
        # It stays protected until an exit can go out.
        kept = next(_hold(trade, orders, sums, world), WAIT)
        if not isinstance(kept, BeginClosing | Wait):
            yield kept
        yield Wait(seconds=_until_open(world), alarm="the session is closed: the exit is due at the open")
    yield from _entry_ended(orders, world)
    yield from _room(closing, orders, sums, world)
    if world.held is None:
        yield ReadPosition()
    yield from _shrunk(closing, orders, sums, world)
    yield _exit(closing, orders, sums, world)


def _oversized(orders: TradeOrders, sums: Figures, wanted: Decimal) -> Iterator[Step]:
    """A bust has made live exits larger than what they are to close."""
    if sums.exit_leaves > max(wanted, ZERO):
        yield from _cancels(order for order in orders.exits if order.is_open)
        yield WAIT


def _unknown(orders: TradeOrders) -> Iterator[Step]:
    """Rule 3."""
    for order in orders.closers:
        if order.state is OrderState.UNKNOWN:
            yield Wait(alarm=f"the outcome of {order.order_id} is not known: nothing else is sent for this trade")


def _until_open(world: World) -> Decimal:
    """A second more than the broker says it takes, and never so long that it could err much."""
    if world.opens_in_s is None:
        return Decimal(CLOSED_S)
    return min(add(max(world.opens_in_s, ZERO), Decimal(1)), Decimal(CLOSED_S))


def _exits_of(trade: Trade, closing: Closing, orders: TradeOrders) -> list[Order]:
    """The exits that were sent for this closing; a number may have been given out and never sent."""
    keys = {child.client_order_id for child in trade.of(OrderRole.EXIT) if child.number >= closing.first_exit}
    return [order for order in orders.exits if order.intent.client_order_id in keys]


def _after_exits(exits: list[Order], closing: Closing, world: World) -> Iterator[Step]:
    """Exits of this closing have ended and more than the target is held: give up, or try again after a while."""
    if not exits:
        return
    last = exits[-1]
    if last.state is OrderState.FILLED:
        return  # it could not be larger: what is left has gone another way, or is free by now
    text = f"the exit ended {last.state}: {'' if last.reason is None else last.reason.message}"
    if closing.reason not in INSISTENT:
        yield EndClosing(failed=text)
    left = subtract(Decimal(INSIST_S[min(len(exits), len(INSIST_S)) - 1]), world.age_s(last))
    if left > 0:
        yield Wait(seconds=left, alarm=text)


def _entry_ended(orders: TradeOrders, world: World) -> Iterator[Step]:
    """What is being closed must not grow, and (rule 2) must not be in its own way."""
    entry = orders.entry
    if entry is None or not entry.is_open:
        return
    yield from _cancels([entry])
    if world.refuses_opposite:
        yield ReadOrder(order_id=entry.order_id)


def _room(closing: Closing, orders: TradeOrders, sums: Figures, world: World) -> Iterator[Step]:
    """Stops hold the quantity that the exit needs: they end, or shrink to what is to stay, with proof."""
    live = [stop for stop in orders.stops if stop.is_open]
    changing = [stop for stop in live if _is_changing(stop)]
    if changing:
        is_late = max(world.age_s(stop) for stop in changing) >= PROOF_S
        yield ReadOrder(order_id=changing[0].order_id, is_late=is_late and not closing.is_late)
    yield from _lessened(orders, subtract(sums.stop_leaves, closing.target), world)
    yield from _others_gone(world)


def _lessened(orders: TradeOrders, excess: Decimal, world: World) -> Iterator[Step]:
    """So much less is to be stopped: the newest stop shrinks, or ends."""
    if excess > 0:
        newest = [stop for stop in orders.stops if stop.is_open][-1]
        left = subtract(newest.leaves_quantity or ZERO, excess)
        yield _resized(newest, left, newest.terms.stop_price or ZERO, world) or CancelChild(order_id=newest.order_id)


def _shrunk(closing: Closing, orders: TradeOrders, sums: Figures, world: World) -> Iterator[Step]:
    """Less is held than the trade says: its stop leaves the exit what there is."""
    free = _armable(orders, world)
    wanted = min(subtract(sums.open, closing.target), free)
    if wanted > 0:
        yield from _lessened(orders, subtract(sums.stop_leaves, subtract(free, wanted)), world)


def _others_gone(world: World) -> Iterator[Step]:
    """Rule 2, for entries of other trades: protection and exits come before what is only wished for."""
    if world.refuses_opposite:
        yield from (CancelChild(order_id=order_id) for order_id in world.opposite_elsewhere)
        if world.is_opposite_ending:
            yield Wait(seconds=Decimal(RETRY_S))


def _exit(closing: Closing, orders: TradeOrders, sums: Figures, world: World) -> Step:
    """Send no more than the trade holds, and no more than the broker shows that nobody else is about to close."""
    held = _in_direction(orders, world)
    if held <= 0:
        return CloseExternally(held=world.held or ZERO)
    free = subtract(subtract(held, world.closing_elsewhere), sums.stop_leaves)
    quantity = min(subtract(sums.open, closing.target), free)
    if quantity <= 0:
        return Wait(
            seconds=Decimal(LOOK_S),
            alarm=f"all {held} that the broker holds are being closed by other orders, or stopped",
        )
    return SendExit(quantity=quantity)


def _in_direction(orders: TradeOrders, world: World) -> Decimal:
    """What the broker holds in the direction of the trade; zero or less when it holds nothing, or the opposite."""
    held = world.held or ZERO
    is_long = orders.entry is not None and orders.entry.intent.side == "BUY"
    return held if is_long else -held


# ------------------------------------------------------------------------------------------------------------ holding


def _hold(trade: Trade, orders: TradeOrders, sums: Figures, world: World) -> Iterator[Step]:
    """Keep the stop at what is held."""
    yield from _unknown(orders)
    yield from _oversized(orders, sums, sums.open)
    yield from split_suspected(world)
    yield from _entry_of_before(trade, orders)
    yield from _entry_judged(trade, orders)
    yield from _ended_stops(trade, orders, world)
    if trade.is_disarmed:
        yield WAIT
    yield from _triggered(orders, world)
    target = subtract(sums.open, sums.exit_leaves)
    live = [stop for stop in orders.stops if stop.is_open]
    if any(_is_changing(stop) or stop.state not in WORKING for stop in live):
        yield WAIT  # one change at a time; what is wanted by then is asked for then
    yield from _stops_of_before(trade, live, target, world)
    yield from restated_by_broker(trade, live, target)
    if sums.stop_leaves == target:
        yield from _moved(trade, live, world)
        yield WAIT
    yield from _way_clear(trade, orders, world)
    if world.held is None:
        yield ReadPosition()
    yield from _gone_away(orders, world)
    yield from _covered(trade, orders, min(target, _armable(orders, world)), world)
    yield Wait(seconds=Decimal(LOOK_S), alarm="the broker holds less than the fills of this trade say")


def _entry_of_before(trade: Trade, orders: TradeOrders) -> Iterator[Step]:
    """An entry in units that are no more is only a wish: it ends."""
    entry = orders.entry
    if entry is not None and entry.is_open and is_of_before(trade, entry):
        yield from _cancels([entry])


def _stops_of_before(trade: Trade, live: list[Order], target: Decimal, world: World) -> Iterator[Step]:
    """A stop at a price from before a split that cannot be changed in place ends before another one is placed."""
    for stop in live:
        if is_of_before(trade, stop) and stop.terms.stop_price != trade.stop_price:
            is_changeable = len(live) == 1 and _resized(stop, target, trade.stop_price, world) is not None
            if not is_changeable:
                yield CancelChild(order_id=stop.order_id)


def _is_changing(stop: Order) -> bool:
    return stop.pending_cancel or stop.pending_replace is not None


def _entry_judged(trade: Trade, orders: TradeOrders) -> Iterator[Step]:
    """The entry has ended partly filled: by our own cancel of its rest what is held stays, else the policy says.

    One that had filled before a bust made it short has not ended so.
    """
    entry = orders.entry
    if trade.is_entry_end_judged or entry is None or entry.is_open or not entry.is_short or entry.is_busted:
        return
    if entry.order_id in trade.canceled_by_us or trade.on_entry_end is OnEntryEnd.KEEP:
        yield Judged()
    else:
        yield BeginClosing(reason=ExitReason.ENTRY_ENDED, text=f"the entry ended {entry.state} partly filled")


def _ended_stops(trade: Trade, orders: TradeOrders, world: World) -> Iterator[Step]:
    """The newest stop has ended without executing: again, another way, or not at all."""
    stop = orders.stops[-1] if orders.stops else None
    if stop is None or stop.is_open or stop.order_id in trade.canceled_by_us or trade.is_disarmed:
        return
    if stop.state in {OrderState.REJECTED, OrderState.DENIED, OrderState.SUBMIT_FAILED}:
        if not trade.splits or stop.terms.stop_price == trade.stop_price:  # else it was one from before a split
            yield from _refused(orders, stop, world)
    elif stop.state in ENDED_BY_ITSELF and stop.order_id not in trade.handled_stops:
        yield from _gone(trade, stop, world)


def _refused(orders: TradeOrders, stop: Order, world: World) -> Iterator[Step]:
    sorts = dict(world.refused)
    why = sorts.get(stop.order_id, Refused.FOR_GOOD)
    text = "" if stop.reason is None else stop.reason.message
    row = list(takewhile(lambda one: sorts.get(one.order_id) is why, reversed(orders.stops)))
    if why is Refused.FOR_NOW and len(row) <= TRIES:
        left = subtract(Decimal(RETRY_S), world.age_s(stop))
        if left > 0:
            yield Wait(seconds=left)
    elif why is Refused.PRICE_INCREMENT and len(row) == 1:
        return
    else:
        yield BeginClosing(reason=ExitReason.STOP_FALLBACK, text=f"the stop was refused: {text}")


def _gone(trade: Trade, stop: Order, world: World) -> Iterator[Step]:
    """A stop that somebody cancelled here is not placed again unasked; one that ended by itself is, a few times."""
    if stop.cancel_asked_by in {EventSource.CLIENT, EventSource.OPERATOR}:
        yield Disarm(stop_id=stop.order_id, text="the stop was cancelled")
    elif (trade.rearms if trade.rearm_day == world.session else 0) >= REARMS:
        yield Disarm(
            stop_id=stop.order_id, text=f"the stop ended {stop.state} for the {REARMS + 1}th time in a session"
        )


def _triggered(orders: TradeOrders, world: World) -> Iterator[Step]:
    """The market has been beyond the stop for a while, and it does not execute."""
    working = [stop for stop in orders.stops if stop.state in WORKING]
    if working and world.through_s is not None:
        if world.through_s >= UNFILLED_S:
            text = f"the stop was triggered and did not execute in {UNFILLED_S} s"
            yield BeginClosing(reason=ExitReason.STOP_FALLBACK, text=text)
        yield Wait(seconds=subtract(Decimal(UNFILLED_S), world.through_s))


def _way_clear(trade: Trade, orders: TradeOrders, world: World) -> Iterator[Step]:
    """Rule 2, before a stop: the rest of the entry first, then entries of other trades."""
    entry = orders.entry
    if not world.refuses_opposite:
        return
    if entry is not None and entry.is_open:
        if trade.on_partial is OnPartial.WAIT:
            yield Wait(alarm="unprotected until the rest of the entry has ended")
        yield from _cancels([entry])
        yield ReadOrder(order_id=entry.order_id)
    yield from _others_gone(world)


def _gone_away(orders: TradeOrders, world: World) -> Iterator[Step]:
    """The broker holds nothing of it: believed once nothing has happened for a while that it may not show yet."""
    is_quiet = all(world.age_s(order) >= PROOF_S for order in orders.all)
    if _in_direction(orders, world) <= 0 and is_quiet and not any(order.is_open for order in orders.closers):
        yield CloseExternally(held=world.held or ZERO)


def _armable(orders: TradeOrders, world: World) -> Decimal:
    """What a stop can cover: what the broker shows, less what others are about to close."""
    return max(subtract(_in_direction(orders, world), world.closing_elsewhere), ZERO)


def _covered(trade: Trade, orders: TradeOrders, wanted: Decimal, world: World) -> Iterator[Step]:
    """Bring what the stops cover to what is wanted: resized where the broker can, else one more or one less."""
    live = [stop for stop in orders.stops if stop.is_open]
    missing = subtract(wanted, _covers(live))
    if not missing:
        return
    if not live:
        yield _new_stop(trade, orders, wanted, world)
    newest = live[-1]
    resized = _resized(newest, add(newest.leaves_quantity or ZERO, missing), trade.stop_price, world)
    if resized is not None:
        yield resized
    elif missing > 0:
        yield SendStop(quantity=missing)
    else:
        yield CancelChild(order_id=newest.order_id)


def _covers(stops: list[Order]) -> Decimal:
    covered = ZERO
    for stop in stops:
        covered = add(covered, stop.leaves_quantity or ZERO)
    return covered


def _new_stop(trade: Trade, orders: TradeOrders, quantity: Decimal, world: World) -> SendStop:
    last = orders.stops[-1] if orders.stops else None
    if last is None or last.order_id in trade.canceled_by_us or last.order_id in trade.handled_stops:
        return SendStop(quantity=quantity)
    is_between = dict(world.refused).get(last.order_id) is Refused.PRICE_INCREMENT
    return SendStop(quantity=quantity, is_rearm=last.state in ENDED_BY_ITSELF, rounds_price=is_between)


def _moved(trade: Trade, live: list[Order], world: World) -> Iterator[Step]:
    """The stop is to stand at another price: in place, and where the broker refuses that, by a new one."""
    for stop in live:
        if stop.terms.stop_price != trade.stop_price:
            moved = _resized(stop, stop.leaves_quantity or ZERO, trade.stop_price, world)
            yield moved or CancelChild(order_id=stop.order_id)


def _resized(stop: Order, leaves: Decimal, price: Decimal, world: World) -> ReplaceStop | None:
    """Return the change that leaves so much to execute at that price. None when this stop cannot be changed so."""
    total = add(stop.filled_quantity, leaves)
    terms = stop.terms
    is_other_size = total != terms.quantity
    is_split = not (is_whole(total, WHOLE) and is_whole(terms.quantity or ZERO, WHOLE))
    can_be = world.can_replace_quantity and (world.can_replace_splits or not is_split)
    may_not = stop.order_id in world.unchangeable or (is_other_size and not can_be)
    if leaves <= 0 or may_not or stop.state not in WORKING:
        return None
    wanted = msgspec.structs.replace(terms, quantity=total, stop_price=price)
    if wanted == terms or any(asked.terms == wanted for asked in stop.replace_requests):
        return None  # it was asked for, and did not come about
    return ReplaceStop(order_id=stop.order_id, quantity=total, price=price)
