"""What counts as an exit: by its role, or by what the caller says of the position; a side alone says nothing."""

from decimal import Decimal

import msgspec
import pytest

from orderd.core.order import OrderIntent, OrderRole, OrderType, PositionIntent, Side, Terms, TimeInForce
from orderd.core.values import AccountId, ClientOrderId

PLAIN = OrderIntent(
    account_id=AccountId("paper"),
    client_order_id=ClientOrderId("k"),
    symbol="KO",
    side=Side.SELL,
    terms=Terms(type=OrderType.MARKET, time_in_force=TimeInForce.DAY, quantity=Decimal(1)),
)


@pytest.mark.parametrize("role", [None, *OrderRole])
@pytest.mark.parametrize("position_intent", [None, *PositionIntent])
def test_what_an_exit_is(role: OrderRole | None, position_intent: PositionIntent | None) -> None:
    intent = msgspec.structs.replace(PLAIN, role=role, position_intent=position_intent)
    by_role = role in {OrderRole.EXIT, OrderRole.STOP_LOSS, OrderRole.TAKE_PROFIT}
    by_word = position_intent in {PositionIntent.SELL_TO_CLOSE, PositionIntent.BUY_TO_CLOSE}
    assert intent.is_exit is (by_role or by_word)
