"""The stream over a real socket: handshakes, frames, and every fault of frames and connections."""

import asyncio

import aiohttp
import pytest

from tests.venue.desk import sample
from tests.venue.wire import Ear, Wire, listening, until, wired


async def connect(wire: Wire, path: str = "") -> Ear:
    return Ear(await wire.http.ws_connect(wire.server.stream_url + path))


async def test_the_legacy_handshake_is_answered_as_recorded(wire: Wire) -> None:
    ear = await connect(wire, "/")
    await ear.say({"action": "authenticate", "data": {"key_id": "venue-key", "secret_key": "venue-secret"}})
    assert await ear.hear() == sample("ws_2026_1_authorization_legacy.json")
    await ear.say({"action": "listen", "data": {"streams": ["trade_updates", "weather"]}})
    assert await ear.hear() == sample("ws_2026_2_listening.json")
    await ear.socket.close()


async def test_wrong_keys_and_listening_before_login_are_answered_as_recorded(wire: Wire) -> None:
    ear = await connect(wire)
    await ear.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    assert await ear.hear() == sample("ws_unauthorized_listen_before_auth.json")
    await ear.say({"action": "auth", "key": "venue-key", "secret": "wrong"})
    assert await ear.hear() == sample("ws_unauthorized.json")
    await ear.say({"action": "auth", "key": 5})
    assert (await ear.hear())["data"]["status"] == "unauthorized"
    await ear.socket.close()


@pytest.mark.parametrize("words", ["", "{", "[]", '"x"', '{"action":"dance"}', '{"action":"listen","data":5}', "\x00"])
async def test_messages_that_make_no_sense_are_answered_and_the_connection_lives(wire: Wire, words: str) -> None:
    ear = await connect(wire)
    await ear.socket.send_str(words)
    assert isinstance((await ear.hear())["data"], dict)
    await ear.say({"action": "auth", "key": "venue-key", "secret": "venue-secret"})
    assert (await ear.hear())["data"]["status"] == "authorized"
    await ear.socket.close()


async def test_client_frames_may_be_binary_too(wire: Wire) -> None:
    ear = await connect(wire)
    await ear.socket.send_bytes(b'{"action":"auth","key":"venue-key","secret":"venue-secret"}')
    assert (await ear.hear())["data"]["status"] == "authorized"
    await ear.socket.close()


@pytest.mark.parametrize("is_binary", [True, False])
async def test_data_comes_in_binary_frames_unless_switched(is_binary: bool) -> None:
    async with wired(has_binary_frames=is_binary) as wire, listening(wire) as ear:
        await wire.buy()
        message = await ear.socket.receive()
        assert (message.type is aiohttp.WSMsgType.BINARY) is is_binary


async def test_an_empty_listen_unsubscribes_and_there_is_no_replay(wire: Wire, ear: Ear) -> None:
    await ear.say({"action": "listen", "data": {"streams": []}})
    assert (await ear.hear())["data"]["streams"] == []
    order = await wire.buy()
    await wire.settled(order["id"], "filled")
    await ear.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    assert (await ear.hear())["stream"] == "listening"
    await wire.buy()
    assert await ear.events(1) == ["pending_new"]


