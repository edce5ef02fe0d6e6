"""The pharmacy desk."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("pharmacy", __name__)
