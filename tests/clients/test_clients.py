"""Other people's clients, unmodified, spend a day at the venue: the SDKs that Alpaca gives to JavaScript and Python.

Each runs a program of its own (`flow`) in an environment of its own (`make clients`), and all must see the same day:
the venue speaks Alpaca's protocol, and not only what our own adapter understands.
"""

import asyncio
import json
import os
import runpy
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import Process
from tests.reach import PROVES

HERE = Path(__file__).resolve().parent
CLIENTS = runpy.run_path(str(HERE.parents[1] / "scripts" / "clients.py"))
PROGRAMS = {"js3": ("node", "flow.js"), "js4": ("node", "flow.mjs"), "python": ("venv/bin/python", "flow.py")}
DAYS = [[f"2026-11-{day}", "09:30", "16:00"] for day in range(23, 30)]

EXPECTED: dict[str, dict[str, Any]] = {
    "account": {"status": "ACTIVE", "cash": "100000", "multiplier": "4"},
    "configurations": {"no_shorting": False},
    "clock": {"is_open": True},
    "calendar": {"days": DAYS},
    "assets": {"has_ko": True},
    "asset": {"symbol": "KO", "tradable": True, "fractionable": True},
    "no such asset": {"status": 404, "code": 40410000, "message": "asset not found for NOPE"},
    "market": {"status": "pending_new", "qty": "3", "client_order_id": "market"},
    "by client id": {"same": True, "status": "filled", "filled_qty": "3", "price": "86.01"},
    "duplicate": {"status": 422, "code": 40010001, "message": "client_order_id must be unique"},
    "cancel of a filled one": {"status": 422, "code": 42210000, "message": 'order is already in "filled" state'},
    "notional": {"qty": None, "notional": "50", "filled_qty": "0.581327752"},
    "open": {"client_order_ids": ["limit"]},
    "replace": {"is_other": True, "replaces": True, "qty": "4", "limit_price": "81"},
    "cancel": {"status": "canceled", "elder": "replaced"},
    "bracket": {"legs": [["limit", "sell", "held"], ["stop", "sell", "held"]]},
    "cancel all": {"statuses": [200]},
    "none open": {"count": 0},
    "position": {"qty": "3.581327752", "side": "long"},
    "positions": {"symbols": ["KO"]},
    "no such position": {"status": 404, "code": 40410000, "message": "position does not exist"},
    "flat": {"count": 0},
    "activities": {"rows": [["FILL", "buy", "3"], ["FILL", "buy", "0.581327752"], ["FILL", "sell", "3.581327752"]]},
    "pages of activities": {"sizes": [2, 1], "same": True},
    "stream": {"events": ["pending_new", "new", "fill"]},
    "wrong key": {
        "status": 401, "code": 40110000, "message": "access key verification failed : verification failure",
    },
}  # fmt: skip


def ready(name: str) -> Path:
    """The client's environment. Made by a long run, used by every run, skipped aloud by a short one that has none."""
    if name != "python" and (shutil.which("node") is None or shutil.which("npm") is None):
        pytest.skip(f"NOT TRIED: {name} needs node and npm, and this machine has none")
    if not CLIENTS["is_made"](name):
        if not PROVES:
            pytest.skip(f"NOT TRIED: the environment of {name} is not made; `make clients` makes it")
        CLIENTS["make"](name)
    place: Path = CLIENTS["environment"](name)
    return place


@pytest.mark.scaled
@pytest.mark.parametrize("name", PROGRAMS)
async def test_a_day_with_somebody_elses_client(name: str, tmp_path: Path) -> None:
    place = ready(name)
    venue = Process(
        ("-m", "orderd", "venue", "--quotes", "fixed", "--partial-rate", "0", "--requests-per-minute", "0"),
        tmp_path / "venue.log",
    )
    said = await venue.start()
    runner, program = PROGRAMS[name]
    # A module is looked for beside the program, so it stands in the environment.
    shutil.copy(HERE / name / program, place)
    where = {
        "APCA_API_BASE_URL": said["rest_url"],
        "APCA_API_KEY_ID": "venue-key",
        "APCA_API_SECRET_KEY": "venue-secret",
    }
    path = os.environ["PATH"]
    try:
        client = await asyncio.create_subprocess_exec(
            runner if runner == "node" else place / runner,
            program,
            cwd=place,
            env={"PATH": path, "HOME": str(tmp_path), **where},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await client.communicate()
    finally:
        await venue.kill()
    assert client.returncode == 0, f"{out.decode()}\n{err.decode()}\n{venue.said()}"
    seen = [json.loads(line) for line in out.decode().splitlines()]
    assert {step.pop("step"): step for step in seen} == EXPECTED


def test_no_lock_file_names_where_its_files_come_from() -> None:
    for lock in ("js3/package-lock.json", "js4/package-lock.json", "python/requirements.lock"):
        text = (HERE / lock).read_text(encoding="utf-8")
        assert "resolved" not in text
        assert "://" not in text, "npm writes down who asks for money: drop every `funding` of the lock"
        assert "index-url" not in text
        assert "sha512-" in text or "sha256:" in text
