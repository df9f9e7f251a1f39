"""Following events: over restarts, without a gap, without a repeat, and never of another journal."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details

from oms.v1 import order_service_pb2 as pb
from orderd.client import Client, Follower, GapError, OrderdError
from tests.client.fake import Fake, Refusal, events, heartbeat, order, serving, snapshot_end, snapshot_page, started

NOW = details.RetryInfo(retry_delay=Duration(nanos=1_000_000))
DRAINING = Refusal(grpc.StatusCode.UNAVAILABLE, "DRAINING", "restarting", more=[NOW])
CUT = Refusal(grpc.StatusCode.UNAVAILABLE, more=())
END = Refusal(grpc.StatusCode.OUT_OF_RANGE, "END_OF_TEST")
METHOD = "StreamOrderEvents"


@pytest.fixture
async def fake() -> AsyncIterator[Fake]:
    async with serving(Fake()) as running:
        yield running


@pytest.fixture
async def client(fake: Fake) -> AsyncIterator[Client]:
    async with Client(fake.address) as connected:
        yield connected


async def followed(follower: Follower) -> list[int]:
    """The sequences that came, until the stream is refused by END."""
    found = []
    with pytest.raises(OrderdError, match="END_OF_TEST"):
        async for event in follower:
            assert follower.sequence == event.sequence
            found.append(event.sequence)
    return found


def positions(fake: Fake) -> list[int | None]:
    """What each call resumed after."""
    return [asked.after_sequence if asked.HasField("after_sequence") else None for asked in fake.asked[METHOD]]


async def test_it_goes_on_where_it_stopped(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(4), events(4, 5, 6), DRAINING], [started(6), events(6, 9), END])
    follower = client.follow(after_sequence=4)
    assert await followed(follower) == [5, 6, 9]
    assert positions(fake) == [4, 6]
    assert [asked.journal_id for asked in fake.asked[METHOD]] == ["", "j-1"]


async def test_heartbeats_move_the_position(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(4), heartbeat(4, 50), DRAINING], [started(50), heartbeat(50, 60), END])
    follower = client.follow(after_sequence=4)
    assert await followed(follower) == []
    assert positions(fake) == [4, 50]
    assert (follower.sequence, follower.journal_id) == (60, "j-1")


async def test_live_from_now_resumes_from_where_it_began(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(100), DRAINING], [started(100), events(100, 101), END])
    assert await followed(client.follow()) == [101]
    assert positions(fake) == [None, 100]


async def test_zero_is_a_position(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(0), events(0, 1), END])
    assert await followed(client.follow(after_sequence=0)) == [1]
    assert positions(fake) == [0]


@pytest.mark.parametrize(
    "cut",
    [
        CUT, Refusal(grpc.StatusCode.INTERNAL, message="RST_STREAM"), Refusal(grpc.StatusCode.UNKNOWN),
        Refusal(grpc.StatusCode.CANCELLED), Refusal(grpc.StatusCode.UNAVAILABLE, "STREAM_TOO_SLOW", more=[NOW]),
    ],
    ids=lambda cut: f"{cut.code.name}-{cut.reason}",
)  # fmt: skip
async def test_every_kind_of_cut_is_survived(fake: Fake, client: Client, cut: Refusal) -> None:
    fake.stream(METHOD, [started(0), events(0, 1), cut], [started(1), events(1, 2), END])
    assert await followed(client.follow(after_sequence=0)) == [1, 2]


async def test_a_server_that_ends_the_stream(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(0), events(0, 1)], [started(1), events(1, 2), END])
    told: list[tuple[int, str]] = []
    follower = client.follow(after_sequence=0, on_reconnect=lambda after, error: told.append((after, error.message)))
    assert await followed(follower) == [1, 2]
    assert told == [(1, "the server ended the stream")]


@pytest.mark.parametrize(
    "wrong",
    [events(2, 3), events(1, 1, 3, up_to=3), events(1, 3, 2, up_to=3), events(1, 2, 3, up_to=2), heartbeat(0, 9)],
    ids=["gap", "repeat", "unsorted", "beyond", "stale heartbeat"],
)
async def test_a_message_that_does_not_follow_is_not_delivered(
    fake: Fake, client: Client, wrong: pb.StreamOrderEventsResponse
) -> None:
    fake.stream(METHOD, [started(0), events(0, 1), wrong, END], [started(1), events(1, 2, 3), END])
    assert await followed(client.follow(after_sequence=0)) == [1, 2, 3]
    assert positions(fake) == [0, 1]


async def test_a_gap_that_stays_is_an_error(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, *([started(5 if turn else 0), events(9, 10), END] for turn in range(9)))
    with pytest.raises(GapError):
        async for _ in client.follow(after_sequence=0):
            pytest.fail("delivered")
    assert len(fake.asked[METHOD]) == 4


@pytest.mark.parametrize("says_so", [True, False])
async def test_another_journal_is_an_error(fake: Fake, client: Client, says_so: bool) -> None:
    mismatch = Refusal(grpc.StatusCode.FAILED_PRECONDITION, "JOURNAL_MISMATCH")
    second = [mismatch] if says_so else [started(1, "j-2"), events(1, 2)]
    fake.stream(METHOD, [started(0), events(0, 1), DRAINING], second, [END])
    with pytest.raises(OrderdError) as caught:
        async for event in client.follow(after_sequence=0):
            assert event.sequence == 1
    assert caught.value.reason == "JOURNAL_MISMATCH"


async def test_the_stored_journal_id_is_checked(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(3, "j-2"), events(3, 4)], [END])
    request = pb.StreamOrderEventsRequest(journal_id="j-1", after_sequence=3)
    with pytest.raises(OrderdError, match="JOURNAL_MISMATCH"):
        async for _ in client.follow(request):
            pytest.fail("delivered")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "SEQUENCE_COMPACTED"), (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS"),
        (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), (grpc.StatusCode.INTERNAL, "INTERNAL"),
        (grpc.StatusCode.UNIMPLEMENTED, ""), (grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS"),
    ],
)  # fmt: skip
async def test_what_no_reconnect_heals_is_raised(
    fake: Fake, client: Client, code: grpc.StatusCode, reason: str
) -> None:
    fake.stream(METHOD, [Refusal(code, reason, more=[NOW])])
    with pytest.raises(OrderdError) as caught:
        async for _ in client.follow(after_sequence=4):
            pytest.fail("delivered")
    assert (caught.value.code, caught.value.reason) == (code, reason)


async def test_a_full_server_is_asked_again_by_who_was_there(fake: Fake, client: Client) -> None:
    full = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_STREAMS", more=[NOW])
    fake.stream(METHOD, [started(0), events(0, 1), DRAINING], [full], [started(1), events(1, 2), END])
    assert await followed(client.follow(after_sequence=0)) == [1, 2]


async def test_a_snapshot_comes_first_and_is_not_asked_for_again(fake: Fake, client: Client) -> None:
    fake.stream(
        METHOD,
        [started(0), snapshot_page(order(1)), DRAINING],
        [
            started(0),
            snapshot_page(order(1), order(2)),
            snapshot_page(order(3)),
            snapshot_end(7),
            events(7, 8),
            DRAINING,
        ],
        [started(8), events(8, 9), END],
    )
    follower = client.follow(snapshot=True)
    assert [found.order_id for found in await follower.snapshot()] == ["order-1", "order-2", "order-3"]
    assert follower.sequence == 7
    assert await followed(follower) == [8, 9]
    assert [asked.snapshot for asked in fake.asked[METHOD]] == [True, True, False]
    assert positions(fake) == [None, None, 8]


async def test_a_snapshot_that_was_not_asked_for(client: Client) -> None:
    with pytest.raises(ValueError, match="no snapshot"):
        await client.follow().snapshot()


async def test_silence_is_noticed(fake: Fake, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    held = asyncio.Event()

    async def hold(method: str, request: pb.StreamOrderEventsRequest, context: object) -> AsyncIterator[object]:
        fake.asked[method].append(request)
        yield started(0)
        await held.wait()

    monkeypatch.setattr(fake, "server_stream", hold)
    monkeypatch.setattr("orderd.client.follow.SILENT_HEARTBEATS", 0.1)
    told: list[str] = []
    request = pb.StreamOrderEventsRequest(heartbeat_interval=Duration(seconds=1))
    follower = client.follow(request, give_up_after_s=0, on_reconnect=lambda _, error: told.append(str(error)))
    with pytest.raises(OrderdError, match=r"nothing was heard for 0\.1 s"):
        async for _ in follower:
            pytest.fail("delivered")
    held.set()


async def test_it_gives_up_when_told_to(unused_tcp_port: int) -> None:
    async with Client(f"127.0.0.1:{unused_tcp_port}") as client, asyncio.timeout(10):
        with pytest.raises(OrderdError) as caught:
            async for _ in client.follow(give_up_after_s=0.2):
                pytest.fail("delivered")
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE


async def test_messages_show_heartbeats(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(0), heartbeat(0, 5), events(5, 6)], [END])
    async with client.follow(after_sequence=0) as follower:
        kinds = []
        with pytest.raises(OrderdError, match="END_OF_TEST"):
            async for message in follower.messages():
                kinds.append((message.WhichOneof("payload"), follower.sequence))
    assert kinds == [("started", 0), ("heartbeat", 5), ("events", 6)]


async def test_leaving_ends_the_stream(fake: Fake, client: Client) -> None:
    fake.stream(METHOD, [started(0), events(0, 1, 2)], [END])
    async with client.follow(after_sequence=0) as follower:
        async for event in follower:
            assert event.sequence == 1
            break
    assert follower.sequence == 1
