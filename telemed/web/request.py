"""The one edge where forms are read: what a page posts or puts into its address comes in as the page held it."""

from __future__ import annotations

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.utils import cached_property

from telemed.rules_text import plain

AS_TYPED = {"password"}  # its hash was made of exactly these characters


class PageRequest(Request):
    """A request whose form and address hold plain text (see `telemed.rules_text.plain`)."""

    def _load_form_data(self) -> None:
        super()._load_form_data()
        self.__dict__["form"] = _plain(self.__dict__["form"])

    @cached_property
    def args(self) -> MultiDict[str, str]:  # type: ignore[override]
        return _plain(super().args)


def _plain(typed: MultiDict[str, str]) -> ImmutableMultiDict[str, str]:
    return ImmutableMultiDict(
        [(name, value if name in AS_TYPED else plain(value)) for name, value in typed.items(multi=True)]
    )
