"""The composition root: settings become database, keys, slices, sockets and a Flask application. Importing builds
nothing.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog
from flask import Flask, Response, g, request
from flask_socketio import SocketIO
from flask_wtf.csrf import CSRFProtect
from sqlalchemy import select
from werkzeug.middleware.proxy_fix import ProxyFix

from telemed import journey, outbox
from telemed.access.models import Deployment
from telemed.access.relations import OWN
from telemed.booking import service as booking_service
from telemed.booking import web as booking_web
from telemed.branches import api as branches_api
from telemed.branches import live as branches_live
from telemed.branches import service as branches_service
from telemed.branches import service_zones
from telemed.branches import web as branches_web
from telemed.checkup import live as checkup_live
from telemed.checkup import service as checkup_service
from telemed.checkup import web as checkup_web
from telemed.clock import Clock, machine_now, utc_now
from telemed.consultation import api as consultation_api
from telemed.consultation import live as consultation_live
from telemed.consultation import service as consultation_service
from telemed.consultation import web as consultation_web
from telemed.consultation.media_client import MediaClient
from telemed.consultation.media_plane import media_plane
from telemed.crypto import ledger
from telemed.crypto.index import BlindIndex
from telemed.crypto.keys import KeyRing, open_root
from telemed.crypto.signing import Signer
from telemed.crypto.vault import Vault
from telemed.db import Database
from telemed.delivery import api as delivery_api
from telemed.delivery import live as delivery_live
from telemed.delivery import service as delivery_service
from telemed.delivery import web as delivery_web
from telemed.desks import (
    coordinator,
    counter,
    data_check,
    doctor,
    home,
    morning,
    my,
    pharmacy,
    protocols,
    rounds,
    simulated,
)
from telemed.errors import StartRefused
from telemed.feedback import service as feedback_service
from telemed.feedback import web as feedback_web
from telemed.ids import new_id
from telemed.patients import service as patients_service
from telemed.patients import web as patients_web
from telemed.pilot import service as pilot_service
from telemed.pilot import web as pilot_web
from telemed.prescription import service as prescription_service
from telemed.prescription import web as prescription_web
from telemed.readings import api as readings_api
from telemed.readings import service as readings_service
from telemed.readings import web as readings_web
from telemed.services import Services
from telemed.settings import Settings
from telemed.web import assets, compress, csp, drafts, errors, health, in_place, pwa, sign_in, words
from telemed.web.guard import action_of
from telemed.web.listeners import listeners
from telemed.web.live import Live
from telemed.web.request import PageRequest

ROOT = Path(__file__).parent.parent
SLICE_SERVICES = (
    patients_service,
    branches_service,
    booking_service,
    checkup_service,
    readings_service,
    prescription_service,
    delivery_service,
    feedback_service,
    pilot_service,
)
PAGES = (
    home.pages,
    sign_in.pages,
    health.pages,
    pwa.pages,
    patients_web.pages,
    branches_web.pages,
    drafts.api,
    branches_api.api,
    booking_web.pages,
    checkup_web.pages,
    readings_web.pages,
    readings_api.api,
    consultation_web.pages,
    consultation_api.api,
    prescription_web.pages,
    delivery_web.pages,
    delivery_api.api,
    feedback_web.pages,
    pilot_web.pages,
    counter.pages,
    morning.pages,
    doctor.pages,
    pharmacy.pages,
    rounds.pages,
    coordinator.pages,
    data_check.pages,
    my.pages,
    protocols.pages,
    simulated.pages,
)
LIVE_SLICES = (branches_live, checkup_live, consultation_live, delivery_live)
MAX_BODY = 1_000_000
MAX_MESSAGE = 65_536


@dataclass
class Application:
    """Everything one server process runs."""

    services: Services
    app: Flask
    io: SocketIO
    live: Live
    worker: outbox.Worker

    def close(self) -> None:
        """Stop the jobs and close the database."""
        self.live.stop()
        self.worker.stop()
        self.services.db.close()


def build_services(settings: Settings, *, clock: Clock = utc_now, read_only: bool = False) -> Services:
    """Open the database and the keys. Raises StartRefused when the folder was never prepared."""
    db = Database(settings.database_url, read_only=read_only)
    root = open_root(settings.server_dir / "keys", settings.root_passphrase)
    with db.read() as tx:
        deployment = tx.scalar(select(Deployment))
        if deployment is None:
            raise StartRefused("There is no deployment yet: run `python app.py migrate` first.")
        keys = KeyRing.load(tx, root, settings.server_dir / ledger.NAME)
    if deployment.demo and not settings.demo:
        raise StartRefused("This data folder is a demo's; set TELEMED_DEMO=1 or another TELEMED_DATA_DIR.")
    vault = Vault(keys, deployment.id)
    services = Services(
        settings=settings,
        db=db,
        clock=clock,
        keys=keys,
        vault=vault,
        index=BlindIndex(keys),
        signer=Signer(vault, clock),
        deployment_id=deployment.id,
        epoch=deployment.epoch,
        demo=deployment.demo,
        journey=journey.JOURNEY,
    )
    services.outside["media_plane"] = media_plane(settings, machine_now if clock is utc_now else clock)
    services.register([OWN])
    services.register(consultation_service.relations(clock))
    services.country_of = partial(branches_service.country_of, services)
    services.place_of = partial(branches_service.name_of_place, services)
    services.zone_of = partial(service_zones.zone_of, services)
    services.zone_at = partial(service_zones.zone_at, services)
    for slice_service in SLICE_SERVICES:
        services.register(slice_service.RELATIONS)
    return services


def found_deployment(settings: Settings, *, fast_index: bool = False, clock: Clock = utc_now) -> UUID:
    """Create the deployment's identity and keys once; the tables must exist. Return its id."""
    db = Database(settings.database_url)
    root = open_root(settings.server_dir / "keys", settings.root_passphrase, create=True)
    with db.write() as tx:
        known = tx.scalar(select(Deployment.id))
        if known is None:
            known = new_id()
            tx.add(Deployment(id=known, epoch=new_id(), demo=settings.demo, created_at=clock()))
            KeyRing.create(tx, root, fast_index=fast_index)
            signer = Signer(Vault(KeyRing.load(tx, root), known), clock)
            for purpose in ("server", "ingest"):  # before the first answer is signed: that only reads
                signer.key_for(tx, purpose)
    db.close()
    return known


