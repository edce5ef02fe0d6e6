"""Pages of booking."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("booking", __name__)
