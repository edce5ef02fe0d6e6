"""Pages of prescription."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("prescription", __name__)
