"""The rules of the architecture. A rule that is broken here is a defect, whatever the code does."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from telemed import journey
from telemed.access.roles import ACTIONS, ANYONE, ROLES, alternatives
from telemed.bootstrap import Application, unguarded

ROOT = Path(__file__).parent.parent
TELEMED = sorted((ROOT / "telemed").rglob("*.py"))
DEVICES = sorted((ROOT / "devices").rglob("*.py"))
STANDARD = set(__import__("sys").stdlib_module_names)
# Composition: these may know every slice. admin, commands and demo are app.py's commands.
KNOWS_ALL = {f"telemed/{name}.py" for name in ("journey", "bootstrap", "admin", "commands", "demo")}
TABLES = {"telemed/schema/tables.py", "telemed/schema/env.py"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, as absolute dotted names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def edges(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules that a file needs at its import; `from package import module` needs the module."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (module if module in known else str(node.module) for module in modules)


def importers_of(package: str, paths: list[Path]) -> set[str]:
    pattern = re.compile(rf"{re.escape(package)}(\.|$)")
    return {name_of(path) for path in paths if any(pattern.match(module) for module in imports(path))}


def test_gateway_and_server_never_import_each_other() -> None:
    assert importers_of("telemed", DEVICES) == set()
    assert importers_of("devices", TELEMED) == set()


def test_rules_events_and_profiles_know_only_the_standard_library_and_each_other() -> None:
    pure = [path for path in TELEMED if path.name in ("rules.py", "events.py") or path.name.startswith("rules_")]
    pure += sorted((ROOT / "devices" / "profiles").rglob("*.py"))
    foreign = {
        f"{name_of(path)}: {module}"
        for path in pure
        for module in imports(path)
        if module.split(".")[0] not in STANDARD and not is_pure_neighbour(path, module)
    }

    assert foreign == set()


def is_pure_neighbour(path: Path, module: str) -> bool:
    if module.startswith(("devices.profiles", "devices.errors", "telemed.rules_")):
        return True
    folder = name_of(path.parent).replace("/", ".")
    return module == folder or re.match(rf"{re.escape(folder)}\.(rules(_\w+)?|events|line)(\.|$)", module) is not None


@pytest.mark.parametrize(
    ("package", "where"),
    [
        ("flask", r"telemed/(.*/)?(web|api|live)\.py|telemed/web/.*|telemed/desks/.*|telemed/bootstrap\.py"),
        (
            "sqlalchemy",
            r"telemed/(.*/)?(models|service|db|prepared|outbox|bootstrap|services)\.py|telemed/(access|crypto|schema)/.*"
            r"|telemed/.*/service_.*\.py|telemed/.*/relations\.py",
        ),
        ("cryptography", r"telemed/crypto/.*"),
        ("aiortc", r"telemed/consultation/media.*\.py"),
        ("bleak", r"nowhere"),
    ],
)
def test_a_library_stays_where_it_belongs_in_telemed(package: str, where: str) -> None:
    strays = {name for name in importers_of(package, TELEMED) if not re.fullmatch(where, name)}

    assert strays == set()


@pytest.mark.parametrize(
    ("package", "where"),
    [
        ("cryptography", r"devices/sealing\.py"),
        ("bleak", r"devices/(transport|pairing|simulator/radio)\.py"),
        ("bumble", r"devices/simulator/.*"),
        ("flask", r"nowhere"),
        ("sqlalchemy", r"nowhere"),
    ],
)
def test_a_library_stays_where_it_belongs_in_devices(package: str, where: str) -> None:
    strays = {name for name in importers_of(package, DEVICES) if not re.fullmatch(where, name)}

    assert strays == set()


def slice_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "telemed" and parts[1] in journey.ORDER else None


def test_imports_run_upstream() -> None:
    downstream = {
        f"{name_of(path)} imports {module}"
        for path in TELEMED
        if (own := slice_of(name_of(path).replace("/", "."))) is not None
        for module in imports(path)
        if (other := slice_of(module)) is not None and journey.ORDER.index(other) > journey.ORDER.index(own)
    }

    assert downstream == set()


def test_foundations_import_no_slice() -> None:
    strays = {
        f"{name_of(path)} imports {module}"
        for path in TELEMED
        if slice_of(name_of(path).replace("/", ".")) is None and name_of(path) not in KNOWS_ALL | TABLES
        for module in imports(path)
        if slice_of(module) is not None
    }

    assert strays == set()


def test_no_import_hides_in_a_function() -> None:
    late = {
        f"{name_of(path)}:{inner.lineno}"
        for path in TELEMED + DEVICES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    }

    assert late == set()


def test_no_ring_of_imports() -> None:
    known = {name_of(path)[:-3].replace("/", ".").removesuffix(".__init__"): path for path in TELEMED + DEVICES}
    graph = {module: {m for m in edges(path, known) if m in known} for module, path in known.items()}
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " > ".join((*trail, module))
        if module not in done:
            for other in graph[module]:
                walk(other, (*trail, module))
            done.add(module)

    for module in graph:
        walk(module, ())


def test_every_route_names_an_action(application: Application) -> None:
    views = application.app.view_functions
    actions = {name: view.action for name, view in views.items() if hasattr(view, "action")}

    assert unguarded(application.app) == []
    assert {f"{name}: {action}" for name, action in actions.items() if action not in ACTIONS} == set()


def test_every_socket_event_names_an_action(application: Application) -> None:
    handlers = {event for event, _handler, _namespace in application.io.handlers} if application.io.handlers else set()

    assert {event for event, action in application.live.actions.items() if action not in ACTIONS} == set()
    assert handlers - set(application.live.actions) - {"connect", "disconnect"} == set()


def test_every_condition_names_a_known_role_and_a_registered_relation(application: Application) -> None:
    roles = {role for row in ACTIONS.values() for role in row}
    relations = {
        name for row in ACTIONS.values() for condition in row.values() for way in alternatives(condition) for name in way
    }

    assert roles <= {*ROLES, ANYONE}
    assert relations <= set(application.services.relations)


def test_every_event_in_the_journey_has_a_served_consequence() -> None:
    handlers = journey.JOURNEY.handlers()

    assert all(handlers.values())
    assert len(handlers) == sum(len(row) for row in journey.DURABLE.values())
