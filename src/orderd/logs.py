"""Logging: one JSON line per event on stderr, with whatever ids are bound. No payloads, no secrets.

A log that cannot be written (a full disk, a pipe whose reader is gone) loses its lines and nothing else: orders go on.
"""

import contextlib
import logging
import sys
from typing import BinaryIO

import orjson
import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class _Lines:
    """Writes lines while they can be written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def msg(self, line: bytes) -> None:
        """Write one line, or lose it."""
        with contextlib.suppress(OSError, ValueError):
            self._file.write(line + b"\n")
            self._file.flush()

    debug = info = warning = error = critical = msg


def configure(level: str) -> None:
    """Log JSON lines of this level and above to stderr. Loggers are cached: call it once, before anything logs."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=lambda *_: _Lines(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")


def to_stderr() -> None:
    """For a command that is no server: what its parts log stays out of stdout, which is for data."""
    structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))


def _dumps(event: object, **_: object) -> bytes:
    return orjson.dumps(event, default=str)
