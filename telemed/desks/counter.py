"""The counter desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("counter", __name__)
