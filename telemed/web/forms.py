"""Forms: WTForms with codes instead of sentences, so that each language says it in its own words."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from flask_wtf import FlaskForm
from wtforms import DateField, Field, Form, IntegerField, StringField
from wtforms.validators import InputRequired, Optional, StopValidation, ValidationError

from telemed.errors import Invalid
from telemed.rules_text import length


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

    def take(self, error: Invalid) -> None:
        """Put the service's codes beside their fields; what belongs to no field heads the form."""
        for name, code in error.fields.items():
            field = self._fields.get(name)
            if field is None:
                self.form_errors.append(code)
            else:
                field.errors = [*field.errors, code]
        if not error.fields:
            self.form_errors.append(error.code)


def required() -> InputRequired:
    """Ask for a value."""
    return InputRequired("required")


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
    return value.strip().replace("\u00ad", "").replace("\u200b", "") if value else value


def is_own_path(target: str) -> bool:
    """Tell whether a way back stays here. "//host" and "/\\host" would leave, also with a sign that a browser drops."""
    return target.isprintable() and "\\" not in target and target.startswith("/") and not target.startswith("//")


class TextField(StringField):
    """A line of text, stripped."""

    def __init__(self, label: str, *validators: Any, **options: Any) -> None:
        super().__init__(label, list(validators), filters=[strip], **options)


class DayField(DateField):
    """A day typed as dd.mm.yyyy; the browser's ISO form is understood too."""

    def __init__(self, label: str, *validators: Any, **options: Any) -> None:
        super().__init__(label, list(validators), format=["%d.%m.%Y", "%Y-%m-%d", "%d/%m/%Y", "%d %m %Y"], **options)

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError("not_a_date") from None


class NumberField(IntegerField):
    """A whole number."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        try:
            super().process_formdata(valuelist)
        except ValueError:
            raise ValueError("not_a_number") from None


def not_in_future(_form: Form, field: Field) -> None:
    """Refuse a day that has not come. A validator."""
    if isinstance(field.data, date) and field.data > datetime.now().astimezone().date():
        raise ValidationError("date_in_future")


def stop(code: str) -> StopValidation:
    """Return the error that ends a field's validation with `code`."""
    return StopValidation(code)
