"""The rules of single fields, and the list of everything that is wrong with a request.

Each method returns the checked value and notes a violation when there is one; what it returns then is a stand-in that
nobody uses, because a request with violations becomes `Invalid`. Rules never repeat the value: it may be long.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from orderd.core.values import ZERO
from orderd.wire.asks import INVALID_FIELDS, Invalid, Violation
from orderd.wire.enums import Words

MAX_ID: Final = 128
MAX_REASON: Final = 512
MAX_FILTER_VALUES: Final = 500
MAX_DIGITS: Final = 38
MAX_PLACES: Final = 18
DEFAULT_PAGE: Final = 50
MAX_PAGE: Final = 1000
MAX_TAGS: Final = 32
MAX_TAG_KEY: Final = 64
MAX_TAG_VALUE: Final = 256

_DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_KEY: Final = re.compile(r"[A-Za-z0-9-]{1,128}")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S: Final = -62_135_596_800
_LAST_S: Final = 253_402_300_799
_MAX_NANOS: Final = 999_999_999

Word = TypeVar("Word", bound=StrEnum)


class Fields:
    """Collects the violations of one request; `prefix` leads to it when it stands inside another."""

    def __init__(self, prefix: str = "") -> None:
        """Start without violations."""
        self._prefix = prefix
        self._reasons: list[str] = []
        self.violations: list[Violation] = []

    def refuse(self, field: str, rule: str, reason: str = INVALID_FIELDS) -> None:
        """Note that a field breaks a rule."""
        self.violations.append(Violation(field=self._prefix + field, rule=rule))
        self._reasons.append(reason)

    def also(self, problem: Invalid) -> None:
        """Note everything that is wrong with a message inside this one."""
        for violation in problem.violations:
            self.violations.append(violation)
            self._reasons.append(problem.reason)

    def invalid(self) -> Invalid:
        """Everything noted. A special reason stands only when it is the whole problem."""
        reason = self._reasons[0] if len(self._reasons) == 1 else INVALID_FIELDS
        return Invalid(reason=reason, violations=tuple(self.violations))

    def text(self, field: str, value: str, limit: int = MAX_ID) -> str:
        """Free text on one line, perhaps empty: printable characters only, at most `limit` of them."""
        if len(value) > limit:
            self.refuse(field, f"must have at most {limit} characters")
        if not value.isprintable():
            self.refuse(
                field, "must have printable characters only: no control or formatting characters, no line breaks"
            )
        return value

    def needed(self, field: str, value: str, limit: int = MAX_ID) -> str:
        """Text that must not be empty."""
        if not value.strip():
            self.refuse(field, "is required")
            return value
        return self.text(field, value, limit)

    def key(self, field: str, value: str) -> str:
        """A key of ours, perhaps empty: 1 to 128 of A-Z a-z 0-9 and the hyphen."""
        if value and _KEY.fullmatch(value) is None:
            self.refuse(field, "must be 1 to 128 characters out of A-Z, a-z, 0-9 and -")
        return value

    def number(self, field: str, value: str) -> Decimal | None:
        """A decimal of any sign, perhaps absent."""
        if not value:
            return None
        # The longest that can pass: sign, 38 digits, point. It also keeps a long text away from the pattern.
        found = _DECIMAL.fullmatch(value) if len(value) <= MAX_DIGITS + 2 else None
        if found is None:
            self.refuse(
                field,
                "must be a plain decimal such as 12.5: digits with at most one point, no exponent, no sign but -, "
                f"no leading zeros, at most {MAX_DIGITS} digits",
            )
            return None
        whole, places = found.groups("")
        if len(places) > MAX_PLACES or len(whole) + len(places) > MAX_DIGITS:
            self.refuse(field, f"must have at most {MAX_DIGITS} digits, at most {MAX_PLACES} of them after the point")
            return None
        return Decimal(value) or ZERO

    def positive(self, field: str, value: str) -> Decimal | None:
        """A decimal above zero, perhaps absent."""
        number = self.number(field, value)
        if number is not None and number <= ZERO:
            self.refuse(field, "must be greater than 0")
            return None
        return number

    def word(self, field: str, number: int, words: Words[Word, int]) -> Word | None:
        """A word of an enum; None when it is unspecified (allowed) or unknown (refused)."""
        word = words.word.get(number)
        if word is None and number:
            self.refuse(field, f"has an unknown value; known are {words.names}")
        return word

    def needed_word(self, field: str, number: int, words: Words[Word, int]) -> Word | None:
        """A word of an enum that must be there."""
        if not number:
            self.refuse(field, f"is required: one of {words.names}")
            return None
        return self.word(field, number, words)

    def time(self, field: str, value: Timestamp | None) -> datetime | None:
        """A moment between the years 1 and 9999, cut to microseconds; None when absent."""
        if value is None:
            return None
        if not (_FIRST_S <= value.seconds <= _LAST_S and 0 <= value.nanos <= _MAX_NANOS):
            self.refuse(field, "must be a time between 0001-01-01 and 9999-12-31 with 0 to 999,999,999 nanos")
            return None
        return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)

    def time_range(self, after: tuple[str, datetime | None], before: tuple[str, datetime | None]) -> None:
        """Two ends that leave something between them."""
        if after[1] is not None and before[1] is not None and after[1] >= before[1]:
            self.refuse(before[0], f"must be later than {after[0]}")

    def day(self, field: str, value: str) -> str:
        """A day of the calendar as YYYY-MM-DD, perhaps empty."""
        if value and not _is_day(value):
            self.refuse(field, "must be a day written YYYY-MM-DD")
            return ""
        return value

    def tags(self, field: str, value: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Labels, sorted by key."""
        if not value:
            return ()
        if len(value) > MAX_TAGS:
            self.refuse(field, f"must have at most {MAX_TAGS} entries")
        pairs = sorted(value.items())
        for key, text in pairs[: MAX_TAGS + 1]:
            self.needed(f"{field} (a key)", key, MAX_TAG_KEY)
            # A key that is itself well formed leads to its value; another one is not repeated.
            named = key.isprintable() and len(key) <= MAX_TAG_KEY
            self.text(f'{field}["{key}"]' if named else f"{field} (a value)", text, MAX_TAG_VALUE)
        return tuple(pairs)

    def several(self, field: str, values: Sequence[str], limit: int = MAX_ID) -> tuple[str, ...]:
        """The values of a filter, without repeats, in the order given."""
        if len(values) > MAX_FILTER_VALUES:
            self.refuse(field, f"must have at most {MAX_FILTER_VALUES} values")
            return ()
        for index, value in enumerate(values):
            self.needed(f"{field}[{index}]", value, limit)
        return tuple(dict.fromkeys(values))

    def several_words(self, field: str, numbers: Iterable[int], words: Words[Word, int]) -> tuple[Word, ...]:
        """The words of a filter, without repeats, in the order given."""
        found = [
            self.needed_word(f"{field}[{index}]", number, words) for index, number in enumerate(dict.fromkeys(numbers))
        ]
        return tuple(word for word in found if word is not None)

    def page_size(self, value: int) -> int:
        """The size of a page: 0 means the default, too much means the most there is."""
        if value < 0:
            self.refuse("page_size", "must not be negative")
        return min(value, MAX_PAGE) if value > 0 else DEFAULT_PAGE


def _is_day(value: str) -> bool:
    if _DATE.fullmatch(value) is None:
        return False
    try:
        date.fromisoformat(value)
    except ValueError:
        return False
    return True
