"""The rounds desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("rounds", __name__)
