"""Use cases of delivery."""

from __future__ import annotations

from telemed.access.relations import Relation

RELATIONS: tuple[Relation, ...] = ()
