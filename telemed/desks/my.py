"""The my desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("my", __name__)
