"""Pages of checkup."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("checkup", __name__)
