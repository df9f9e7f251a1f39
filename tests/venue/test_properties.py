"""What holds whatever happens: money and shares are conserved, holds are honest, one seed is one ledger."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.venue.accounts import START_CASH
from orderd.venue.funds import available_quantity
from orderd.venue.orders import (
    TERMINAL,
    Change,
    ExecutionState,
    NewOrder,
    Order,
    OrderClass,
    OrderType,
    Side,
    TimeInForce,
)
from orderd.venue.state import Settings
from tests.venue.desk import Desk, d

SYMBOLS = ("AAPL", "F", "OCGN", "BTC/USD")
cents = st.integers(1, 30_000).map(lambda value: Decimal(value) / 100)
quantities = st.one_of(
    st.integers(1, 50).map(Decimal), st.integers(1, 10**10).map(lambda value: Decimal(value).scaleb(-9))
)
orders = st.fixed_dictionaries(
    {
        "act": st.just("submit"),
        "symbol": st.sampled_from(SYMBOLS),
        "side": st.sampled_from(Side),
        "type": st.sampled_from(OrderType),
        "time_in_force": st.sampled_from(TimeInForce),
        "quantity": quantities,
        "price": cents,
        "order_class": st.sampled_from(
            (OrderClass.SIMPLE, OrderClass.SIMPLE, OrderClass.BRACKET, OrderClass.OCO, OrderClass.OTO)
        ),
    }
)
acts = st.one_of(
    orders,
    st.fixed_dictionaries({"act": st.just("quote"), "symbol": st.sampled_from(SYMBOLS), "price": cents}),
    st.fixed_dictionaries({"act": st.just("go"), "ms": st.integers(0, 50)}),
    st.fixed_dictionaries({"act": st.just("cancel"), "pick": st.integers(0, 99)}),
    st.fixed_dictionaries({"act": st.just("replace"), "pick": st.integers(0, 99), "price": cents}),
    st.fixed_dictionaries({"act": st.just("fill"), "pick": st.integers(0, 99), "quantity": quantities, "price": cents}),
    st.fixed_dictionaries({"act": st.just("bust"), "pick": st.integers(0, 99)}),
    st.fixed_dictionaries(
        {"act": st.just("correct"), "pick": st.integers(0, 99), "quantity": quantities, "price": cents}
    ),
    st.fixed_dictionaries({"act": st.just("expire")}),
)
scripts = st.lists(acts, max_size=40)


def play(desk: Desk, act: dict[str, Any]) -> None:
    """Do one thing to the venue; what it refuses is refused."""
    venue, picked = desk.venue, _picked(desk, act.get("pick", 0))
    if picked is not None:
        _touch(desk, picked, act)
    match act["act"]:
        case "submit":
            venue.submit(desk.account, _request(act))
        case "quote":
            venue.set_quote(act["symbol"], act["price"], act["price"] + d("0.02"))
        case "go":
            venue.advance(venue.now + timedelta(milliseconds=act["ms"]))
        case "bust" | "correct":
            _undo(desk, act)
        case "expire":
            venue.expire_day()
        case _:
            pass


def _touch(desk: Desk, picked: Order, act: dict[str, Any]) -> None:
    match act["act"]:
        case "cancel":
            desk.venue.cancel(desk.account, picked.order_id)
        case "replace":
            desk.venue.replace(desk.account, picked.order_id, Change(limit_price=act["price"]))
        case "fill" if picked.is_open and picked.leaves:
            desk.venue.fill(picked.order_id, min(act["quantity"], picked.leaves), act["price"])
        case _:
            pass


def _picked(desk: Desk, pick: int) -> Order | None:
    own = desk.venue.state.book.of_account(desk.account.account_id)
    return own[pick % len(own)] if own else None


def _undo(desk: Desk, act: dict[str, Any]) -> None:
    live = [e for e in desk.venue.ledger.executions.values() if e.state is ExecutionState.LIVE]
    if live and act["act"] == "bust":
        desk.venue.bust(live[act["pick"] % len(live)].execution_id)
    elif live:
        desk.venue.correct(live[act["pick"] % len(live)].execution_id, act["quantity"], act["price"])


def _request(act: dict[str, Any]) -> NewOrder:
    price, kind, order_class = act["price"], act["type"], act["order_class"]
    has_exits = order_class is not OrderClass.SIMPLE
    return NewOrder(
        symbol=act["symbol"],
        side=act["side"],
        type=kind,
        time_in_force=act["time_in_force"],
        quantity=act["quantity"],
        limit_price=price if kind in {OrderType.LIMIT, OrderType.STOP_LIMIT} else None,
        stop_price=price if kind in {OrderType.STOP, OrderType.STOP_LIMIT} else None,
        trail_price=price if kind is OrderType.TRAILING_STOP else None,
        order_class=order_class,
        take_profit_limit=price + 10 if order_class is OrderClass.BRACKET else None,
        stop_loss_stop=price if has_exits else None,
    )


def run(script: list[dict[str, Any]], *, seed: int = 1) -> Desk:
    desk = Desk(settings=Settings(partial_rate=Decimal("0.5")), seed=seed, is_always_open=True)
    for act in script:
        play(desk, act)
        check(desk)
    desk.go(ms=5000)
    check(desk)
    return desk


def check(desk: Desk) -> None:
    """Every invariant, from the ledger's side and from the account's."""
    account, state = desk.account, desk.venue.state
    live = [e for e in desk.venue.ledger.executions.values() if e.state is ExecutionState.LIVE]
    spent = sum((e.side.sign * e.quantity * e.price * e.multiplier for e in live), d(0))
    assert account.cash == START_CASH - spent
    for symbol in SYMBOLS:
        net = sum((e.side.sign * e.quantity for e in live if e.symbol == symbol), d(0))
        assert account.held(symbol) == net
        free, held, _ = available_quantity(state, account, symbol)
        assert free >= 0
        assert held >= 0
    for order in state.book.of_account(account.account_id):
        filled = sum((e.quantity for e in live if e.order_id == order.order_id), d(0))
        carried = order.filled_quantity - filled
        assert carried >= 0
        assert carried == 0 or order.replaces is not None
        assert order.leaves >= 0
    assert state.book.reserved(account.account_id) >= 0


@given(scripts)
@settings(max_examples=150)
def test_cash_positions_and_fills_agree_whatever_happens(script: list[dict[str, Any]]) -> None:
    desk = run(script)
    for order in desk.venue.state.book.of_account(desk.account.account_id):
        if order.time_in_force in {TimeInForce.IOC, TimeInForce.FOK} and order.replaces is None:
            assert order.status in TERMINAL
    if not any(order.is_open for order in desk.venue.state.book.of_account(desk.account.account_id)):
        assert desk.venue.state.book.reserved(desk.account.account_id) == 0


@given(scripts, st.integers(0, 3))
@settings(max_examples=50)
def test_the_same_seed_and_the_same_calls_make_the_same_ledger(script: list[dict[str, Any]], seed: int) -> None:
    assert run(script, seed=seed).venue.ledger.digest() == run(script, seed=seed).venue.ledger.digest()


def test_another_seed_makes_another_ledger() -> None:
    script: list[dict[str, Any]] = [
        {
            "act": "submit",
            "symbol": "AAPL",
            "side": Side.BUY,
            "type": OrderType.MARKET,
            "time_in_force": TimeInForce.DAY,
            "quantity": d(50),
            "price": d(1),
            "order_class": OrderClass.SIMPLE,
        }
    ]
    assert run(script, seed=1).venue.ledger.digest() != run(script, seed=2).venue.ledger.digest()


@given(scripts)
@settings(max_examples=100)
def test_an_order_ends_once_and_is_told_no_news_after_its_end(script: list[dict[str, Any]]) -> None:
    desk = run([act for act in script if act["act"] not in {"bust", "correct"}])
    ends = {"fill", "canceled", "expired", "rejected", "replaced"}
    after = {"order_cancel_rejected", "order_replace_rejected"}
    for order in desk.venue.state.book.of_account(desk.account.account_id):
        told = desk.told(order)
        ended = [place for place, kind in enumerate(told) if kind in ends]
        assert len(ended) <= 1, told
        if ended:
            assert set(told[ended[0] + 1 :]) <= after, told


@given(scripts)
@settings(max_examples=50)
def test_closing_orders_never_sell_more_than_there_is(script: list[dict[str, Any]]) -> None:
    """Without shorts, nothing that the venue does by itself makes a position negative."""
    desk = Desk(settings=Settings(partial_rate=Decimal("0.5")), is_always_open=True)
    desk.account.configuration = type(desk.account.configuration)(no_shorting=True)
    for act in script:
        if act["act"] not in {"fill", "bust", "correct"}:
            play(desk, act)
            assert all(position.quantity > 0 for position in desk.account.positions.values())
    desk.go(ms=5000)
    assert all(position.quantity > 0 for position in desk.account.positions.values())
