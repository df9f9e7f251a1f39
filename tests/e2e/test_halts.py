"""What stops an account, who lets it go on, and that no account waits for another's broker."""

import asyncio
import contextlib
from pathlib import Path

import grpc
import pytest

from oms.v1 import account_service_pb2 as apb
from oms.v1 import broker_service_pb2 as bpb
from oms.v1 import order_service_pb2 as pb
from tests.canary import KEY_ID, SECOND_KEY_ID, SECOND_SECRET, SECRET
from tests.e2e.audit import audit
from tests.e2e.errors import details
from tests.e2e.harness import House, state_of, submit_request, trading
from tests.e2e.processes import ProcessEndedError

SECOND = {"key_id": SECOND_KEY_ID, "secret_key": SECOND_SECRET}


async def resting(house: House, name: str, **fields: object) -> str:
    await house.venue.settings(is_auto_fill=False)
    order = await house.submit(client_order_id=name, **fields)
    await house.until(order.order_id, "ACCEPTED")
    return order.order_id


async def resume(house: House, reason: str = "checked with the broker") -> None:
    await house.brokers.ResumeAccount(bpb.ResumeAccountRequest(account_id="paper", reason=reason))


async def halted(house: House) -> apb.Account:
    """Reconcile until the account halts: orders that were heard of just now may not be in a list yet."""
    async with asyncio.timeout(10):
        while not (account := await house.account()).halted:
            await house.reconcile()
            await asyncio.sleep(0.2)
    return account


