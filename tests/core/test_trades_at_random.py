"""Whatever happens to a trade: nothing is sold twice, and it ends protected or closed."""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from orderd.core.order import Order, OrderState, Side
from orderd.core.trade import (
    OnEntryEnd,
    OnPartial,
    figures,
)
from orderd.core.trade_steps import Refused
from tests.core.trade_model import Market, dec


def _is_known(one: Order) -> bool:
    return one.is_open and one.state is not OrderState.UNKNOWN


def _fresh_closer(market: Market, one: Order) -> bool:
    return one.state is OrderState.SUBMITTED and one is not market.entry and not one.pending_cancel


HAPPENINGS: dict[str, tuple[Callable[[Market, Order], bool], Callable[[Market, Order, int], None]]] = {
    "fill": (lambda _, o: _is_known(o), lambda m, o, much: m.fills(o, dec(much))),
    "work": (lambda _, o: _is_known(o), lambda m, o, _much: m.works(o)),
    "cancel": (lambda _, o: o.is_open and o.pending_cancel, lambda m, o, _much: m.ends(o)),
    "stay": (lambda _, o: o.is_open and o.pending_cancel, lambda m, o, _much: m.stays(o)),
    "refuse": (_fresh_closer, lambda m, o, much: m.refuses(o, list(Refused)[much % 4])),
    "lose": (_fresh_closer, lambda m, o, _much: m.loses(o)),
    "find": (lambda _, o: o.state is OrderState.UNKNOWN, lambda m, o, _much: m.works(o)),
    "expire": (lambda _, o: _is_known(o), lambda m, o, _much: m.ends(o, OrderState.EXPIRED)),
    "keep": (lambda _, o: o.pending_replace is not None, lambda m, o, _much: m.keeps(o)),
    "close": (lambda _m, _o: True, lambda m, _o, _much: m.close()),
    "part": (lambda _m, _o: True, lambda m, _o, much: m.close(dec(much))),
    "age": (lambda _m, _o: True, lambda m, _o, much: m.ages_by(much)),
    "bust": (lambda _, o: o.filled_quantity > 0, lambda m, o, much: m.busts(o, dec(much))),
    "away": (lambda m, _o: m.held * m.trade.sign >= 1, lambda m, _o, _much: m.goes_away(dec(1))),
}
HAPPENS = st.lists(st.tuples(st.sampled_from(sorted(HAPPENINGS)), st.integers(0, 7), st.integers(1, 10)), max_size=40)


@settings(max_examples=300, deadline=None)
@given(
    happens=HAPPENS,
    side=st.sampled_from(list(Side)),
    on_partial=st.sampled_from(list(OnPartial)),
    on_entry_end=st.sampled_from(list(OnEntryEnd)),
    refuses_opposite=st.booleans(),
    can_replace_quantity=st.booleans(),
    can_replace_splits=st.booleans(),
)
def test_whatever_happens_it_never_sells_twice_and_ends_protected_or_closed(
    happens: list[tuple[str, int, int]],
    **how: Any,  # noqa: ANN401 - the fields of a market
) -> None:
    """`Market._check` judges each thing that is sent; here is what it must come to once the broker answers again."""
    market = Market(**how)
    market.run()
    for what, which, much in happens:
        one = list(market.orders.values())[which % len(market.orders)]
        may, does = HAPPENINGS[what]
        if may(market, one):
            does(market, one, much)
        market.run()
    for one in list(market.orders.values()):
        if one.state is OrderState.UNKNOWN:
            market.works(one)
    market.settles()
    sums = figures(market.trade, market.all)
    if sums.open <= 0:
        assert not any(one.is_open for one in market.all.closers)
    elif not market.trade.is_disarmed and not (market.entry.is_open and market.on_partial is OnPartial.WAIT):
        held = max(market.held * market.trade.sign, dec(0))
        assert sums.working_leaves == min(sums.open, held) or market.is_robbed, market.taken[-6:]
