"""What a server that has too much to do says, and how one with a broken configuration does not start."""

import asyncio
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e import processes
from tests.e2e.audit import audit
from tests.e2e.errors import details
from tests.e2e.harness import House, configuration, state_of, submit_request, trading

KEYS = {"broker": "alpaca", "key_id": "k", "secret_key": "s"}


async def refused(house: House, **fields: object) -> tuple[grpc.StatusCode, str, bool]:
    """Code, reason, and whether it says when to come back."""
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await house.submit(**fields)
    reason, retry_s = details(error.value)
    return error.value.code(), reason, retry_s > 0


async def test_a_full_queue_refuses_submits_and_takes_cancels(tmp_path: Path) -> None:
    limits = {"queue_limit": 5, "submit_timeout_s": 30}
    async with trading(tmp_path, accounts={"paper": limits}) as house:
        await house.venue.settings(is_auto_fill=False)
        resting = await house.submit(client_order_id="resting", symbol="F")
        await house.until(resting.order_id, "ACCEPTED")
        await house.venue.arm("hold_answer", method="POST", barrier="hang", times=0)
        for number in range(6):
            await house.orders.SubmitOrder(submit_request(client_order_id=f"q-{number}", wait=pb.SUBMIT_WAIT_JOURNAL))
        full = (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", True)
        assert await refused(house, client_order_id="q-6") == full
        again = await house.orders.SubmitOrder(submit_request(client_order_id="q-3", wait=pb.SUBMIT_WAIT_JOURNAL))
        assert again.replayed, "what is recorded is answered"
        assert state_of(await house.cancel(resting.order_id)) == "CANCELED"
        waiting = next(order for order in house.tape.orders.values() if order.client_order_id == "q-5")
        assert state_of(await house.cancel(waiting.order_id)) == "CANCELED"
        await house.venue.release("hang")
        order = await house.steady_submit(client_order_id="q-6")
        await house.until(order.order_id, "ACCEPTED")
        assert await house.venue.orders("q-5") == []
        await audit(house)


async def test_with_little_disk_left_submits_are_refused_and_everything_else_goes_on(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        await house.venue.settings(is_auto_fill=False)
        orders = [await house.submit(client_order_id=f"before-{n}", quantity="10") for n in range(2)]
        for order in orders:
            await house.until(order.order_id, "ACCEPTED")
        await house.kill()
        config = tmp_path / "orderd.toml"
        config.write_text(
            "min_free_bytes = 1000000000000000000\n" + config.read_text(encoding="utf-8"), encoding="utf-8"
        )
        await house.restart()
        low = (grpc.StatusCode.UNAVAILABLE, "DISK_LOW", True)
        assert await refused(house, client_order_id="now") == low
        await house.venue.fill("before-0", "10", "86")
        await house.until(orders[0].order_id, "FILLED")
        assert state_of(await house.cancel(orders[1].order_id)) == "CANCELED"
        assert await house.venue.posts("now") == []
        await audit(house)


async def test_a_limit_denies_and_the_journal_says_why(tmp_path: Path) -> None:
    risk = {"risk": {"max_order_quantity": "5", "max_open_orders": 2}}
    async with trading(tmp_path, accounts={"paper": risk}) as house:
        await house.venue.settings(is_auto_fill=False)
        denied = await house.submit(client_order_id="big", quantity="6")
        assert state_of(denied) == "DENIED"
        assert denied.status_reason.source == opb.EVENT_SOURCE_RISK
        # Twenty at once: the gate counts what is on its way.
        answers = await asyncio.gather(*(house.submit(client_order_id=f"n-{n}") for n in range(20)))
        assert sum(state_of(answer) != "DENIED" for answer in answers) == 2
        assert len(await house.venue.posts()) == 2
        again = await house.submit(client_order_id="big", quantity="6")
        assert (state_of(again), again.order_id) == ("DENIED", denied.order_id)
        await audit(house)


BROKEN: dict[str, tuple[str, str]] = {
    "misspelled key": ("grpc_adress = '127.0.0.1:0'\n", "grpc_adress"),
    "impossible address": ("grpc_address = 'here'\n", "grpc_address"),
    "unknown broker": ("[accounts.paper]\nbroker = 'etrade'\n", "accounts.paper.broker"),
    "missing secret": ("[accounts.paper]\nbroker = 'alpaca'\nkey_id = 'k'\n", "accounts.paper.secret_key"),
    "interval out of range": (
        "[accounts.paper]\nbroker = 'simulated'\nreconcile_interval_s = 1\n",
        "accounts.paper.reconcile_interval_s",
    ),
    "a float of money": (
        "[accounts.paper]\nbroker = 'simulated'\n[risk]\nmax_order_notional = 1000.5\n",
        "risk.max_order_notional",
    ),
    "live by accident": (
        "[accounts.paper]\nbroker = 'alpaca'\nkey_id = 'k'\nsecret_key = 's'\n"
        "rest_url = 'https://api.alpaca.markets'\n",
        "accounts.paper.rest_url",
    ),
    "no account": ("log_level = 'info'\n", "accounts"),
    "not TOML": ("accounts = [\n", "broken.toml"),
}


@pytest.mark.parametrize(("text", "key"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_configuration_names_its_key_and_starts_nothing(tmp_path: Path, text: str, key: str) -> None:
    config = tmp_path / "broken.toml"
    if "database_url" not in text:
        text = f"database_url = 'sqlite+aiosqlite:///{tmp_path}/orderd.db'\n{text}"
    config.write_text(text, encoding="utf-8")
    process = processes.server(config, tmp_path / "orderd.log")
    await process.spawn()
    assert await process.ended(20) == 2
    assert key in process.said()
    assert "Traceback" not in process.said()
    assert not (tmp_path / "orderd.db").exists()


async def test_a_directory_that_is_not_there_and_an_address_that_is_taken(tmp_path: Path) -> None:
    nowhere = configuration(
        tmp_path, {"sim": {"broker": "simulated"}}, {"database_url": f"sqlite+aiosqlite:///{tmp_path}/no/orderd.db"}
    )
    process = processes.server(nowhere, tmp_path / "nowhere.log")
    await process.spawn()
    assert await process.ended(20) == 1
    assert f"{tmp_path}/no" in process.said()
    assert "Traceback" not in process.said()
    async with trading(tmp_path, accounts={"sim": {"broker": "simulated"}}) as house:
        other = tmp_path / "other"
        other.mkdir()
        taken = configuration(other, {"sim": {"broker": "simulated"}}, {"grpc_address": house.address})
        process = processes.server(taken, tmp_path / "taken.log")
        await process.spawn()
        assert await process.ended(20) == 1
        assert house.address in process.said()
        assert "Traceback" not in process.said()