async def test_when_every_order_vanishes_the_account_halts_until_an_operator_resumes_it(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        ids = [await resting(house, f"gone-{n}") for n in range(3)]
        await house.venue.call("POST", f"accounts/{KEY_ID}/vanish")
        account = await halted(house)
        assert "MASS_DISAPPEARANCE" in account.halt_reason
        assert account.open_order_count == 3, "nothing is called canceled because it is not shown"
        denied = await house.submit(client_order_id="denied")
        assert state_of(denied) == "DENIED"
        assert await house.venue.orders("denied") == []
        await house.kill()
        await house.start(is_ready=False)
        assert (await house.account()).halted, "a restart is no operator"
        assert state_of(await house.submit(client_order_id="denied-too")) == "DENIED"

        await resume(house)
        assert not (await house.account()).halted
        # The operator has spoken: what the broker does not have is ended, in the operator's name.
        for order_id in ids:
            ended = await house.until(order_id, "CANCELED")
            assert ended.status_reason.message == "checked with the broker"
        await house.reconcile()
        assert not (await house.account()).halted
        assert (await house.account()).open_discrepancy_count == 0
        order = await house.submit(client_order_id="again")
        await house.until(order.order_id, "ACCEPTED")


async def test_an_account_that_became_another_one_halts(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        order_id = await resting(house, "before")
        await house.venue.call("POST", f"accounts/{KEY_ID}/reset", {})
        await house.reconcile()
        account = await house.account()
        assert account.halted
        assert "ACCOUNT_CHANGED" in account.halt_reason
        assert state_of(await house.submit(client_order_id="denied")) == "DENIED"
        await resume(house, "the paper account was reset")
        await house.until(order_id, "CANCELED")
        await house.reconcile()
        assert not (await house.account()).halted
        await house.venue.settings(is_auto_fill=True)
        order = await house.submit(client_order_id="after")
        await house.until(order.order_id, "FILLED")
        await house.kill()
        await house.restart()
        assert not (await house.account()).halted, "the new number is the known one now"


async def test_an_account_that_is_not_halted_cannot_be_resumed(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await resume(house)
        assert (refused.value.code(), details(refused.value)[0]) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "ACCOUNT_NOT_HALTED",
        )


async def test_cancels_work_while_the_account_is_halted(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        await house.venue.call("POST", f"accounts/{KEY_ID}/reset", {})
        await house.reconcile()
        assert (await house.account()).halted
        row = await house.venue.by_hand(KEY_ID, SECRET, type="limit", limit_price="5")
        await house.tape.until(lambda: any(o.broker_order_id == row["id"] for o in house.tape.orders.values()))
        order = next(o for o in house.tape.orders.values() if o.broker_order_id == row["id"])
        assert state_of(await house.cancel(order.order_id)) == "CANCELED"


async def test_two_accounts_that_are_one_at_the_broker_refuse_to_trade(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"one": {}, "two": {}}, is_started=False) as house:
        with contextlib.suppress(ProcessEndedError):
            await house.start(is_ready=False)
        assert await house.server.ended(10) != 0
        assert "accounts one and two are one account at the broker" in house.server.said()
        assert "Traceback" not in house.server.said()
        assert await house.venue.posts() == []


async def test_one_accounts_dead_broker_holds_up_nobody_else(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {}, "other": SECOND}, is_started=False) as house:
        await house.venue.call("POST", "accounts", {"key_id": SECOND_KEY_ID, "secret": SECOND_SECRET})
        await house.venue.arm("lose_request", path="/v2/account", times=0)  # also /v2/account/activities
        await house.start(is_ready=False)
        with pytest.raises(grpc.aio.AioRpcError) as recovering:
            await house.submit(account_id="paper", client_order_id="early")
        assert (recovering.value.code(), details(recovering.value)[0]) == (
            grpc.StatusCode.UNAVAILABLE,
            "ACCOUNT_RECOVERING",
        )
        assert details(recovering.value)[1] > 0
        await house.venue.calm()
        await house.recovered()
        for account_id in ("paper", "other"):
            order = await house.submit(account_id=account_id, client_order_id="early")
            await house.until(order.order_id, "FILLED")
        await audit(house, is_simple=False)


async def test_an_account_without_a_broker_is_recovering_while_another_trades(tmp_path: Path) -> None:
    nowhere = {"rest_url": "http://127.0.0.1:9", "stream_url": "ws://127.0.0.1:9/stream"}
    async with trading(tmp_path, accounts={"paper": {}, "dead": nowhere}, is_started=False) as house:
        await house.start(is_ready=False)
        await house.until_recovered("paper")
        for number in range(5):
            order = await house.submit(account_id="paper", client_order_id=f"x-{number}")
            await house.until(order.order_id, "FILLED", within_s=5)
            with pytest.raises(grpc.aio.AioRpcError) as recovering:
                await house.submit(account_id="dead", client_order_id=f"x-{number}")
            assert details(recovering.value)[0] == "ACCOUNT_RECOVERING"
        assert (await house.account("dead")).recovering
        assert not await house.venue.orders("dead")
        assert await house.terminate(20) == 0


async def test_a_hanging_broker_of_one_account_holds_up_nobody_else(tmp_path: Path) -> None:
    timeouts = {"submit_timeout_s": 30, "parallel_submits": 2}
    async with trading(tmp_path, accounts={"paper": timeouts, "other": {**SECOND, **timeouts}}, is_started=False) as h:
        await h.venue.call("POST", "accounts", {"key_id": SECOND_KEY_ID, "secret": SECOND_SECRET})
        await h.start()
        await h.venue.arm("hold_answer", method="POST", symbol="KO", barrier="hang", times=0)
        held = [asyncio.create_task(h.submit(account_id="paper", client_order_id=f"held-{n}")) for n in range(3)]
        await h.venue.waiting("hang")
        # The same account's other symbols go on, too: one hanging POST holds its own symbol only.
        for account_id, symbol in (("other", "AAPL"), ("paper", "MSFT"), ("other", "MSFT")):
            order = await h.submit(account_id=account_id, client_order_id=f"free-{symbol}", symbol=symbol)
            await h.until(order.order_id, "FILLED", within_s=5)
        await h.venue.release("hang")
        await asyncio.gather(*held)
        for order in [order for order in h.tape.orders.values() if order.client_order_id.startswith("held")]:
            await h.until(order.order_id, "FILLED")
        await audit(h, is_simple=False)


async def test_a_cancel_works_while_submits_hang(tmp_path: Path) -> None:
    async with trading(tmp_path, accounts={"paper": {"submit_timeout_s": 30, "parallel_submits": 2}}) as house:
        order_id = await resting(house, "resting", symbol="F")
        await house.venue.arm("hold_answer", method="POST", barrier="hang", times=0)
        for number, symbol in enumerate(("KO", "AAPL", "MSFT", "AMD", "SPY", "QQQ")):
            request = submit_request(client_order_id=f"hang-{number}", symbol=symbol, wait=pb.SUBMIT_WAIT_JOURNAL)
            await house.orders.SubmitOrder(request)
        await house.venue.until(lambda: house.venue.call("GET", "barriers"), lambda gates: gates.get("hang", 0) == 2)
        async with asyncio.timeout(3):
            assert state_of(await house.cancel(order_id)) == "CANCELED"
        await house.venue.release("hang")
        await house.venue.calm()
        await house.tape.until(
            lambda: sum(1 for order in house.tape.orders.values() if state_of(order) == "ACCEPTED") == 6
        )
        await audit(house)
