"""A trade in a small market: orders that a test fills, refuses, cancels and loses, and the steps taken in between.

It is the shell around `next_step` with nothing in it that could wait: a step is noted and done at once, a broker's
answer comes when the test says so.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from orderd.core import trade_steps as p
from orderd.core.adjustments import Split
from orderd.core.order import (
    EventSource,
    Fill,
    FillStatus,
    Order,
    OrderRole,
    OrderState,
    OrderType,
    PendingReplace,
    ReplaceAnswered,
    Side,
    Terms,
)
from orderd.core.protection import next_step
from orderd.core.trade import (
    WORKING,
    Closing,
    ExitReason,
    OnEntryEnd,
    OnPartial,
    Signal,
    Trade,
    TradeOrders,
    figures,
    is_mixed,
)
from orderd.core.trade_adjust import split_taken
from orderd.core.trade_life import TradeEvent, TradeStep, follow
from orderd.core.trade_moves import close_asked, noted
from orderd.core.values import ZERO, AccountId, BrokerOrderId, ClientOrderId, FillId, OrderId, Reason
from tests.core.builders import AT, created, intent, terms

QUIET_STEPS = 200
LIVE = (OrderState.SUBMITTED, OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED)


def dec(value: int | str) -> Decimal:
    return Decimal(value)


def order(order_id: str, role: OrderRole, side: Side, quantity: Decimal, **changes: object) -> Order:
    """An order of a trade as it was just written."""
    kind = terms(type=OrderType.MARKET, quantity=quantity, limit_price=None, **changes)
    asked = intent(client_order_id=ClientOrderId(order_id), side=side, terms=kind, role=role)
    made = created(asked)
    return msgspec.structs.replace(made, order_id=OrderId(order_id), state=OrderState.SUBMITTED)


def a_trade(side: Side = Side.BUY, **changes: object) -> Trade:
    """A trade of 10 AAPL at 20 with its stop 1 away."""
    stop = dec(19) if side is Side.BUY else dec(21)
    signal = Signal(symbol="AAPL", side=side, entry_price=dec(20), stop_loss_price=stop, type=OrderType.MARKET)
    trade = Trade(
        trade_id="trade-1",
        client_trade_id="client-1",
        account_id=AccountId("paper"),
        signal=signal,
        quantity=dec(10),
        stop_price=stop,
        created_time=AT,
        updated_time=AT,
        version=1,
    )
    return msgspec.structs.replace(trade, **changes)


@dataclass
class Market:
    """One trade, its orders, and what the broker holds."""

    side: Side = Side.BUY
    on_partial: OnPartial = OnPartial.CANCEL_REST
    on_entry_end: OnEntryEnd = OnEntryEnd.CLOSE
    refuses_opposite: bool = True
    can_replace_quantity: bool = True
    can_replace_splits: bool = True
    takes_exits: bool = True
    is_frozen: bool = False
    trade: Trade = field(init=False)
    orders: dict[OrderId, Order] = field(default_factory=dict)
    held: Decimal = ZERO
    """At the broker, signed."""
    refused: dict[OrderId, p.Refused] = field(default_factory=dict)
    ages: dict[OrderId, Decimal] = field(default_factory=dict)
    events: list[TradeEvent] = field(default_factory=list)
    taken: list[p.Step] = field(default_factory=list)
    now: int = 0
    is_robbed: bool = False
    is_split_suspected: bool = False
    last: p.Step = p.WAIT

    def __post_init__(self) -> None:
        self.trade = a_trade(self.side, on_partial=self.on_partial, on_entry_end=self.on_entry_end)
        self._put(order("entry", OrderRole.ENTRY, self.side, dec(10)))

    # ------------------------------------------------------------------------------------------------ what is there

    @property
    def all(self) -> TradeOrders:
        by_role = {role: [o for o in self.orders.values() if o.intent.role is role] for role in OrderRole}
        return TradeOrders(
            entry=self.orders[OrderId("entry")],
            stops=tuple(by_role[OrderRole.STOP_LOSS]),
            exits=tuple(by_role[OrderRole.EXIT]),
        )

    @property
    def entry(self) -> Order:
        return self.orders[OrderId("entry")]

    @property
    def stop(self) -> Order:
        return self.all.stops[-1]

    @property
    def exit(self) -> Order:
        return self.all.exits[-1]

    @property
    def open(self) -> Decimal:
        return figures(self.trade, self.all).open

    def world(self, held: Decimal | None) -> p.World:
        return p.World(
            ages=tuple(self.ages.items()),
            held=held,
            refuses_opposite=self.refuses_opposite,
            can_replace_quantity=self.can_replace_quantity,
            can_replace_splits=self.can_replace_splits,
            takes_exits=self.takes_exits,
            is_frozen=self.is_frozen,
            refused=tuple(self.refused.items()),
            unchangeable=tuple(stop.order_id for stop in self.all.stops if is_mixed(self.trade, stop)),
            is_split_suspected=self.is_split_suspected,
            session="2026-01-05",
        )

    # ---------------------------------------------------------------------------------------------- what is done

    def run(self) -> p.Step:
        """Take steps until there is nothing to do but wait."""
        held: Decimal | None = None
        for _ in range(QUIET_STEPS):
            self._follow()
            step = next_step(self.trade, self.all, self.world(held))
            self.taken.append(step)
            self._check(step)
            if isinstance(step, p.ReadPosition):
                assert held is None, "the position was read a moment ago"
                held = self.held
                continue
            held = None
            self._note(step)
            if isinstance(step, p.Wait | p.ReadOrder):
                self.last = step
                return step
            self._do(step)
        raise AssertionError(f"it never rests: {self.taken[-8:]}")

    def _check(self, step: p.Step) -> None:
        """Rule: nothing is sent that is not held, and nothing beside what is not known."""
        closers = self.all.closers
        if isinstance(step, p.SendStop | p.SendExit):
            live = sum((o.leaves_quantity or ZERO for o in closers if o.is_open), ZERO)
            assert live + step.quantity <= self.open
            assert live + step.quantity <= abs(self.held)
            assert step.quantity > 0
            assert not any(o.state is OrderState.UNKNOWN for o in closers)
            assert not (self.refuses_opposite and self.entry.is_open)
            assert not self.is_frozen

    def _note(self, step: p.Step) -> None:
        last_stop = self.all.stops[-1].order_id if self.all.stops else None
        record = noted(self.trade, step, at=self._at(), session="2026-01-05", last_stop=last_stop, tick=Decimal("0.01"))
        if record is not None:
            self._record(record)

    def _do(self, step: p.Step) -> None:
        match step:
            case p.SendStop() | p.SendExit():
                child = self.trade.children[-1]
                role = OrderRole.STOP_LOSS if isinstance(step, p.SendStop) else OrderRole.EXIT
                price = child.price if role is OrderRole.STOP_LOSS else None
                made = order(child.client_order_id, role, self.trade.exit_side, child.quantity, stop_price=price)
                self._put(msgspec.structs.replace(made, created_time=self._at()))
            case p.CancelChild(order_id=order_id):
                self.change(self.orders[order_id], pending_cancel=True, cancel_asked_by=EventSource.ENGINE)
            case p.ReplaceStop(order_id=order_id, quantity=quantity, price=price):
                asked = self.orders[order_id]
                wanted = msgspec.structs.replace(asked.terms, quantity=quantity, stop_price=price)
                pending = _pending(wanted)
                self.change(asked, pending_replace=pending, replace_requests=(*asked.replace_requests, _asked(wanted)))
            case _:
                pass

    def _follow(self) -> None:
        for record in follow(self.trade, self.all, at=self._at()):
            self._record(record)

    def _record(self, record: TradeStep) -> None:
        assert record.after.version == self.trade.version + 1
        self.trade = record.after
        self.events.append(record.event)

    def _at(self) -> datetime:
        self.now += 1
        return AT + timedelta(seconds=self.now)

    # --------------------------------------------------------------------------------------- what the broker does

    def _put(self, made: Order) -> None:
        self.orders[made.order_id] = made

    def change(self, asked: Order, **changes: object) -> None:
        self.orders[asked.order_id] = msgspec.structs.replace(asked, **changes)
        self.ages[asked.order_id] = ZERO

    def works(self, asked: Order) -> None:
        """The broker has taken it; a pending change has come about."""
        if not asked.is_open:
            return
        new = asked.terms if asked.pending_replace is None else asked.pending_replace.terms
        state = OrderState.PARTIALLY_FILLED if asked.filled_quantity else OrderState.ACCEPTED
        self.change(asked, state=state, terms=new, pending_replace=None)

    def keeps(self, asked: Order) -> None:
        """The broker does not make the change."""
        self.change(asked, pending_replace=None)

    def stays(self, asked: Order) -> None:
        """The broker does not cancel it."""
        self.change(asked, pending_cancel=False, cancel_asked_by=None)

    def fills(self, asked: Order, quantity: Decimal, price: str = "20") -> None:
        """Some of it executes."""
        done = min(quantity, asked.leaves_quantity or ZERO)
        if done <= 0:
            return
        total = asked.filled_quantity + done
        is_done = total == asked.terms.quantity
        self.change(
            asked,
            state=OrderState.FILLED if is_done else OrderState.PARTIALLY_FILLED,
            filled_quantity=total,
            filled_value=asked.filled_value + done * Decimal(price),
            fills=(*asked.fills, self._executed(asked, done, Decimal(price))),
            pending_cancel=asked.pending_cancel and not is_done,
            pending_replace=None if is_done else asked.pending_replace,
        )
        self.held += done if asked.intent.side is Side.BUY else -done

    def _executed(self, asked: Order, quantity: Decimal, price: Decimal) -> Fill:
        at = self._at()
        return Fill(
            fill_id=FillId(f"{asked.order_id}-{len(asked.fills)}"),
            broker_order_id=BrokerOrderId("b"),
            cum_after=asked.filled_quantity + quantity,
            quantity=quantity,
            price=price,
            status=FillStatus.LIVE,
            source=EventSource.BROKER_STREAM,
            occurred_time=at,
            recorded_time=at,
        )

    def splits(self, new: int, old: int) -> None:
        """The broker splits the shares, and it is booked."""
        self.held = self.held * new / old
        split = Split(at=self._at(), new=dec(new), old=dec(old), split_id=f"s-{self.now}")
        record = split_taken(self.trade, split, tick=Decimal("0.01"), at=self._at())
        assert record is not None
        self._record(record)

    def busts(self, asked: Order, quantity: Decimal) -> None:
        """Some of what executed is taken back."""
        undone = min(quantity, asked.filled_quantity)
        left = asked.filled_quantity - undone
        value = asked.filled_value * left / asked.filled_quantity if left else ZERO
        self.change(asked, filled_quantity=left, filled_value=value, is_busted=True)
        self.held -= undone if asked.intent.side is Side.BUY else -undone

    def goes_away(self, quantity: Decimal) -> None:
        """Somebody else sells what the trade thinks it holds."""
        self.held -= self.trade.sign * quantity
        self.is_robbed = True

    def ends(self, asked: Order, state: OrderState = OrderState.CANCELED, **changes: object) -> None:
        """It ends without executing more."""
        self.change(asked, state=state, pending_cancel=False, pending_replace=None, **changes)

    def refuses(self, asked: Order, why: p.Refused) -> None:
        """The broker does not take it."""
        self.ends(asked, OrderState.REJECTED, reason=Reason(code="1", message=str(why)))
        self.refused[asked.order_id] = why

    def loses(self, asked: Order) -> None:
        """What became of it is not known."""
        self.change(asked, state=OrderState.UNKNOWN)

    def ages_by(self, seconds: int) -> None:
        for order_id in self.orders:
            self.ages[order_id] = self.ages.get(order_id, ZERO) + seconds

    def settles(self) -> None:
        """The broker answers everything that is asked of it, until nothing is asked any more."""
        for _ in range(QUIET_STEPS):
            self.ages_by(61)
            self.run()
            asked = [o for o in self.orders.values() if _is_asked(o)]
            if not asked and isinstance(self.last, p.Wait) and self.last.seconds is None:
                return
            for one in asked:
                self._answers(one)
            if not asked and isinstance(self.last, p.Wait) and self.last.alarm:
                return
        raise AssertionError(f"it never settles: {self.taken[-8:]}")

    def _answers(self, one: Order) -> None:
        if one.pending_cancel:
            self.ends(one)
        elif one.intent.role is OrderRole.EXIT:
            self.fills(one, one.leaves_quantity or ZERO)
        else:
            self.works(one)

    def close(self, quantity: Decimal | None = None) -> None:
        """Somebody asks to close."""
        self._follow()
        if self.trade.is_over:
            return
        self._record(
            close_asked(
                self.trade,
                quantity=quantity,
                reason=ExitReason.REQUESTED,
                text="",
                request_id="",
                at=self._at(),
            )
        )


def _is_asked(one: Order) -> bool:
    if not one.is_open:
        return False
    is_exit = one.intent.role is OrderRole.EXIT
    return is_exit or one.pending_cancel or one.pending_replace is not None or one.state not in WORKING


def _pending(wanted: Terms) -> PendingReplace:
    return PendingReplace(request_id="r", number=1, client_order_id=ClientOrderId("r-1"), terms=wanted, asked_time=AT)


def _asked(wanted: Terms) -> ReplaceAnswered:
    return ReplaceAnswered(request_id="r", terms=wanted)


def bought(market: Market, quantity: int = 10) -> Market:
    """The entry works and fills."""
    market.works(market.entry)
    market.fills(market.entry, dec(quantity))
    market.run()
    return market


def protected(**changes: object) -> Market:
    market = bought(Market(**changes))
    market.works(market.stop)
    market.run()
    return market


def closing_now() -> Closing:
    return Closing(target=dec(0), reason=ExitReason.STOP_FALLBACK, asked_time=AT, first_exit=1)
