"""Pages of readings."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("readings", __name__)
