"""Defects of what may be opened: limits that many get past together, states that are forgotten."""

from typing import Final

from tests.sabotage.defect import Defect

TOGETHER: Final = ("tests/engine/test_limits_together.py",)
STATES: Final = ("tests/engine/test_trading_states.py",)

RISKING: Final = (
    Defect(
        name="orders on their way cost nothing",
        promise="P13",
        file="engine/exposure.py",
        text="            self._figures.reserved.add(orders[0].order_id, cost_of(orders[0]))\n",
        becomes="            self._figures.reserved.add(orders[0].order_id, ZERO)\n",
        tests=TOGETHER,
        is_quick=True,
    ),
    Defect(
        name="an order that trades at once is free of charge",
        promise="P13",
        file="engine/figures.py",
        text="        if not order.is_open and not order.filled_quantity:\n",
        becomes="        if not order.is_open:\n",
        tests=TOGETHER,
        is_quick=True,
    ),
    Defect(
        name="a symbol counts when it is held, not when it is about to be",
        promise="P13",
        file="engine/exposure.py",
        text="                symbols[symbol] = None\n",
        becomes="                pass\n",
        tests=TOGETHER,
        is_quick=True,
    ),
    Defect(
        name="what is believed to be held is a denial",
        promise="P8",
        file="engine/submit.py",
        text="if held is None and isinstance(verdict, Denied) and self.exposures.may_close(intent, verdict):\n",
        becomes="if held is None and isinstance(verdict, str):\n",
        tests=STATES,
        is_quick=True,
    ),
    Defect(
        name="a halt is forgotten at the next start",
        promise="P10",
        file="engine/riskbook.py",
        text="        self.state = self.state if kept is None else _decode(kept)\n",
        becomes="        del kept\n",
        tests=STATES,
        is_quick=True,
    ),
    Defect(
        name="what was in line when the account was halted leaves all the same",
        promise="P10",
        file="engine/account.py",
        text="case TradingState.HALTED if risk.freeze_protection or intent.role not in CLOSING_ROLES:\n",
        becomes="case TradingState.HALTED if risk.freeze_protection and intent.role not in CLOSING_ROLES:\n",
        tests=STATES,
        is_quick=True,
    ),
)
