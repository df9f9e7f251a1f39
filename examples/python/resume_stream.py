"""Follow every event, and go on after a restart of this program or of the server where it stopped.

Start a server first (`make run`), then: .venv/bin/python examples/python/resume_stream.py position.json

What a consumer has to keep is a journal's id and a sequence, written after the event was handled. Kill this program
as often as you like: it prints each event at least once, and twice only when it was killed between the two.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from oms.v1 import order_pb2 as pb
from oms.v1.order_service_pb2 import StreamOrderEventsRequest
from orderd.client import Client, Follower, OrderdError


def stored(path: Path) -> StreamOrderEventsRequest:
    """Where to go on: at the beginning when nothing is stored yet."""
    if not path.exists():
        return StreamOrderEventsRequest(after_sequence=0)
    position = json.loads(path.read_text(encoding="utf-8"))
    return StreamOrderEventsRequest(after_sequence=position["sequence"], journal_id=position["journal_id"])


def store(path: Path, follower: Follower) -> None:
    """Write the position beside and move it into place, so that no kill leaves half of it."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps({"journal_id": follower.journal_id, "sequence": follower.sequence}), encoding="utf-8")
    os.replace(beside, path)


async def follow(path: Path) -> None:
    """Print events for ever."""
    async with Client() as client:
        follower = client.follow(
            stored(path),
            on_reconnect=lambda after, error: print(f"reconnecting after {after}: {error}", file=sys.stderr),
        )
        async with follower:
            async for event in follower:
                order = event.order
                word = pb.OrderEventType.Name(event.type).removeprefix("ORDER_EVENT_TYPE_")
                print(f"{event.sequence} {order.symbol} {word} {order.filled_quantity}/{order.quantity}", flush=True)
                store(path, follower)


def main() -> int:
    """Read the command line."""
    path = Path(sys.argv[1] if len(sys.argv) > 1 else "position.json")
    try:
        asyncio.run(follow(path))
    except OrderdError as error:
        if error.reason == "JOURNAL_MISMATCH":
            print(f"the server has another journal now: read the open orders again and remove {path}", file=sys.stderr)
        else:
            print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
