"""JSON in and out: one validator, typed errors with a code per field."""

from __future__ import annotations

import unicodedata
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ConfigDict, ValidationError

from telemed.errors import Invalid

Model = TypeVar("Model", bound=BaseModel)

# pydantic's error types in our words; what is not listed is `invalid`
CODES = {
    "missing": "required",
    "string_too_short": "required",
    "string_too_long": "too_long",
    "too_long": "too_long",
    "extra_forbidden": "unknown_field",
    "uuid_parsing": "not_an_id",
    "uuid_type": "not_an_id",
    "int_parsing": "not_a_number",
    "int_type": "not_a_number",
    "float_type": "not_a_number",
    "datetime_parsing": "not_a_time",
    "datetime_from_date_parsing": "not_a_time",
    "timezone_aware": "not_a_time",
    "string_type": "not_text",
}


class Body(BaseModel):
    """The base of every JSON body: unknown fields are refused, not ignored."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


def read_json(model: type[Model]) -> Model:
    """Return the request's JSON as `model`. Raises Invalid with a code per field."""
    try:
        document = request.get_json(silent=True)
    except RecursionError:  # a body of ten thousand brackets
        raise Invalid("body_invalid") from None
    if not isinstance(document, dict):
        raise Invalid("body_invalid")
    return parse(model, document)


def parse(model: type[Model], document: Any) -> Model:
    """Return `document` as `model`; the same for pages, JSON and socket messages. Raises Invalid."""
    try:
        return model.model_validate(_composed(document))
    except ValidationError as error:
        raise Invalid("body_invalid", fields=_fields(error)) from None
    except RecursionError:
        raise Invalid("body_invalid") from None


def _composed(value: Any) -> Any:
    """Return a document with its letters composed, as in forms. Line breaks stay: a description of a call needs its own."""
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, list):
        return [_composed(item) for item in value]
    return {name: _composed(item) for name, item in value.items()} if isinstance(value, dict) else value


def _fields(error: ValidationError) -> dict[str, str]:
    return {
        ".".join(str(part) for part in item["loc"]) or "body": CODES.get(item["type"], "invalid")
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    }
