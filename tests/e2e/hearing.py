"""A channel that searches what comes back for keys: answers, stream responses, errors with all their details."""

from collections.abc import Callable, Coroutine
from typing import Any

import grpc

from tests.canary import shown_in


class Hearing:
    """Everything a client heard, searched as it came. Changes nothing about the calls."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        """Where a key was heard, and which."""
        self.count = 0
        """How many answers and endings were searched."""

    def channel(self, channel: grpc.aio.Channel) -> Any:  # noqa: ANN401 - it stands for the channel
        """The same channel, listened in on."""
        return _Channel(channel, self)

    def search(self, where: str, heard: bytes) -> None:
        """Look through what was heard."""
        self.count += 1
        self.shown += [f"{where}: {name}" for name in shown_in(heard)]

    def ended(self, where: str, call: Any) -> None:  # noqa: ANN401 - grpc.aio's call
        """Look through what a call ended with."""
        trailers = [part for pair in _now(call.trailing_metadata()) or () for part in pair]
        told = [_now(call.details()) or "", _now(call.debug_error_string()) or "", *trailers]
        self.search(f"{where}, its end", b" ".join(part.encode() if isinstance(part, str) else part for part in told))


def _now(asked: Coroutine[Any, Any, Any]) -> Any:  # noqa: ANN401 - whatever it answers
    """What is known of a call that has ended, without waiting for it."""
    try:
        asked.send(None)
    except StopIteration as answer:
        return answer.value
    asked.close()
    raise AssertionError("a call that has ended does not know how")


class _Channel:
    def __init__(self, channel: grpc.aio.Channel, hearing: Hearing) -> None:
        self._channel = channel
        self._hearing = hearing

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the channel's own
        return getattr(self._channel, name)

    async def __aenter__(self) -> "_Channel":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    def unary_unary(self, method: str, **given: Any) -> Any:  # noqa: ANN401 - a multicallable
        return self._listened(self._channel.unary_unary, method, given)

    def unary_stream(self, method: str, **given: Any) -> Any:  # noqa: ANN401 - a multicallable
        return self._listened(self._channel.unary_stream, method, given)

    def _listened(self, make: Callable[..., Any], method: str, given: dict[str, Any]) -> Callable[..., Any]:
        read = given.pop("response_deserializer", None)

        def searched(data: bytes) -> Any:  # noqa: ANN401 - what the stub makes of it
            self._hearing.search(method, data)
            return data if read is None else read(data)

        multicallable = make(method, response_deserializer=searched, **given)

        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - grpc.aio's call
            made = multicallable(*args, **kwargs)
            made.add_done_callback(lambda done: self._hearing.ended(method, done))
            return made

        return call
