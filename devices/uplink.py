"""The line to the server: join once, then heartbeats and batches. Believes nothing that the pinned key did not sign."""

from __future__ import annotations

import random
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx

from devices import sealing, wire
from devices.identity import Identity

ANSWER_WITHIN_S = 20.0
CONNECT_WITHIN_S = 5.0
MAX_ANSWER_BYTES = 1_000_000
LOOPBACK = ("127.0.0.1", "localhost", "::1")


NO_ANSWER, NOT_TRUSTED, NOT_THE_SERVER, BROKEN = "offline", "line_not_trusted", "line_hijacked", "server_error"
SERVER_ERRORS = (500, 502, 503, 504)  # of the server or the proxy before it; 511 is a network's log-in page


class Offline(Exception):
    """Try again later. `code`: no answer (`offline`), an error of the server's side (`server_error`), a certificate that
    is not the server's (`line_not_trusted`), or the answer of somebody else, as a hotel's log-in page (`line_hijacked`).
    """

    def __init__(self, reason: str, code: str = NOT_THE_SERVER) -> None:
        super().__init__(reason)
        self.code = code


class JoinRefused(Exception):
    """Ask the operator for another code. `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Refused(Exception):
    """The server understood and said no; the refusal says what to do."""

    def __init__(self, refusal: wire.Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Locked(Exception):
    """Stop sending for long: the server does not know this gateway (any more)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def open_client(url: str) -> httpx.AsyncClient:
    """Return a client with time limits. A proxy of the environment serves the outside world, not this computer."""
    timeout = httpx.Timeout(ANSWER_WITHIN_S, connect=CONNECT_WITHIN_S)
    return httpx.AsyncClient(timeout=timeout, trust_env=urlsplit(url).hostname not in LOOPBACK, follow_redirects=False)


async def join(
    client: httpx.AsyncClient, url: str, code: str, gateway_id: str, name: str, key: sealing.SigningKey
) -> Identity:
    """Return the identity of a newly joined gateway. Raises Offline, JoinRefused."""
    body = wire.join_request(code, gateway_id, key.public_bytes(), name)
    try:
        response = await client.post(
            url.rstrip("/") + wire.JOIN_PATH, content=body, headers={"Content-Type": "application/json"}
        )
    except httpx.HTTPError as error:
        raise _no_answer(error) from error
    try:
        if response.status_code != 200:
            raise JoinRefused(_join_refusal(response))
        joined = wire.parse_joined(response.content)
    except wire.WireError as error:
        raise Offline("not the answer of a telemed server") from error
    return Identity(
        gateway_id=gateway_id,
        branch_id=joined.branch_id,
        branch_name=joined.branch_name,
        deployment_id=joined.deployment_id,
        server_url=url.rstrip("/"),
        epoch=joined.epoch,
        demo=joined.demo,
        signing_key=key,
        ingest_key=joined.ingest_key,
        server_key=joined.server_key,
        ruleset=joined.ruleset,
    )


def _join_refusal(response: httpx.Response) -> str:
    """Return the code of a refused join; a bad code may come as the code of its field."""
    document = wire.parse_document(response.content)
    fields = document.get("fields")
    if isinstance(fields, dict) and isinstance(fields.get("code"), str):
        return str(fields["code"])
    return wire.text(document, "error")


class Uplink:
    """Signed requests of one gateway."""

    def __init__(self, client: httpx.AsyncClient, identity: Identity, url: str) -> None:
        self.client = client
        self.identity = identity
        self.url = url.rstrip("/")

    async def heartbeat(self, document: dict[str, object]) -> wire.HeartbeatAnswer:
        """Send one heartbeat. Raises Offline, Refused, Locked."""
        answer = await self._post(wire.HEARTBEAT_PATH, wire.to_bytes(document))
        try:
            return wire.parse_heartbeat(answer)
        except wire.WireError as error:
            raise Offline(f"heartbeat answer: {error.code}") from error

    async def readings(self, epoch: str, items: list[wire.Item]) -> wire.ReadingsAnswer:
        """Send one batch. Raises Offline, Refused, Locked."""
        answer = await self._post(wire.READINGS_PATH, wire.readings_request(self.identity.gateway_id, epoch, items))
        try:
            return wire.parse_readings_answer(answer)
        except wire.WireError as error:
            raise Offline(f"readings answer: {error.code}") from error

    async def _post(self, path: str, body: bytes) -> bytes:
        signature = self.identity.signing_key.sign(wire.request_message("POST", path, body))
        headers = {
            "Content-Type": "application/json",
            wire.GATEWAY_HEADER: self.identity.gateway_id,
            wire.SIGNATURE_HEADER: wire.b64(signature),
        }
        try:
            response = await self.client.post(self.url + path, content=body, headers=headers)
        except httpx.HTTPError as error:
            raise _no_answer(error) from error
        if len(response.content) > MAX_ANSWER_BYTES:
            raise Offline("answer too large")
        if response.status_code == 401:
            # An unknown gateway gets no signature. It costs nothing but time to believe it: nothing is marked as sent.
            raise Locked(_refusal(response.content).code)
        is_signed = wire.SERVER_SIGNATURE_HEADER in response.headers
        if response.status_code in SERVER_ERRORS and not is_signed:
            raise Offline(f"error {response.status_code}", BROKEN)
        if response.status_code != 409 or is_signed:
            self._check_signature(path, body, response)
        # An unsigned "send again from there" is followed as well: at worst something is sent twice, which the server
        # knows for a duplicate. Only signed answers mark items as sent or give orders.
        if response.status_code != 200:
            raise Refused(_refusal(response.content))
        return response.content

    def _check_signature(self, path: str, body: bytes, response: httpx.Response) -> None:
        """Raise Offline unless the pinned key signed this answer to this request."""
        key = self.identity.server_key
        try:
            signature = wire.from_b64(response.headers.get(wire.SERVER_SIGNATURE_HEADER, ""))
        except wire.WireError as error:
            raise Offline("answer not signed") from error
        message = wire.response_message(path, body, response.content)
        if response.headers.get(wire.SERVER_KEY_HEADER) != key.id:
            raise Offline("answer not signed by the pinned key")
        if not sealing.is_signed_by(key.raw, message, signature):
            raise Offline("answer with a wrong signature")


def _no_answer(error: httpx.HTTPError) -> Offline:
    """Return what a failed request means: nobody there, or somebody whose certificate does not fit."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return Offline(f"no answer: {type(error).__name__}", NOT_TRUSTED if cause else NO_ANSWER)


def _refusal(body: bytes) -> wire.Refusal:
    try:
        return wire.parse_refusal(body)
    except wire.WireError as error:
        raise Offline("refused by something that is not the server") from error


class Patience:
    """Waiting times that double up to a limit, each shaken so that 292 branches do not return at the same moment."""

    def __init__(self, first_s: float, limit_s: float, shake: Callable[[], float] = random.random) -> None:
        self.first_s = first_s
        self.limit_s = limit_s
        self._shake = shake
        self._failures = 0

    def next_s(self) -> float:
        """Return how long to wait after one more failure."""
        wait_s = min(self.limit_s, self.first_s * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        return float(wait_s * (0.5 + self._shake() / 2))

    def reset(self) -> None:
        """Start over after a success."""
        self._failures = 0
