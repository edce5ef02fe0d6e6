"""Every error a caller may have to act on. The class says what to do, the code says why; sentences live in catalogues."""

from __future__ import annotations


class TelemedError(Exception):
    """Carry a stable code and facts without personal data. `status` is the HTTP status at the edge."""

    status = 500

    def __init__(self, code: str, **facts: object) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


class Invalid(TelemedError):
    """Ask the user to correct the named fields. `fields` maps a field name to a code."""

    status = 422

    def __init__(self, code: str = "invalid", fields: dict[str, str] | None = None, **facts: object) -> None:
        super().__init__(code, **facts)
        self.fields = fields or {}

    @property
    def faults(self) -> dict[str, str]:
        """Return code by field; what belongs to no field stands under "", so that no page can leave it out."""
        return self.fields or {"": self.code}

    @property
    def said(self) -> str:
        """Return the code to say where one sentence must do: the first field's, or the form's."""
        return next(iter(self.fields.values()), self.code)


class SignInNeeded(TelemedError):
    """Send the user to the sign-in page."""

    status = 401

    def __init__(self, code: str = "sign_in_needed", **facts: object) -> None:
        super().__init__(code, **facts)


class Forbidden(TelemedError):
    """Stop: this person may not do this, whatever the object."""

    status = 403

    def __init__(self, code: str = "forbidden", **facts: object) -> None:
        super().__init__(code, **facts)


class NotFound(TelemedError):
    """Stop: there is no such object in this person's view. Foreign and missing objects look alike."""

    status = 404

    def __init__(self, code: str = "not_found", **facts: object) -> None:
        super().__init__(code, **facts)


class Conflict(TelemedError):
    """Read the present state and decide again: somebody was first, or the step is not legal now."""

    status = 409

    def __init__(self, code: str = "conflict", **facts: object) -> None:
        super().__init__(code, **facts)


class StillWorking(Conflict):
    """Wait `retry_after_s` seconds, then send the same again: an earlier request with this key is being answered."""

    def __init__(self, code: str = "idempotency_working", retry_after_s: int = 1, **facts: object) -> None:
        super().__init__(code, **facts)
        self.retry_after_s = retry_after_s


class TooMany(TelemedError):
    """Wait `retry_after_s` seconds, then try again."""

    status = 429

    def __init__(self, code: str = "too_many_attempts", retry_after_s: int = 60, **facts: object) -> None:
        super().__init__(code, **facts)
        self.retry_after_s = retry_after_s


class Unavailable(TelemedError):
    """Try again later: a part that we need does not answer."""

    status = 503

    def __init__(self, code: str = "unavailable", **facts: object) -> None:
        super().__init__(code, **facts)


class StartRefused(TelemedError):
    """Stop the process: a setting or a file is wrong. The message is one sentence for the operator."""

    def __init__(self, sentence: str) -> None:
        super().__init__("start_refused")
        self.sentence = sentence

    def __str__(self) -> str:
        return self.sentence
