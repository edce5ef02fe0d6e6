"""What happened at a branch: ids, codes and times only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True)
class GatewayJoined:
    """A branch PC used its one-time code."""

    gateway_id: UUID
    branch_id: UUID
    at: datetime


@dataclass(frozen=True)
class GatewayChanged:
    """A gateway's status light or one of its meters changed."""

    gateway_id: UUID
    branch_id: UUID
    status: str
    at: datetime


@dataclass(frozen=True)
class LineMeasured:
    """A branch's line was checked."""

    branch_id: UUID
    line_class: str
    at: datetime


@dataclass(frozen=True)
class MorningChecked:
    """A branch was checked before its day: ready, no_video or not_ready."""

    branch_id: UUID
    verdict: str
    at: datetime
