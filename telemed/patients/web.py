"""Pages of patients."""

from __future__ import annotations

from flask import Blueprint

pages = Blueprint("patients", __name__)
