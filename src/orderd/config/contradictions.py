"""Limits that cannot both be meant: the larger one would never be reached, or the smaller one stop everything."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from orderd.config import checks
from orderd.config.problems import Problem

PAIRS: Final = (
    ("risk_percent", "max_daily_loss_percent", "one trade may not lose more than a day"),
    ("risk_percent", "max_position_percent", "a trade cannot lose more than its position is worth"),
    ("risk_cap", "max_order_notional", "a trade cannot lose more than its order is worth"),
    ("approval_above_notional", "max_order_notional", "what would need an approval would be denied before"),
)
"""(the smaller one, the larger one, why)."""


def between(
    account_id: str, account: Mapping[str, Any], tree: Mapping[str, Any], origins: Mapping[str, str]
) -> Iterator[Problem]:
    """Each pair of an account's limits, its own or the common ones, that contradict each other."""
    tables = {
        f"accounts.{account_id}.risk": checks.table(account.get("risk", {})) or {},
        "risk": checks.table(tree.get("risk", {})) or {},
    }
    for small, large, why in PAIRS:
        lower, upper = _limit(tables, small), _limit(tables, large)
        if lower is None or upper is None or lower[1] <= upper[1]:
            continue
        key = lower[0]
        text = f"{checks.shown(lower[1])} is more than {upper[0]} ({checks.shown(upper[1])}): {why}"
        yield Problem(key=key, origin=origins.get(key, ""), text=text)


def _limit(tables: Mapping[str, Mapping[str, Any]], name: str) -> tuple[str, Decimal] | None:
    """The key that gives this limit to the account, and its value; None when it has none that can be read."""
    for prefix, limits in tables.items():
        if limits.get(name) is None:
            continue
        try:
            value = checks.decimal(limits[name])
        except ValueError:
            return None  # its own check complains
        return f"{prefix}.{name}", Decimal(str(value))
    return None
