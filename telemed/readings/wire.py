"""What a gateway sends, checked for shape: the batch, its items, and the record inside a sealed item."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

MAX_ITEMS = 200


def is_sane(moment: datetime) -> bool:
    """Tell whether a moment can be a measurement's: a meter without battery says 1970 or 2099 and worse."""
    return 2000 < moment.year < 2100


def _sane(moment: datetime) -> datetime:
    if not is_sane(moment):
        raise ValueError("not a moment of this century")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_sane)]


class Item(BaseModel):
    """One item of a gateway's sequence; binary fields are text, because their text is what is hashed."""

    model_config = ConfigDict(extra="forbid")

    seq: int = Field(ge=1, lt=2**31)
    kind: Literal["reading", "visit_opened", "visit_closed"]
    event_id: UUID
    visit_id: UUID | None
    received_at: str = Field(max_length=32)
    reading_key: str = Field(max_length=64, pattern=r"^[0-9a-f]*$")
    key_id: str = Field(max_length=64)
    sealed: str = Field(max_length=60_000)
    prev: str = Field(pattern=r"^[0-9a-f]{64}$")
    hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class Batch(BaseModel):
    """The body of POST /api/v1/readings."""

    model_config = ConfigDict(extra="forbid")

    protocol: Literal[1]
    gateway_id: UUID
    epoch: str = Field(max_length=64)
    items: list[Item] = Field(min_length=1, max_length=MAX_ITEMS)


class ItemResult(BaseModel):
    seq: int
    event_id: UUID
    status: Literal["accepted", "duplicate", "conflict", "quarantined", "rejected"]
    code: str | None = None


class BatchAnswer(BaseModel):
    """The answer to a batch: a judgement per item and the end of the accepted sequence."""

    epoch: UUID
    time: str
    watermark: int
    results: list[ItemResult]


class MeterSeen(BaseModel):
    model_config = ConfigDict(extra="ignore")

    enrolment_id: UUID
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None


class Record(BaseModel):
    """What was sealed: the decoded values, the raw packet, and how the gateway judged them."""

    model_config = ConfigDict(extra="ignore")

    v: Literal[1]
    kind: Literal["blood_pressure", "glucose"]
    characteristic: str = Field(max_length=8)
    raw: str = Field(max_length=1024, pattern=r"^([0-9a-f]{2})*$")
    context_raw: str | None = Field(default=None, max_length=1024)
    decoded: dict[str, Any]
    meter: MeterSeen
    source: Literal["gateway", "simulated"]
    connection_id: UUID
    ordinal: int = Field(ge=0)
    received_at: Moment
    effective_at: Moment | None
    time_quality: Literal["live", "corrected", "meter", "unknown"]
    meter_time: str | None = None
    offset_s: int | None = None
    verdict: Literal["usable", "questionable", "not_a_result"]
    reasons: list[str] = []

    def at(self) -> datetime:
        """Return the best known moment of the measurement."""
        return self.effective_at or self.received_at
