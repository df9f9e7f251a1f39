"""The venue as a process of its own: how it starts, says so, witnesses and stops."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import aiohttp
import pytest

from orderd.venue.options import VenueOptions, build
from orderd.venue.server import run_venue, serve
from orderd.venue.witness import Witness
from tests.venue.wire import KEYS, order_body, until, wired

PROGRAM = """
import asyncio, json, sys
from orderd.venue.options import VenueOptions
from orderd.venue.server import run_venue
asyncio.run(run_venue(VenueOptions(**json.loads(sys.argv[1]))))
"""


@asynccontextmanager
async def process(**options: object) -> AsyncIterator[asyncio.subprocess.Process]:
    """A venue process, ended with the test."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, json.dumps(options), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.wait()


async def ready(running: asyncio.subprocess.Process) -> dict[str, str]:
    assert running.stdout is not None
    async with asyncio.timeout(30):
        line = await running.stdout.readline()
    said: dict[str, str] = json.loads(line)
    return said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_where_it_serves_and_stops_when_told(number: signal.Signals) -> None:
    async with process() as running, aiohttp.ClientSession() as http:
        said = await ready(running)
        assert (said["event"], said["protocol"]) == ("ready", "alpaca")
        async with http.get(f"{said['rest_url']}/v2/account", headers=KEYS) as answer:
            assert answer.status == 200
        async with http.get(f"{said['control_url']}/clock") as answer:
            assert answer.status == 200
        async with http.ws_connect(said["stream_url"]) as socket:
            running.send_signal(number)
            assert (await socket.receive()).type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED}
        async with asyncio.timeout(10):
            assert await running.wait() == 0
        assert running.stdout is not None
        assert await running.stdout.read() == b""


async def test_the_same_seed_makes_the_same_account_in_another_process() -> None:
    numbers: list[str] = []
    for _ in range(2):
        async with process(seed=7) as running, aiohttp.ClientSession() as http:
            said = await ready(running)
            async with http.get(f"{said['rest_url']}/v2/account", headers=KEYS) as answer:
                numbers.append((await answer.json())["account_number"])
    assert numbers[0] == numbers[1]


SIMULATION = """
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from orderd.venue.core import Venue
from orderd.venue.orders import NewOrder, OrderType, Side, TimeInForce
venue = Venue(rng=random.Random(3), now=datetime(2026, 10, 8, 15, tzinfo=UTC))
account = venue.open_account()
for number in range(200):
    side = (Side.BUY, Side.SELL)[number % 3 == 2]
    asked = NewOrder(symbol=("KO", "F", "AAPL")[number % 5 % 3], side=side, type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY, quantity=Decimal(number % 7 + 1))
    venue.submit(account, asked)
    venue.advance(venue.now + timedelta(milliseconds=number % 4))
venue.advance(venue.now + timedelta(seconds=1))
print(len(venue.ledger.executions), venue.ledger.digest())
"""


async def test_the_same_seed_makes_the_same_ledger_whatever_the_hash_seed() -> None:
    digests: set[bytes] = set()
    for hash_seed in ("1", "2"):
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            SIMULATION,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        out, _ = await running.communicate()
        assert int(out.split()[0]) > 100
        digests.add(out)
    assert len(digests) == 1


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "telegraph"},
        {"listen": "here"},
        {"listen": "127.0.0.1:99999"},
        {"listen": ":8080"},
        {"sessions": "never"},
        {"quotes": "/nowhere/at/all.csv"},
    ],
)
async def test_options_that_make_no_sense_are_refused_before_anything_is_served(options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be"):
        await run_venue(VenueOptions(**options))


async def test_a_taken_address_is_an_error() -> None:
    async with wired() as wire:
        face, clock = build(VenueOptions())
        with pytest.raises(OSError, match="address already in use"):
            await serve(face, clock=clock, host="127.0.0.1", port=wire.server.address[1])


def test_an_address_with_brackets() -> None:
    assert VenueOptions(listen="[::1]:80").address() == ("::1", 80)


async def test_quotes_may_come_from_a_file(tmp_path: Path) -> None:
    tape = tmp_path / "quotes.csv"
    tape.write_text("seconds,symbol,bid,ask\n0,KO,50,50.01\n", encoding="utf-8")
    async with wired(quotes=str(tape)) as wire:
        order = await wire.buy()
        assert (await wire.settled(order["id"], "filled"))["filled_avg_price"] == "50.01"


async def test_quotes_walk_by_themselves() -> None:
    async with wired(quotes="walk", walk_ms=1) as wire:
        before = wire.venue.quote("AAPL")
        await until(lambda: wire.venue.quote("AAPL") != before)


async def test_the_exchange_s_hours_can_be_kept() -> None:
    async with wired(sessions="nyse") as wire:
        clock = await wire.json("GET", "/clock")
        assert clock["is_open"] is (wire.venue.state.phase() == "regular")


# --- the witness ----------------------------------------------------------------------------------------


def journal(path: Path, *names: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE IF NOT EXISTS orders (client_order_id TEXT)")
        database.executemany("INSERT INTO orders VALUES (?)", [(name,) for name in names])


async def test_every_order_is_looked_up_in_the_client_s_file_when_it_arrives(tmp_path: Path) -> None:
    path = tmp_path / "orderd.db"
    async with wired(witness_database=str(path)) as wire:
        await wire.buy(client_order_id="before the file")
        journal(path, "recorded")
        await wire.buy(client_order_id="recorded")
        await wire.buy(client_order_id="not recorded")
        with closing(sqlite3.connect(path)) as database:
            database.execute("INSERT INTO orders VALUES ('not committed')")
            await wire.buy(client_order_id="not committed")
        await wire.json("GET", "/clock")
        rows = await wire.control("GET", "received")
    assert [(row["client_order_id"], row["is_in_journal"]) for row in rows] == [
        ("before the file", False),
        ("recorded", True),
        ("not recorded", False),
        ("not committed", False),
        ("", None),
    ]


async def test_a_lost_request_is_witnessed_too(tmp_path: Path) -> None:
    path = tmp_path / "orderd.db"
    journal(path, "mine")
    async with wired(witness_database=str(path)) as wire:
        await wire.arm("answer_status", is_accepted=False)
        await wire.send("POST", "/orders", order_body(client_order_id="mine"))
        (row,) = await wire.control("GET", "received")
    assert (row["verdict"], row["is_in_journal"]) == ("failed before", True)


def test_the_witness_never_writes(tmp_path: Path) -> None:
    path = tmp_path / "orderd.db"
    witness = Witness(path)
    assert witness("x") is False
    assert list(tmp_path.iterdir()) == []
    journal(path, "x")
    assert witness("x") is True
    writer = Witness(path, "INSERT INTO orders VALUES (?) RETURNING 1")
    assert writer("y") is False
    assert witness("y") is False
    witness.close()
    writer.close()
