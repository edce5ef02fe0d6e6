"""The coordinator desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("coordinator", __name__)
