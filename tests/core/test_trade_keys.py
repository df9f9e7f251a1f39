"""The keys of trades and of the orders that a trade sends: the same however often they are worked out."""

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from orderd.core.keys import completed_trade_id, open_trade_key, trade_key
from orderd.core.order import OrderType, Side
from orderd.core.records import RecordKind
from orderd.core.trade import Signal
from tests.core.builders import AT

SIGNAL = Signal(
    symbol="KO",
    side=Side.BUY,
    entry_price=Decimal("80"),
    stop_loss_price=Decimal("75"),
    type=OrderType.LIMIT,
    strategy="orb",
    signal_time=AT,
)


def test_a_decision_opens_one_trade_whatever_its_signal_says() -> None:
    other = msgspec.structs.replace(SIGNAL, entry_price=Decimal("81"), signal_time=None)
    assert open_trade_key("paper", "d-1", SIGNAL) == open_trade_key("paper", "d-1", other)
    assert open_trade_key("paper", "d-1", SIGNAL) != open_trade_key("paper", "d-2", SIGNAL)
    assert open_trade_key("paper", "d-1", SIGNAL) != open_trade_key("live", "d-1", SIGNAL)


def test_without_a_decision_the_same_signal_is_the_same_trade_however_its_prices_are_written() -> None:
    written = msgspec.structs.replace(SIGNAL, entry_price=Decimal("80.00"))
    assert open_trade_key("paper", "", SIGNAL) == open_trade_key("paper", "", written)


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "PEP"},
        {"side": Side.SELL},
        {"strategy": "gap"},
        {"entry_price": Decimal(81)},
        {"stop_loss_price": Decimal(74)},
        {"signal_time": AT + timedelta(seconds=1)},
        {"signal_time": None},
    ],
)
def test_another_signal_is_another_trade(change: dict[str, object]) -> None:
    assert open_trade_key("paper", "", msgspec.structs.replace(SIGNAL, **change)) != open_trade_key("paper", "", SIGNAL)


def test_every_order_of_a_trade_has_a_key_of_its_own() -> None:
    keys = [trade_key("t", role, n) for role in ("ENTRY", "STOP_LOSS", "EXIT") for n in (1, 2)]
    assert len(set(keys)) == 6
    assert trade_key("t", "EXIT", 1) == trade_key("t", "EXIT", 1)


def test_a_completed_trade_knows_its_entry_from_its_exit() -> None:
    assert completed_trade_id("a", "b") == completed_trade_id("a", "b") != completed_trade_id("b", "a")


def test_the_kinds_of_records_are_named_as_they_are_kept() -> None:
    assert [kind.value for kind in RecordKind] == [kind.name for kind in RecordKind]
