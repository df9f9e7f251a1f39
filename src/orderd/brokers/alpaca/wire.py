"""One HTTP call through alpaca-py, with the SDK's traps closed. Blocking: it runs in the threads of `rest`.

What the SDK would do and this does not: send a POST again after 429 or 504, wait for ever, insist that an error body
is its own JSON, turn decimals into floats. What is kept of it: hosts, version, authentication, no redirects.
"""

import time
from http.client import HTTPException
from typing import TYPE_CHECKING, cast

from alpaca.trading.client import TradingClient
from requests import Response as RawResponse
from requests import Session
from requests import exceptions as requests_errors
from requests.adapters import HTTPAdapter
from urllib3 import exceptions as urllib3_errors

from orderd.brokers.alpaca.client import AnswerLost, NotConnected, Request, Response
from orderd.brokers.alpaca.credential import Credential

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONNECT_SHARE = 0.5
"""Part of the time left that connecting may take: later the answer could not come in time anyway."""
_CONNECT_LIMIT_S = 5.0
_LATE_S = 30.0
"""How long after its deadline an answer is still waited for, to be handed on as a late one."""
_IDLE_S = 15.0
_BODY_LIMIT = 32 * 1024 * 1024
_CHUNK = 64 * 1024
_PREFIX = "/v2"

_NEVER_SENT = (
    requests_errors.ConnectTimeout,
    requests_errors.InvalidURL,
    requests_errors.InvalidSchema,
    requests_errors.MissingSchema,
    requests_errors.InvalidHeader,
)
_FAILED = (requests_errors.RequestException, urllib3_errors.HTTPError, HTTPException, OSError, ValueError)

Outcome = Response | NotConnected | AnswerLost


class Wire(TradingClient):
    """The SDK's client giving back status, headers and bytes instead of what it makes of them. For one thread."""

    def __init__(self, credential: Credential, rest_url: str) -> None:
        """`rest_url` is scheme and host; the SDK adds /v2."""
        super().__init__(
            api_key=credential.key_id, secret_key=credential.secret_key, raw_data=True, url_override=rest_url
        )
        self._retry = 0
        self._redact = credential.redact_bytes
        session = Session()
        session.trust_env = False  # neither a proxy nor a .netrc may change who is spoken to, and as whom
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0))
        self._session = session
        self._ends = 0.0
        self._used = 0.0

    def __repr__(self) -> str:
        """Show nothing: the base class holds the keys."""
        return "Wire(***)"

    def perform(self, request: Request, deadline: float) -> Outcome:
        """Send once. `deadline` is the caller's, on `time.monotonic`; a late answer is still waited for a while."""
        self._ends = deadline
        self._refresh()
        data: object = list(request.query) if request.method in {"GET", "DELETE"} else request.body
        path = request.path.removeprefix(_PREFIX)
        try:
            sent: object = self._request(request.method, path, data)  # type: ignore[arg-type]
        except _FAILED as error:
            return classify(error)
        return sent if isinstance(sent, Response) else AnswerLost("the SDK gave nothing back")

    def _one_request(self, method: str, url: str, opts: dict[str, object], retry: int) -> Response:  # type: ignore[override]
        """Send what the SDK prepared, with our bytes and our timeouts, and leave the answer alone."""
        del retry
        headers = dict(cast("Mapping[str, str]", opts["headers"]))
        body = opts.get("json")
        if body is not None:
            headers["Content-Type"] = "application/json"
        left_s = max(self._ends - time.monotonic(), 0.1)
        answer = self._session.request(
            method,
            url,
            params=cast("list[tuple[str, str]] | None", opts.get("params")) or None,
            data=cast("bytes | None", body),
            headers=headers,
            allow_redirects=False,
            stream=True,
            timeout=(min(left_s * _CONNECT_SHARE, _CONNECT_LIMIT_S), left_s + _LATE_S),
        )
        with answer:
            received = {name.lower(): value for name, value in answer.headers.items()}
            return Response(
                status=answer.status_code, headers=received, body=self._redact(_read(answer, self._ends + _LATE_S))
            )

    def _refresh(self) -> None:
        """Leave a connection that has been idle: its end may just be closing, and a POST into it would be lost."""
        now = time.monotonic()
        if now - self._used > _IDLE_S:
            self._session.close()
        self._used = now

    def shut(self) -> None:
        """Close the socket."""
        self._session.close()


def _read(answer: RawResponse, ends: float) -> bytes:
    """Read the body to its end. Raises OSError when it is too long or comes too slowly."""
    body = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        body += chunk
        if len(body) > _BODY_LIMIT:
            raise OSError("the body is too long")
        if time.monotonic() > ends:
            raise OSError("the body came too slowly")
    return bytes(body)


def classify(error: Exception) -> NotConnected | AnswerLost:
    """Say whether bytes can have left. Only what proves they have not is NotConnected.

    Only the names of the exceptions' types are kept: their texts carry addresses, and sometimes more.
    """
    if isinstance(error, _NEVER_SENT):
        return NotConnected(type(error).__name__)
    inner = error.args[0] if error.args else None
    reason = inner.reason if isinstance(inner, urllib3_errors.MaxRetryError) else None
    if isinstance(reason, urllib3_errors.NewConnectionError | urllib3_errors.ConnectTimeoutError):
        return NotConnected(type(reason).__name__)
    if isinstance(reason, urllib3_errors.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(reason):
        return NotConnected("the certificate was refused")
    return AnswerLost(type(error).__name__)
