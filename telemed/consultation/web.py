"""Pages of consultation."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("consultation", __name__)
