"""Defects of the desk: more is opened than anybody allowed, approved or decided; results are counted wrongly."""

from typing import Final

from tests.sabotage.defect import Defect

TRADE_DAYS: Final = "tests/sabotage/trade_days.py"
GATE: Final = ("tests/risk/test_gate.py",)
OF_RISK: Final = ("tests/desk/test_risk.py",)
DECIDED: Final = ("tests/desk/test_decisions.py", "tests/desk/test_decisions_end.py")

DESK: Final = (
    Defect(
        name="HALTED lets an entry pass",
        promise="P10",
        file="risk/gate.py",
        text="        case TradingState.HALTED if intent.role not in CLOSING_ROLES:\n",
        becomes="        case TradingState.HALTED if intent.role not in {*CLOSING_ROLES, OrderRole.ENTRY}:\n",
        tests=GATE,
        is_quick=True,
    ),
    Defect(
        name="REDUCING lets an increase pass",
        promise="P10",
        file="risk/gate.py",
        text="        case TradingState.REDUCING if not is_closing:\n",
        becomes="        case TradingState.REDUCING if not is_closing and not exposure.position:\n",
        tests=GATE,
        is_quick=True,
    ),
    Defect(
        name="what was being written down when the account was halted leaves all the same",
        promise="P10",
        file="engine/sender.py",
        text="            return self._unsendable(staged.order) is None\n",
        becomes="            return self._unsendable(staged.order) is None or bool(self)\n",
        tests=("tests/engine/test_trading_states.py", "tests/desk/test_decisions_end.py"),
        is_quick=True,
    ),
    Defect(
        name="the kill switch passes one position over",
        promise="P10",
        file="desk/flatten.py",
        text="        for group in _in_order(positions):\n",
        becomes="        for group in _in_order(positions[:-1] or positions):\n",
        tests=OF_RISK,
    ),
    Defect(
        name="the kill switch gives up at the first answer that does not come",
        promise="P10",
        file="desk/flatten.py",
        text="        for pause_s in READ_PAUSES_S:\n",
        becomes="        for pause_s in READ_PAUSES_S[:0]:\n",
        tests=OF_RISK,
    ),
    Defect(
        name="the exit of the kill switch is sent beside one that is on its way",
        promise="P2",
        file="desk/flatten.py",
        text="        quantity = subtract(abs(held), total(leaves_of(order) for order in resting))\n",
        becomes="        quantity = subtract(abs(held), ZERO)\n",
        tests=OF_RISK,
    ),
    Defect(
        name="the breaker begins at the end of the journal after each start",
        promise="P15",
        file="desk/counting.py",
        text="        self._position = self._marked = self._feed.head if kept is None else int(kept)\n",
        becomes="        self._position = self._marked = self._feed.head\n",
        tests=("tests/desk/test_breaker_dies.py",),
    ),
    Defect(
        name="a result is counted again after each start",
        promise="P5",
        file="desk/counting.py",
        text="        await account.risk.result(now.result_id, now.pnl, at=at, before=was, marks=marks)\n",
        becomes="        await account.risk.result(now.result_id, now.pnl, at=at, before=was, marks=marks[1:])\n",
        tests=("tests/desk/test_breaker_dies.py",),
    ),
    Defect(
        name="the stop stays as it is when more of the entry fills",
        promise="P8",
        file="core/protection.py",
        text="    if not missing:\n        return\n",
        becomes="    if not missing or live:\n        return\n",
        tests=("tests/core/test_protection.py",),
        is_quick=True,
    ),
    Defect(
        name="what a stop covers is not looked up at the broker",
        promise="P8",
        file="core/protection.py",
        text="    yield from _covered(trade, orders, min(target, _armable(orders, world)), world)\n",
        becomes="    yield from _covered(trade, orders, target, world)\n",
        tests=("tests/core/test_protection.py",),
        is_quick=True,
    ),
    Defect(
        name="an approval is carried out anew by each process",
        promise="P2",
        file="desk/decisions.py",
        text="                with self._sends(said, intent.client_order_id):\n",
        becomes=(
            '                key = f"{intent.client_order_id}-{clock.monotonic_ns()}"\n'
            "                intent = msgspec.structs.replace(intent, client_order_id=key)\n"
            "                with self._sends(said, intent.client_order_id):\n"
        ),
        also=(
            (
                "        if decision.is_over:\n            return decision\n        orders, trades",
                "        if decision.said.decision_id:\n            return decision\n        orders, trades",
            ),
        ),
        tests=DECIDED,
    ),
    Defect(
        name="the entry of a trade leaves after its decision is over",
        promise="P18",
        file="desk/intents.py",
        text="        valid_until_time=trade.enter_by if is_entry else None,\n",
        becomes="        valid_until_time=None,\n",
        tests=("tests/desk/test_decisions_end.py",),
        is_quick=True,
    ),
    Defect(
        name="an approved decision is sent although its time is over",
        promise="P18",
        file="core/decisions.py",
        text="    if decision.is_past(now):\n        return Todo.EXPIRE\n    if decision.status is not _S.APPROVED:\n",
        becomes=(
            "    if decision.is_past(now) and decision.status is not _S.APPROVED:\n        return Todo.EXPIRE\n"
            "    if decision.status is not _S.APPROVED:\n"
        ),
        tests=("tests/core/test_decisions.py", *DECIDED),
        is_quick=True,
    ),
    Defect(
        name="a rejected decision may be named by whoever sends",
        promise="P11",
        file="core/decisions.py",
        text="    if decision.status is _S.REJECTED:\n        return Refusal.DECISION_ENDED\n",
        becomes="    if decision.status is _S.RECORDED:\n        return Refusal.DECISION_ENDED\n",
        tests=("tests/core/test_decisions.py", *DECIDED),
        is_quick=True,
    ),
    Defect(
        name="only the entry of a trade names its decision",
        promise="P11",
        file="desk/intents.py",
        text="        decision_id=_decision(trade, child),\n",
        becomes='        decision_id=_decision(trade, child) if is_entry else "",\n',
        tests=DECIDED,
    ),
    Defect(
        name="the newest lot is closed first",
        promise="P5",
        file="core/lots.py",
        text="    lots, matches, done = ledger.lots, list[Match](), 0\n",
        becomes="    lots, matches, done = ledger.lots[::-1], list[Match](), 0\n",
        tests=("tests/core/test_lots.py",),
        is_quick=True,
    ),
    Defect(
        name="a size is rounded up",
        promise="P17",
        file="risk/sizer.py",
        text="    return multiply(EXACT.divide_int(money, multiply(cost, step)), step)\n",
        becomes=(
            "    cost = multiply(cost, step)\n"
            "    return multiply(EXACT.divide_int(EXACT.add(money, cost), cost), step)\n"
        ),
        tests=("tests/risk/test_sizer.py",),
        is_quick=True,
    ),
)
