"""The machines of the story: server with media, simulated meters, the branch's gateway."""

from __future__ import annotations

import socket

from tests.journey.post import read_funnel
from tests.journey.scene import Scene

BRANCHES, PATIENTS = "2", "6"


async def start_server(scene: Scene) -> str:
    """An empty folder becomes a migrated, seeded deployment, and the server answers."""
    processes = scene.processes
    await processes.run("migrate", "app.py", "migrate")
    await processes.run("demo", "app.py", "demo", "--branches", BRANCHES, "--patients", PATIENTS)
    if scene.without == "media":
        processes.environment["TELEMED_MEDIA_URL"] = f"http://127.0.0.1:{_unused_port()}"
    processes.start("server", "app.py", "serve")
    if scene.without != "meters":
        processes.start("meters", "-m", "devices", "simulate")
    facts = await processes.ready("server", "server")
    scene.url = str(facts["url"])
    scene.funnel = await read_funnel(scene)
    return f"{BRANCHES} branches, {BRANCHES} x {PATIENTS} patients"


async def join_gateway(scene: Scene) -> str:
    """The gateway joins by the one-time code of the branch page and reports to the server."""
    processes, clerk = scene.processes, await scene.person("clerk")
    page = await clerk.open("/branch")
    page = await clerk.submit(page.form(r"/branch/.*code.*"), page)
    code = page.find(r"\b([A-Z0-9]{4}-[A-Z0-9]{4}-[A-Z0-9]{4})\b").group(1)
    await processes.run("join", "-m", "devices", "join", scene.url, code)
    if scene.without != "meters":
        await processes.ready("meters", "meters")
    processes.start("gateway", "-m", "devices", "run")
    await processes.ready("gateway", "gateway")
    await scene.page_with("clerk", "/branch", "Last heard of", scene.limits.gateway_s)
    return "joined by its code, heard of"


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
