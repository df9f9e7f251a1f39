"""Defects of whoever looks after trades: two exits, stops that do not follow, requests that are lost."""

from typing import Final

from tests.sabotage.defect import Defect

CLOSING: Final = ("tests/core/test_closing.py",)

PROTECTING: Final = (
    Defect(
        name="an exit does not wait for the proof of its stop's end",
        promise="P2",
        file="core/protection.py",
        text="    if changing:\n        is_late",
        becomes="    if changing and sums.open < 0:\n        is_late",
        tests=CLOSING,
        is_quick=True,
    ),
    Defect(
        name="an exit is as large as the trade, whatever the broker holds",
        promise="P2",
        file="core/protection.py",
        text="    quantity = min(subtract(sums.open, closing.target), free)\n",
        becomes="    quantity = subtract(sums.open, closing.target)\n",
        tests=CLOSING,
        is_quick=True,
    ),
    Defect(
        name="a refused cancel is asked for again at once",
        promise="P13",
        file="core/protection.py",
        text="    asked = trade.canceled_by_us.count(step.order_id) if isinstance(step, CancelChild) else 0\n",
        becomes="    asked = 0\n",
        tests=CLOSING,
        is_quick=True,
    ),
    Defect(
        name="a caller that leaves takes its request about a trade along",
        promise="P7",
        file="desk/trades.py",
        text='        result = await asyncio.shield(account.tasks.run(_outcome(work), "request about a trade"))\n',
        becomes="        assert account\n        result = await _outcome(work)\n",
        tests=("tests/desk/test_trades.py",),
    ),
    Defect(
        name="an entry the other way keeps the quantity that a stop needs",
        promise="P8",
        file="desk/surroundings.py",
        text="    is_wished = order.intent.side is entry_side or order.intent.role is OrderRole.ENTRY\n",
        becomes="    is_wished = order.intent.side is entry_side\n",
        tests=("tests/desk/test_trades_and_others.py",),
    ),
    Defect(
        name="what was heard of a trade counts as acted on",
        promise="P8",
        file="desk/desk.py",
        text="            done = self.protector.unattended.done(self._position)\n",
        becomes="            done = self._position\n",
        tests=("tests/desk/test_trades_under_faults.py",),
    ),
)
