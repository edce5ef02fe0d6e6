"""JSON of branches."""

from __future__ import annotations

from flask import Blueprint

api = Blueprint("branches_api", __name__)
