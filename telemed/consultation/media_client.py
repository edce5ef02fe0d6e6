"""Talk to the media process."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from telemed.errors import Invalid, NotFound, Unavailable

TIMEOUT_S = 5.0
HEALTH_TIMEOUT_S = 1.0


class MediaClient:
    """The server's way to the media process. Safe to share between threads; connects when it is first asked."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        # trust_env: a proxy of the environment must not see calls to our own loopback.
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=TIMEOUT_S, trust_env=False
        )

    def answer_line_check(self, check_id: str, sdp: str) -> str:
        """Return the answer to a page's offer. Raises Invalid for a broken offer, Unavailable when busy or away."""
        answer = self._ask("POST", "/line-check/offer", json={"check_id": check_id, "sdp": sdp, "type": "offer"})
        if answer.status_code == 422:
            raise Invalid("offer_invalid", {"sdp": "offer_invalid"})
        return str(self._document(answer)["sdp"])

    def report_line_check(self, check_id: str, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a check, now that the page has told what it saw. Raises NotFound when no connection came
        about, Unavailable when the media process is away.
        """
        answer = self._ask("POST", f"/line-check/{quote(check_id, safe='')}/report", json=figures)
        if answer.status_code in (404, 409):
            raise NotFound("line_check_failed")
        result: dict[str, Any] = self._document(answer)["result"]
        return result

    def line_check_result(self, check_id: str) -> dict[str, Any] | None:
        """Return what was measured, or None while it is being measured. Raises NotFound when nothing will come."""
        answer = self._ask("GET", f"/line-check/{quote(check_id, safe='')}")
        if answer.status_code == 404:
            raise NotFound()
        document = self._document(answer)
        if document["state"] == "failed":
            raise NotFound("line_check_failed")
        result: dict[str, Any] | None = document["result"]
        return result

    def end_line_check(self, check_id: str) -> None:
        """End a check before its time; it may have ended already."""
        self._ask("DELETE", f"/line-check/{quote(check_id, safe='')}")

    def healthy(self) -> bool:
        """Say whether the media process answers."""
        try:
            return self._http.get("/healthz", timeout=HEALTH_TIMEOUT_S).status_code == 200
        except httpx.HTTPError:
            return False

    def close(self) -> None:
        """Let the connections go."""
        self._http.close()

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Unavailable("media_unavailable") from error

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        if answer.status_code != 200:
            raise Unavailable("media_unavailable")
        document: dict[str, Any] = answer.json()
        return document
