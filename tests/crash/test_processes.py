"""The real server on a disk that fails while it serves, on files that others touch, and beside a second server."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.crash.shim import FAULTS, Kind, Plan, build, compiler
from tests.e2e import processes
from tests.e2e.audit import audit
from tests.e2e.harness import House, trading
from tests.reach import PROVES, Reached

needs_compiler = pytest.mark.skipif(compiler() is None, reason="NO C COMPILER (cc, gcc or clang): no failing disk")
ENDS_WITHIN_S = 40
pytestmark = pytest.mark.timeout(180)
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim."""
    return build(tmp_path_factory.mktemp("shim"))


async def _healths(address: str) -> list[int]:
    """Every health the server told until it was gone."""
    seen: list[int] = []
    async with grpc.aio.insecure_channel(address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        try:
            async for answer in watch:
                seen.append(answer.status)
        except grpc.aio.AioRpcError:
            return seen
    return seen


async def _submit_at_the_end(house: House) -> grpc.aio.AioRpcError:
    """Submit under one key until the journal has failed; what that caller was told."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        for number in range(500):
            await house.submit(client_order_id=f"n-{number}")
    return caught.value


async def _ended_with(house: House, said: str) -> None:
    """Fail-stop: exit code 1, and the reason in the last line."""
    assert await house.server.ended(ENDS_WITHIN_S) == 1
    last = house.server.said().splitlines()[-1]
    assert last.startswith("orderd ended: "), last
    assert said in last


async def _healed(house: House) -> None:
    """The same calls again, and both sides' books."""
    await house.restart()
    for number in range(3):
        order = await house.submit(client_order_id=f"n-{number}")
        await house.until(order.order_id, "FILLED")
    await audit(house)


def _told(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


FAILING = [
    ("EIO", Kind.SYNC, "disk I/O error"),
    ("ENOSPC", Kind.WRITE | Kind.CREATE, "full"),
    ("EROFS", Kind.CHANGES | Kind.OPEN_WRITE, "disk I/O error"),
]


@needs_compiler
@pytest.mark.scaled
@pytest.mark.parametrize(("error", "kinds", "said"), FAILING if PROVES else FAILING[:1])
async def test_a_disk_that_fails_while_it_serves(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch, error: str, kinds: Kind, said: str, reached: Reached
) -> None:
    trigger = tmp_path / "now"
    plan = Plan(at=7, kinds=int(kinds), error=FAULTS[error][0], is_for_ever=True, is_lazy=False)
    async with trading(tmp_path, is_started=False) as house:
        _told(monkeypatch, plan.environment(library, tmp_path, trigger))
        await house.start()
        health = asyncio.create_task(_healths(house.address))
        first = await house.submit(client_order_id="n-0")
        trigger.touch()
        told = await _submit_at_the_end(house)
        assert told.code() is grpc.StatusCode.UNAVAILABLE, told
        await _ended_with(house, said)
        seen = await health
        assert seen[0] == SERVING
        assert seen[-1] == NOT_SERVING
        monkeypatch.undo()
        await _healed(house)
        assert (await house.submit(client_order_id="n-0")).order_id == first.order_id
    reached("P12", "servers whose disk failed while they served: exit 1, reason, NOT_SERVING, healed", 1)


@needs_compiler
async def test_a_slow_sync_makes_submits_slow_and_nothing_wrong(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.3 s a sync, twenty orders at a time: they share commits, and none is taken for lost."""
    async with trading(tmp_path, is_started=False) as house:
        _told(monkeypatch, Plan(slow_us=300_000, is_lazy=False).environment(library, tmp_path))
        await house.start()
        orders = await asyncio.gather(*[house.submit(client_order_id=f"n-{n}") for n in range(20)])
        for order in orders:
            await house.until(order.order_id, "FILLED", within_s=40)
        assert not [event for event in house.tape.events if "UNKNOWN" in str(event.type)]
        await audit(house)


@pytest.mark.scaled
async def test_a_second_server_on_the_file_leaves_and_the_first_goes_on(tmp_path: Path, reached: Reached) -> None:
    async with trading(tmp_path) as house:
        second = processes.server(tmp_path / "orderd.toml", tmp_path / "second.log")
        used_s = await processes.used_s(second, ends_with=1)
        assert used_s < 2 * await processes.loading_s(tmp_path), "it must not try for long"
        (line,) = second.said().splitlines()
        assert line.startswith("orderd cannot start: ")
        assert f"orderd.db.lock is held by process {house.server.pid}" in line
        order = await house.submit(client_order_id="n-0")
        await house.until(order.order_id, "FILLED")
        await audit(house)
    reached("P9", "second servers on one file: refused at once, the first unharmed", 1)


@pytest.mark.prove
async def test_a_database_that_another_program_locks_ends_the_server(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        with closing(sqlite3.connect(house.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await _submit_at_the_end(house)
            await _ended_with(house, "database is locked")
            second = processes.server(tmp_path / "orderd.toml", tmp_path / "second.log")
            await second.spawn()
            assert await second.ended(ENDS_WITHIN_S) == 1
            assert "database is locked" in second.said().splitlines()[-1]
            other.execute("ROLLBACK")
        await _healed(house)


async def test_a_database_that_is_deleted_ends_the_server_and_the_next_one_does_not_begin_anew(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        order = await house.submit(client_order_id="n-0")
        await house.until(order.order_id, "FILLED")
        house.database.unlink()
        await _ended_with(house, "orderd.db was deleted while it was open")
        with pytest.raises(processes.ProcessEndedError, match=r"orderd\.db is gone: a journal with"):
            await house.restart()
