"""What a trade's life leaves in the log: lines with fixed names, in their order."""

from decimal import Decimal
from pathlib import Path

from structlog.testing import capture_logs

from orderd.core.order import OrderState
from tests.desk.trading import desk, live, protected, stops
from tests.engine.world import World

LIFECYCLE = ("signal_detected", "order_submitted", "order_filled", "order_canceled", "stop_moved", "trade_closed")


def test_a_trades_life_is_told_by_fixed_names(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = []

    async def story(world: World) -> None:
        with capture_logs() as told:
            trade = await protected(world, trace_id="tr-1")
            await desk(world).move_stop(trade.trade_id, Decimal(76), request_id="m-1")
            await world.clock.sleep(2)
            await desk(world).close(trade.trade_id, timeout_s=10)
            assert stops(world, trade.trade_id)[0].state is OrderState.CANCELED
        lines.extend(told)

    live(tmp_path, story)
    names = [str(line["event"]) for line in lines if line["event"] in LIFECYCLE]
    assert names == [
        "signal_detected",
        "order_submitted",
        "order_filled",
        "order_submitted",
        "stop_moved",
        "order_canceled",
        "order_submitted",
        "order_filled",
        "trade_closed",
    ]
    assert {line["trace_id"] for line in lines if line["event"] in LIFECYCLE} == {"tr-1"}
