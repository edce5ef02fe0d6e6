"""Use cases of booking."""

from __future__ import annotations

from telemed.access.relations import Relation

RELATIONS: tuple[Relation, ...] = ()
