"""JSON of readings."""

from __future__ import annotations

from flask import Blueprint

api = Blueprint("readings_api", __name__)
