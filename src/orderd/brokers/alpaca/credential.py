"""A key pair that does not show itself."""

import base64
import re
from typing import Final
from urllib.parse import quote

_MASK: Final = "***"
_SHORTEST: Final = 8
"""Characters of a key that is taken out of texts: a shorter one is no secret, and would tear holes into any answer."""


class Credential:
    """Alpaca's key id and secret. Both count as secrets: neither is in its text, nor in a pickle of it."""

    __slots__ = ("_forms", "_key_id", "_secret_key")

    def __init__(self, key_id: str, secret_key: str) -> None:
        """Raises ValueError when one is missing or cannot be a header."""
        if not key_id or not secret_key:
            raise ValueError("Alpaca's key id and secret key are both required")
        if not f"{key_id}{secret_key}".isascii() or not f"{key_id}{secret_key}".isprintable():
            raise ValueError("Alpaca's key id and secret key are printable ASCII")
        self._key_id = key_id
        self._secret_key = secret_key
        self._forms = _forms(key_id, secret_key)

    @property
    def key_id(self) -> str:
        """The key id, for a header or a login frame only."""
        return self._key_id

    @property
    def secret_key(self) -> str:
        """The secret, for a header or a login frame only."""
        return self._secret_key

    def redact(self, text: str) -> str:
        """Take both out of a text that came from outside."""
        return self.redact_bytes(text.encode(errors="surrogatepass")).decode(errors="surrogatepass")

    def redact_bytes(self, data: bytes) -> bytes:
        """Take both out of what came from outside, before anybody keeps it: a proxy may quote a request's headers.

        Also in the forms of JSON, addresses and basic authorization.
        """
        for form in self._forms:
            if form in data:
                data = data.replace(form, _MASK.encode())
        return data

    def __repr__(self) -> str:
        """Show nothing."""
        return "Credential(***)"

    def __reduce__(self) -> str:
        """Refuse to be pickled."""
        raise TypeError("a credential is not written down")


def _forms(key_id: str, secret_key: str) -> tuple[bytes, ...]:
    """How the keys may be written down by somebody else, the longest first."""
    keys = [key for key in (key_id, secret_key) if len(key) >= _SHORTEST]
    escaped = [key.replace("/", "\\/") for key in keys] + [key.replace("/", "\\u002f") for key in keys]
    quoted = [quote(key, safe=safe) for key in keys for safe in ("", "/")]
    pair = base64.b64encode(f"{key_id}:{secret_key}".encode()).decode().rstrip("=")
    forms = {*keys, *escaped, *quoted, *(_lower_hex(form) for form in quoted)} | ({pair} if keys else set[str]())
    return tuple(form.encode() for form in sorted(forms, key=len, reverse=True))


def _lower_hex(quoted: str) -> str:
    """The other way to write the same address: %2f for %2F."""
    return re.sub(r"%[0-9A-F]{2}", lambda found: found.group().lower(), quoted)
