"""Pages of pilot."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("pilot", __name__)
