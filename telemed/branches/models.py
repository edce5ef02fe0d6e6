"""Regions, branches, corners, kits of meters, gateways and their orders, line checks, morning checks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from telemed.db import Base


class Region(Base):
    """A region and its legal regime. `rx_by_post`: the post may carry prescription medicines here; `rx_basis`: the act
    that says so.
    """

    __tablename__ = "region"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    zone: Mapped[str]
    rx_by_post: Mapped[bool] = mapped_column(default=False, server_default=false())
    rx_basis: Mapped[str] = mapped_column(default="", server_default="")


class Branch(Base):
    """A post office. `postal_index` has six digits; `zone` is an IANA name; `hours` maps "1".."7" (Monday is 1) to
    ["08:00", "17:00"] in branch time; `line_class` is the newest measured class or None;
    `series_rule` the guideline rule of the pressure series, None for the deployment's.
    """

    __tablename__ = "branch"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    region_id: Mapped[UUID] = mapped_column(ForeignKey("region.id"), index=True)
    postal_index: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    place: Mapped[str]
    zone: Mapped[str]
    rural: Mapped[bool]
    hours: Mapped[dict[str, list[str]]] = mapped_column(JSON)
    phone: Mapped[str]
    line_class: Mapped[str | None]
    line_checked_at: Mapped[datetime | None]
    series_rule: Mapped[str | None]


class Corner(Base):
    """A health corner: one seat, one camera. A bookable resource."""

    __tablename__ = "corner"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    name: Mapped[str]


class Kit(Base):
    """A set of meters that is used together. A bookable resource."""

    __tablename__ = "kit"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    name: Mapped[str]


class Meter(Base):
    """An enrolled meter; the id is the enrolment id that the gateway uses. `kind`: blood_pressure or glucose.
    `enrolment` is how far the gateway has come with it: looking, found, passkey_needed, enrolled, failed (with the
    reason in `enrolment_code`); None until the gateway has said anything. `paired_at` is when it answered last while it
    was looked for. `strips_expire_on` is the day printed on the tin in use. `trouble`: why its readings do not come,
    though the gateway hears it.
    """

    __tablename__ = "meter"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    kit_id: Mapped[UUID] = mapped_column(ForeignKey("kit.id"))
    kind: Mapped[str]
    name: Mapped[str]
    manufacturer: Mapped[str | None]
    model: Mapped[str | None]
    serial: Mapped[str | None]
    battery_pct: Mapped[int | None]
    drift_s: Mapped[int | None]
    enrolment: Mapped[str | None]
    enrolment_code: Mapped[str | None]
    trouble: Mapped[str | None]
    enrolled_at: Mapped[datetime]
    paired_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]
    calibration_due_on: Mapped[date | None]
    strips_expire_on: Mapped[date | None]


class Gateway(Base):
    """A branch PC that joined. `watermark` and `chain_hash` are the end of its accepted sequence; `beat` only grows.
    `undecodable` counts packets that it holds and cannot read; `outage_*` is the last time it was without the server.
    """

    __tablename__ = "gateway"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    name: Mapped[str]
    public_key: Mapped[bytes]
    joined_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    beat: Mapped[int] = mapped_column(default=0)
    status: Mapped[str] = mapped_column(default="joined")
    radio: Mapped[str] = mapped_column(default="system")
    queue: Mapped[int] = mapped_column(default=0)
    oldest_unsent_at: Mapped[datetime | None]
    undecodable: Mapped[int] = mapped_column(default=0, server_default="0")
    undecodable_at: Mapped[datetime | None]
    outage_code: Mapped[str | None]
    outage_since: Mapped[datetime | None]
    outage_until: Mapped[datetime | None]
    watermark: Mapped[int] = mapped_column(default=0)
    chain_hash: Mapped[str] = mapped_column(default="0" * 64)


class JoinCode(Base):
    """A one-time code with which a gateway joins its branch; the table holds its SHA-256."""

    __tablename__ = "join_code"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"))
    code_hash: Mapped[bytes] = mapped_column(unique=True)
    issued_by: Mapped[UUID | None]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class GatewayOrder(Base):
    """What the server wants of a gateway; numbered without gaps per gateway, delivered by the heartbeat."""

    __tablename__ = "gateway_order"
    __table_args__ = (UniqueConstraint("gateway_id", "no"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[UUID] = mapped_column(ForeignKey("gateway.id"))
    no: Mapped[int]
    kind: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]


class LineCheck(Base):
    """One measurement of a branch's line."""

    __tablename__ = "line_check"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"), index=True)
    at: Mapped[datetime]
    rtt_ms: Mapped[int]
    up_kbit_s: Mapped[int]
    down_kbit_s: Mapped[int]
    loss_up_pct: Mapped[float]
    loss_down_pct: Mapped[float]
    line_class: Mapped[str]


class MorningCheck(Base):
    """One run of the morning's checks: what each of them said (codes of branches/morning.py) and the verdict. The
    newest finished one of a day counts; `day` is the branch's.
    """

    __tablename__ = "morning_check"
    __table_args__ = (Index("ix_morning_check_branch_day", "branch_id", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    branch_id: Mapped[UUID] = mapped_column(ForeignKey("branch.id"))
    day: Mapped[date]
    checked_by: Mapped[UUID]
    begun_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    camera: Mapped[str | None]
    sound: Mapped[str | None]
    line: Mapped[str | None]
    meters: Mapped[str | None]
    battery: Mapped[str | None]
    strips: Mapped[str | None]
    calibration: Mapped[str | None]
    verdict: Mapped[str | None]
