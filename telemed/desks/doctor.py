"""The doctor desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("doctor", __name__)
