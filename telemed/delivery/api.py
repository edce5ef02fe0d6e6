"""JSON of delivery."""

from __future__ import annotations

from flask import Blueprint

api = Blueprint("delivery_api", __name__)