async def test_a_stream_hears_its_own_account_only(wire: Wire, ear: Ear) -> None:
    await wire.control("POST", "accounts", {"key_id": "other", "secret": "x", "cash": "5000"})
    headers = {"APCA-API-KEY-ID": "other", "APCA-API-SECRET-KEY": "x"}
    body = {"symbol": "KO", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
    async with wire.http.post(f"{wire.server.rest_url}/v2/orders", json=body, headers=headers) as answer:
        assert answer.status == 200
    await wire.buy(client_order_id="mine")
    assert (await ear.hear())["data"]["order"]["client_order_id"] == "mine"


async def test_pings_are_answered(ear: Ear) -> None:
    await ear.socket.ping(b"hello")
    await ear.say({"action": "listen", "data": {"streams": ["trade_updates"]}})
    await ear.hear()


async def test_the_connection_limit() -> None:
    async with wired(connection_limit=1) as wire:
        async with listening(wire):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await connect(wire)
            assert refused.value.status == 429
        await until(lambda: not wire.face.sessions)
        await (await connect(wire)).socket.close()


async def test_a_plain_get_of_the_stream_is_no_upgrade(wire: Wire) -> None:
    async with wire.http.get(f"{wire.server.rest_url}/stream") as answer:
        assert answer.status == 400


# --- faults -------------------------------------------------------------------------------------------


async def test_a_dropped_frame(wire: Wire, ear: Ear) -> None:
    await wire.arm("drop_frame", event="new")
    await wire.buy()
    assert await ear.events(2) == ["pending_new", "fill"]


async def test_a_duplicated_frame_has_the_same_bytes(wire: Wire, ear: Ear) -> None:
    await wire.arm("duplicate_frame", event="fill")
    await wire.buy()
    await ear.events(2)
    assert (await ear.socket.receive()).data == (await ear.socket.receive()).data


async def test_a_delayed_frame_comes_when_its_barrier_opens(wire: Wire, ear: Ear) -> None:
    await wire.arm("delay_frame", event="fill", barrier="gate")
    await wire.buy(client_order_id="first")
    assert await ear.events(2) == ["pending_new", "new"]
    await until(lambda: bool(wire.venue.faults.barriers.waiting()))
    await wire.buy(client_order_id="second")
    assert await ear.events(3) == ["pending_new", "new", "fill"]
    await wire.control("POST", "barriers/gate/release")
    assert (await ear.hear())["data"]["order"]["client_order_id"] == "first"


async def test_a_delayed_frame_comes_after_its_delay(wire: Wire, ear: Ear) -> None:
    await wire.arm("delay_frame", event="new", delay_ms=20)
    await wire.buy()
    assert await ear.events(3) == ["pending_new", "fill", "new"]


async def test_reordered_frames(wire: Wire, ear: Ear) -> None:
    await wire.arm("reorder_frame", event="pending_new")
    await wire.buy()
    assert await ear.events(3) == ["new", "pending_new", "fill"]


async def test_an_unreadable_frame(wire: Wire, ear: Ear) -> None:
    await wire.arm("unreadable_frame", event="new")
    await wire.buy()
    await ear.hear()
    with pytest.raises(ValueError, match="Expecting value"):
        await ear.hear()
    assert await ear.events(1) == ["fill"]


async def test_an_unknown_event_and_an_unknown_status(wire: Wire, ear: Ear) -> None:
    await wire.arm("unknown_event", event="new", word="nodding")
    await wire.arm("unknown_frame_status", event="fill", order="mine", word="napping")
    await wire.buy(client_order_id="mine")
    assert (await ear.hear())["data"]["event"] == "pending_new"
    assert (await ear.hear())["data"]["event"] == "nodding"
    assert (await ear.hear())["data"]["order"]["status"] == "napping"


@pytest.mark.parametrize("is_accepted", [True, False])
async def test_a_disconnect_after_or_instead_of_a_frame(wire: Wire, ear: Ear, is_accepted: bool) -> None:
    await wire.arm("disconnect", event="new", code=4321, is_accepted=is_accepted)
    await wire.buy()
    assert await ear.events(2 if is_accepted else 1) == ["pending_new", "new"][: 2 if is_accepted else 1]
    assert await ear.end() == 4321


async def test_a_disconnect_without_a_close_frame(wire: Wire, ear: Ear) -> None:
    await wire.arm("disconnect", event="pending_new", code=0, is_accepted=False)
    await wire.buy()
    assert await ear.end() == 1006


async def test_a_kick(wire: Wire, ear: Ear) -> None:
    assert await wire.control("POST", "connections/kick", {"code": 1001}) == {"kicked": 1}
    assert await ear.end() == 1001
    await until(lambda: not wire.face.sessions)


async def test_a_stalled_connection_answers_no_ping_and_sends_nothing(wire: Wire) -> None:
    async with listening(wire) as ear:
        assert await wire.control("POST", "connections/stall") == {"stalled": 1}
        order = await wire.buy()
        await wire.settled(order["id"], "filled")
        await ear.socket.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await ear.socket.receive()
        ear.socket._writer.transport.abort()  # the peer will never answer a close


async def test_a_refused_login(wire: Wire) -> None:
    await wire.arm("refuse_login")
    ear = await connect(wire)
    for status in ("unauthorized", "authorized"):
        await ear.say({"action": "auth", "key": "venue-key", "secret": "venue-secret"})
        assert (await ear.hear())["data"]["status"] == status
    await ear.socket.close()


async def test_a_refused_upgrade(wire: Wire) -> None:
    await wire.arm("refuse_upgrade", status=429)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await connect(wire)
    assert refused.value.status == 429
    await (await connect(wire)).socket.close()


async def test_bust_and_correct_over_the_stream(wire: Wire, ear: Ear) -> None:
    await wire.settled((await wire.buy(qty="2"))["id"], "filled")
    await wire.settled((await wire.buy(qty="3"))["id"], "filled")
    frames = [(await ear.hear())["data"] for _ in range(6)]
    first, second = (frame["execution_id"] for frame in frames if frame["event"] == "fill")
    await wire.control("POST", f"executions/{first}/bust")
    busted = (await ear.hear())["data"]
    assert (busted["event"], busted["previous_execution_id"], busted["qty"]) == ("trade_bust", first, "2")
    assert (busted["order"]["filled_qty"], busted["position_qty"]) == ("0", "3")
    await wire.control("POST", f"executions/{second}/correct", {"quantity": "4", "price": "85.5"})
    corrected = (await ear.hear())["data"]
    assert (corrected["event"], corrected["previous_execution_id"]) == ("trade_correct", second)
    assert (corrected["qty"], corrected["price"], corrected["position_qty"]) == ("4", "85.5", "4")


async def test_the_frames_offered_are_written_down(wire: Wire, ear: Ear) -> None:
    await wire.arm("drop_frame", event="new")
    await wire.buy(client_order_id="mine")
    await ear.events(2)
    rows = await wire.control("GET", "frames")
    assert [(row["event"], row["client_order_id"], row["faults"]) for row in rows] == [
        ("pending_new", "mine", []),
        ("new", "mine", ["drop_frame"]),
        ("fill", "mine", []),
    ]
    (connection,) = await wire.control("GET", "connections")
    assert (connection["key_id"], connection["streams"], connection["frames_sent"]) == (
        "venue-key",
        ["trade_updates"],
        4,
    )
