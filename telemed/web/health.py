"""Health, readiness, metrics, and the OpenAPI document made from the routes themselves."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic.json_schema import models_json_schema

from telemed.errors import NotFound
from telemed.outbox import job_counts
from telemed.web.guard import guard, services

pages = Blueprint("health", __name__)
LOOPBACK = ("127.0.0.1", "::1")


@pages.get("/healthz")
@guard("system.read_health")
def alive() -> ResponseReturnValue:
    """Say that the process answers."""
    return jsonify({"status": "ok"})


@pages.get("/readyz")
@guard("system.read_health")
def ready() -> ResponseReturnValue:
    """Say whether the database answers and no job has failed for good."""
    with services().db.read() as tx:
        counts = job_counts(tx)
    failed, waiting = counts.get("failed", 0), counts.get("wait", 0)
    status = "ok" if not failed else "jobs_failed"
    return jsonify({"status": status, "jobs_failed": failed, "jobs_waiting": waiting})


@pages.get("/metrics")
@guard("system.read_metrics")
def metrics() -> ResponseReturnValue:
    """Give Prometheus its figures; to loopback only, a proxy must not pass this path on."""
    if request.remote_addr not in LOOPBACK:
        raise NotFound("no_such_page")
    return Response(generate_latest(), mimetype=CONTENT_TYPE_LATEST)


@pages.get("/api/openapi.json")
@guard("system.read_health")
def openapi() -> ResponseReturnValue:
    """Describe every JSON route from its guard."""
    return jsonify(describe(current_app))


def describe(app: Any) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the routes under /api/."""
    routes = [rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/")]
    views = [(rule, app.view_functions[rule.endpoint]) for rule in routes]
    models = {model for _rule, view in views for model in (view.body, view.answer) if model is not None}
    _, schema = models_json_schema(
        [(model, "validation") for model in sorted(models, key=lambda model: model.__name__)],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for rule, view in views:
        path = rule.rule.replace("<uuid:", "{").replace("<", "{").replace(">", "}")
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            paths.setdefault(path, {})[method.lower()] = _operation(view, rule)
    return {
        "openapi": "3.1.0",
        "info": {"title": "telemed", "version": "1"},
        "paths": paths,
        "components": {"schemas": schema.get("$defs", {})},
    }


def _operation(view: Any, rule: Any) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": rule.endpoint,
        "summary": (view.__doc__ or "").strip().splitlines()[0] if view.__doc__ else rule.endpoint,
        "x-action": view.action,
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in sorted(rule.arguments)
        ],
        "responses": {"200": {"description": "OK"}, "default": {"description": "A typed error"}},
    }
    if view.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(view.body)}}}
    if view.answer is not None:
        operation["responses"]["200"]["content"] = {"application/json": {"schema": _ref(view.answer)}}
    return operation


def _ref(model: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
