"""Talk to the media process."""

from __future__ import annotations


class MediaClient:
    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret

    def healthy(self) -> bool:
        return False
