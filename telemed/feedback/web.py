"""Pages of feedback."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("feedback", __name__)
