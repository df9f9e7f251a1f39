"""The brokers' own payloads, read where they are kept, and orders written out to be compared with what is expected."""

import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.core.facts import View
from orderd.core.values import canonical

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = Path(os.environ.get("ORDERD_REFERENCE") or ROOT.parent / "shared" / "reference")
ALPACA = REFERENCE / "alpaca" / "samples"
EXPECTED = Path(__file__).parent / "expected"


def sample(name: str) -> bytes:
    """One payload of Alpaca's. Skips, loudly, when the reference is not there."""
    path = ALPACA / name
    if not path.exists():
        pytest.skip(f"NOT CHECKED: no reference payload at {path} (set ORDERD_REFERENCE)")
    return path.read_bytes()


def sections(name: str) -> dict[str, str]:
    """A file of expectations: what each sample must be read as, under its name."""
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in (EXPECTED / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("== "):
            lines = found[line.removeprefix("== ")] = []
        else:
            lines.append(line)
    return {each: "\n".join(body) for each, body in found.items()}


def shown(view: View, indent: str = "") -> str:
    """An order as five lines, and its legs below it."""
    terms = view.terms
    assert terms is not None
    amounts = (
        terms.quantity,
        terms.notional,
        terms.limit_price,
        terms.stop_price,
        terms.trail_price,
        terms.trail_percent,
    )
    names = ("qty", "notional", "limit", "stop", "trail", "percent")
    rows = (
        f"{view.broker_order_id} {view.phase}({view.status}) {view.symbol or '-'} {view.asset_class or '-'} "
        f"{view.side or '-'} {view.order_class}",
        f"  {terms.type} {terms.time_in_force} "
        + " ".join(f"{name}={_number(value)}" for name, value in zip(names, amounts, strict=True))
        + (" extended" if terms.extended_hours else ""),
        f"  filled={_number(view.filled_quantity)} at={_number(view.average_price)} updated={view.updated_ns} "
        f"created={_time(view.created_time)} submitted={_time(view.submitted_time)}",
        f"  key={view.client_order_id} ended={_time(view.ended_time)} expires={_time(view.expires_time)} "
        f"intent={view.position_intent or '-'}",
        f"  replaces={view.replaces or '-'} by={view.replaced_by or '-'} parent={view.parent_broker_order_id or '-'} "
        f"ratio={_number(view.ratio)}",
    )
    legs = [shown(leg, indent + "    ") for leg in view.legs]
    return "\n".join([*(indent + row for row in rows), *legs])


def _number(value: Decimal | None) -> str:
    return "-" if value is None else canonical(value)


def _time(value: datetime | None) -> str:
    if value is None:
        return "-"
    assert str(value.tzinfo) == "UTC"
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f")
