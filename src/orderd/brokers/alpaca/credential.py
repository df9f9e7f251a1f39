"""A key pair that does not show itself."""


class Credential:
    """Alpaca's key id and secret. Both count as secrets: neither is in its text, nor in a pickle of it."""

    __slots__ = ("_key_id", "_secret_key")

    def __init__(self, key_id: str, secret_key: str) -> None:
        """Raises ValueError when one is missing or cannot be a header."""
        if not key_id or not secret_key:
            raise ValueError("Alpaca's key id and secret key are both required")
        if not f"{key_id}{secret_key}".isascii() or not f"{key_id}{secret_key}".isprintable():
            raise ValueError("Alpaca's key id and secret key are printable ASCII")
        self._key_id = key_id
        self._secret_key = secret_key

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
        return text.replace(self._secret_key, "***").replace(self._key_id, "***")

    def __repr__(self) -> str:
        """Show nothing."""
        return "Credential(***)"

    def __reduce__(self) -> str:
        """Refuse to be pickled."""
        raise TypeError("a credential is not written down")
