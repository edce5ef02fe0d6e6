"""Pages of branches."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("branches", __name__)
