"""Forms: WTForms with codes instead of sentences, so that each language says it in its own words."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field, Form, StringField
from wtforms.validators import InputRequired, Optional, StopValidation, ValidationError

from telemed.errors import Invalid
from telemed.rules_text import length
from telemed.rules_typed import UNSEEN, read_day, read_hour, read_whole, tidy


class _Codes:
    """Stand where WTForms looks for its translations: what it would say in its own English becomes a code."""

    def gettext(self, _sentence: str) -> str:
        return "invalid"

    def ngettext(self, _one: str, _many: str, _number: int) -> str:
        return "invalid"


class PageForm(FlaskForm):
    """The base of every form on a page."""

    class Meta(FlaskForm.Meta):
        def get_translations(self, _form: Any) -> _Codes:
            return _Codes()

    def take(self, error: Invalid, **facts: object) -> None:
        """Put the service's codes beside their fields; what belongs to no field heads the form. `facts` fill in what the
        sentences leave open.
        """
        self.facts = {**error.facts, **facts}
        for name, code in error.fields.items():
            field = self._fields.get(name)
            if field is None:
                self.form_errors.append(code)
            else:
                field.errors = [*field.errors, code]
                field.facts = self.facts
        if not error.fields:
            self.form_errors.append(error.code)


class Required(InputRequired):
    """Ask for a value; blanks are none. A validator."""

    def __call__(self, form: Any, field: Field) -> None:
        typed = field.raw_data[0] if field.raw_data else None
        if isinstance(typed, str) and not tidy(typed):
            field.errors = []
            raise StopValidation("required")
        super().__call__(form, field)


def required() -> Required:
    """Ask for a value."""
    return Required("required")


class AtMost:
    """Limit the length of a text, counted as the browser counts it. A validator; the page gets its `maxlength`."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.field_flags = {"maxlength": limit}

    def __call__(self, _form: Form, field: Field) -> None:
        if field.data and length(field.data) > self.limit:
            raise ValidationError("too_long")


def at_most(limit: int) -> AtMost:
    """Limit the length of a text."""
    return AtMost(limit)


def optional() -> Optional:
    """Allow an empty value."""
    return Optional()


def strip(value: str | None) -> str | None:
    """Remove blanks around a typed text, and the invisible characters that pasting brings."""
    return value.translate(UNSEEN).strip() if value else value


def is_own_path(target: str) -> bool:
    """Tell whether a way back stays here. "//host" and "/\\host" would leave, also with a sign that a browser drops."""
    return target.isprintable() and "\\" not in target and target.startswith("/") and not target.startswith("//")


class TextField(StringField):
    """A line of text, stripped."""

    def __init__(self, label: str, *validators: Any, **options: Any) -> None:
        super().__init__(label, list(validators), filters=[strip], **options)


class _TypedField(StringField):
    """A field whose text is read by one of `telemed.rules_typed`; what cannot be read stays in the field with its code."""

    def read(self, text: str) -> Any:
        raise NotImplementedError

    def process_formdata(self, valuelist: list[Any]) -> None:
        if not valuelist:
            return
        self.data = None
        if tidy(str(valuelist[0])):
            self.data = self.read(str(valuelist[0]))

    def _value(self) -> str:
        if self.raw_data:
            return str(self.raw_data[0])
        return "" if self.data is None else self.written(self.data)

    def written(self, value: Any) -> str:
        return str(value)


class DayField(_TypedField):
    """A day as people type it: `05.03.1941`, `5,3,1941`, `05031941`, and the browser's ISO form."""

    def __init__(self, label: str, *validators: Any, **options: Any) -> None:
        super().__init__(label, list(validators), **options)

    def read(self, text: str) -> date:
        return read_day(text)

    def written(self, value: date) -> str:
        return value.strftime("%d.%m.%Y")


class HourField(_TypedField):
    """An hour as people type it: `08:30`, `8,30`, `0830`."""

    def __init__(self, label: str, *validators: Any, **options: Any) -> None:
        super().__init__(label, list(validators), **options)

    def read(self, text: str) -> time:
        return read_hour(text)

    def written(self, value: time) -> str:
        return value.strftime("%H:%M")


class NumberField(_TypedField):
    """A whole number."""

    def read(self, text: str) -> int:
        return read_whole(text)


def stop(code: str) -> StopValidation:
    """Return the error that ends a field's validation with `code`."""
    return StopValidation(code)