def build(settings: Settings, *, clock: Clock = utc_now, services: Services | None = None) -> Application:
    """Return the server of one process. The worker is made but not started."""
    services = services or build_services(settings, clock=clock)
    _quiet_logs()
    app = Flask("telemed", root_path=str(ROOT), static_folder="static", template_folder="templates")
    _configure(app, services)
    io = SocketIO(
        app,
        async_mode="threading",
        async_handlers=False,
        transports=["websocket"],
        max_http_buffer_size=MAX_MESSAGE,
        ping_interval=5,
        ping_timeout=8,
        client_manager=listeners(settings.redis_url),
        cors_allowed_origins=[settings.public_url] if settings.public_url else None,
    )
    live = Live(io, services)
    for slice_live in LIVE_SLICES:
        slice_live.register(live, services)
    # On SQLite the server runs all jobs; else `work` does, and the server what waits for no other process.
    worker = outbox.Worker(services, services.db, services.journey, clock, only_urgent=not settings.is_sqlite)

    def after_commit(events: list[object]) -> None:
        if any(services.journey.durable.get(type(event)) for event in events):
            worker.wake()  # looking at the table costs as much as a small transaction
        live.push_news(services.journey, events)

    services.db.after_commit = after_commit
    if settings.media_url:
        services.outside.setdefault("media", MediaClient(settings.media_url, settings.media_secret))
    return Application(services, app, io, live, worker)


def _configure(app: Flask, services: Services) -> None:
    settings = services.settings
    app.request_class = PageRequest
    app.extensions["telemed"] = services
    app.config.update(
        SECRET_KEY=services.keys.derive("flask-session"),
        MAX_CONTENT_LENGTH=MAX_BODY,
        MAX_FORM_PARTS=200,
        SESSION_COOKIE_NAME="telemed_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.is_https,
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_SSL_STRICT=settings.is_https,
        SEND_FILE_MAX_AGE_DEFAULT=31536000,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]
    errors.register(app)
    _name_requests(app)
    sign_in.load(app)
    words.register(app)
    drafts.register(app)
    csrf = CSRFProtect(app)  # after who and in which language are known: its refusal is a page too
    assets.register(app, ROOT / "static")
    compress.register(app, ROOT / "static")
    in_place.register(app)
    csp.register(app, https=settings.is_https, template="parts/importmap.html")
    for pages in PAGES:
        app.register_blueprint(pages)
    for view in app.view_functions.values():
        if getattr(view, "machine", False):
            csrf.exempt(view)


def _name_requests(app: Flask) -> None:
    log = structlog.get_logger()

    @app.before_request
    def begin() -> None:
        g.request_id = secrets.token_hex(8)

    @app.after_request
    def end(response: Response) -> Response:
        # The rule, not the path: a path may hold an id of a person's visit, and logs travel.
        rule = request.url_rule.rule if request.url_rule else "none"
        if not rule.startswith("/static"):
            response.headers["X-Request-Id"] = g.get("request_id", "")
            log.info("web", rule=rule, method=request.method, status=response.status_code, request=g.get("request_id"))
        return response


def _quiet_logs() -> None:
    for name in ("werkzeug", "engineio", "socketio", "psycopg"):
        logging.getLogger(name).setLevel(logging.ERROR)


def unguarded(app: Flask) -> list[str]:
    """Return the endpoints that name no action; static files are the one exception."""
    return sorted(
        endpoint for endpoint, view in app.view_functions.items() if endpoint != "static" and action_of(view) is None
    )
