"""A client that is stopped in its tracks: its kernel still takes bytes, but nobody answers pings."""

import asyncio
import os
import signal
import sys

from tests.server.conftest import OpenHouse

FOLLOW = """
import sys, grpc
from oms.v1 import order_service_pb2 as pb, order_service_pb2_grpc as rpc
stub = rpc.OrderServiceStub(grpc.insecure_channel(sys.argv[1]))
for response in stub.StreamOrderEvents(pb.StreamOrderEventsRequest()):
    print(response.WhichOneof("payload"), flush=True)
"""


async def test_a_frozen_peer_is_noticed(serve: OpenHouse) -> None:
    async with serve(keepalive_s=1, keepalive_timeout_s=1) as house:
        pipe = asyncio.subprocess.PIPE
        client = await asyncio.create_subprocess_exec(sys.executable, "-c", FOLLOW, house.address, stdout=pipe)
        assert client.stdout is not None
        try:
            assert await client.stdout.readline() == b"started\n"
            assert house.server.streams == 1
            os.kill(client.pid, signal.SIGSTOP)
            await house.streams_left(0)
        finally:
            client.kill()
            await client.communicate()
