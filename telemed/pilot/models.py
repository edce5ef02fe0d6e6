"""The pilot's facts: which step of the funnel happened, where and when."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from telemed.db import Base


class JourneyFact(Base):
    """One step reached: invited, booked, came, measured, consulted, prescribed, delivered, rated. `about_id` is the
    invitation, booking, visit, prescription, parcel or rating; `case_id` links steps of one journey where known.
    """

    __tablename__ = "journey_fact"
    __table_args__ = (UniqueConstraint("step", "about_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    step: Mapped[str] = mapped_column(index=True)
    about_id: Mapped[UUID]
    case_id: Mapped[UUID | None]
    branch_id: Mapped[UUID] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)
    started_at: Mapped[datetime | None]
