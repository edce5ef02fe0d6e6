"""Makes tests/carried/2f8766b/: the data of a deployment as commit 2f8766b wrote them. It was run once, by

    git clone . OLD && git -C OLD checkout 2f8766b   # with static/vendor and node_modules copied
    python tests/carried/make_2f8766b.py OLD sqlite tests/carried/2f8766b
    python tests/carried/make_2f8766b.py OLD postgresql tests/carried/2f8766b

    git archive 2f8766b telemed devices templates static app.py | xz -9e > tests/carried/2f8766b/code.tar.xz

Everything is done by that commit's own programs: a seeded demo in which people lived the whole story, and then stopped
in the middle of things. Nobody in it is a real person. Never write these files anew: newer code must carry over what
older code left behind, not what newer code would write.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

OLD, ENGINE, TO = Path(sys.argv[1]).absolute(), sys.argv[2], Path(sys.argv[3]).absolute()
sys.path.insert(0, str(OLD))

import httpx  # noqa: E402
from playwright.async_api import async_playwright  # noqa: E402

from telemed.bootstrap import build_services  # noqa: E402
from telemed.clock import iso, utc_now  # noqa: E402
from telemed.db import Base  # noqa: E402
from telemed.schema.tables import METADATA  # noqa: E402
from telemed.settings import from_environment  # noqa: E402
from tests import postgres  # noqa: E402
from tests.browser.conftest import FLAGS  # noqa: E402
from tests.journey import clinic, counter, post  # noqa: E402
from tests.journey.canaries import Canaries, Villager  # noqa: E402
from tests.journey.processes import Processes  # noqa: E402
from tests.journey.scene import Limits, Scene  # noqa: E402
from tests.journey.story import Story  # noqa: E402

# Read the phone's store as its page keeps it. The key of the list cannot leave the browser: the list is written opened.
READ_STORE = """async (postman) => {
  const answerOf = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const db = await answerOf(indexedDB.open("telemed-round"));
  const all = (name) => db.transaction(name).objectStore(name);
  const keep = {};
  for (const name of await answerOf(all("keep").getAllKeys())) {
    const value = await answerOf(all("keep").get(name));
    if (!(value instanceof CryptoKey) && !name.startsWith("list:")) keep[name] = value;
  }
  const outbox = await answerOf(all("outbox").getAll());
  return { version: db.version, keep, outbox, postman, opened_list: await window.kept.readList(postman) };
}"""
NOT_KEPT = ("run.json", "status.html", "status.json", "lock", "telemed.db-shm", "telemed.db-wal")
PARTLY = (counter.register, counter.invite, counter.book, counter.open_visit, counter.answer)
TREATED = (*PARTLY, counter.measure, clinic.take_case, clinic.write_note, clinic.prescribe, counter.close_visit,
           post.pack, post.give)  # fmt: skip


async def live(folder: Path, url: str) -> dict[str, Any]:
    """Let the region live; return what a test has to know of it."""
    processes, canaries = Processes(folder), Canaries()
    if url:
        processes.environment["TELEMED_DATABASE_URL"] = url
    story = Story(processes, canaries, None, Limits(job_s=30))
    scenes = [story.scene]
    try:
        for name, act in story.steps():
            if name == "start" and url:
                await act()
                processes.start("work", "app.py", "work")
            else:
                await act()
            print(f"  {name}", flush=True)
        for number in (2, 3):
            scenes.append(await another(story.scene, TREATED))
            print(f"  patient {number} is treated", flush=True)
        facts = await stop_in_the_middle(scenes[0], scenes[1], scenes[2])
    finally:
        with contextlib.suppress(Exception):
            for scene in scenes[1:]:
                for line in scene.lines:
                    await line.close()
            await story.close()
        processes.stop()
    left_at = iso(utc_now())
    return facts | {"protected": sorted(canaries.protected), "engine": ENGINE, "left_at": left_at}


async def another(scene: Scene, acts: Any) -> Scene:
    """Let one more patient go a part of the way."""
    other = Scene(scene.processes, scene.canaries, None, scene.limits, scene.url, scene.people)
    for act in acts:
        await act(other)
    return other


async def stop_in_the_middle(first: Scene, second: Scene, third: Scene) -> dict[str, Any]:
    """Leave deeds unsent on the phone, a case in a doctor's hands, a visit half measured, readings in the gateway."""
    odd = await bad_data(first)
    taken = await another(first, (*PARTLY, counter.measure, clinic.take_case))
    await open_case(taken)
    phone = await unsent_deeds(first, second, third)
    half = await half_measured(first)
    await without_server(first)
    return {
        "phone": phone,
        "delivered": {"parcel": second.ids["parcel"], "number": "1"},
        "attempted": {"parcel": third.ids["parcel"]},
        "treated": [scene.ids for scene in (first, second, third)],
        "taken": taken.ids, "half": half.ids, "odd": odd,
    }  # fmt: skip


async def open_case(scene: Scene) -> None:
    """The doctor keeps the case, with a note begun and a prescription drafted; the patient leaves the corner."""
    doctor, clerk = await scene.person("doctor"), await scene.person("clerk")
    path = f"/api/v1/consultations/{scene.ids['case']}/note"
    await doctor.post_json(path, {"base_revision": 0, "note": {"complaint": scene.canaries.words()}})
    await clinic._draft(scene, doctor, f"/consultations/{scene.ids['case']}/prescription")
    page = await clerk.open(f"/counter/visits/{scene.ids['visit']}")
    await clerk.submit(page.form(rf"/visits/{counter.UUID}/close"), page)


async def bad_data(scene: Scene) -> dict[str, str]:
    """Register what that commit took and a later one refuses."""
    clerk, coordinator = await scene.person("clerk"), await scene.person("coordinator")
    found: dict[str, str] = {}
    stranger = Villager.of(scene.canaries)
    twice = Villager.of(scene.canaries)
    for name, person in {
        "phone": replace(stranger, phone="8 029 123-45-67"),
        "zeros": replace(Villager.of(scene.canaries), snils="000-000-000 00", policy="0000000000000000"),
        "twice_1": replace(twice, snils="", policy=""),
        "twice_2": replace(twice, snils="", policy="", phone=scene.canaries.phone()),
        "apostrophe": replace(Villager.of(scene.canaries), given_name="Мар'яна"),
        "look_alike": replace(Villager.of(scene.canaries), family_name="Ceмёнова"),
    }.items():
        page = await counter._register(clerk, person)
        found[name] = page.find(rf"/patients/({counter.UUID})/card").group(1)
    roster = await coordinator.open("/roster")
    form = roster.form("/roster")
    doctor_id = next(filter(None, form.options["doctor_id"]))
    await coordinator.submit(form, roster, doctor_id=doctor_id, day="24.12.2026", starts_at="09:03", ends_at="12:00")
    return found


async def half_measured(scene: Scene) -> Scene:
    """The last patient has one glucose and waits for the pressure."""
    half = await another(scene, PARTLY)
    line = await half.line("clerk", f"visit:{half.ids['visit']}")
    await counter._measure_one(half, line, f"/counter/visits/{half.ids['visit']}", "glucose", 1)
    return half


async def unsent_deeds(scene: Scene, delivered: Scene, attempted: Scene) -> dict[str, Any]:
    """The postman's page in a browser loads the round, loses the network, and notes a hand-over and an attempt."""
    chromium = os.environ.get("CHROMIUM_PATH") or shutil.which("chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, headless=False, args=FLAGS)
        context = await browser.new_context(base_url=scene.url, viewport={"width": 390, "height": 844})
        await context.add_cookies([{"name": "lang", "value": "en", "url": scene.url}])
        page = await context.new_page()
        await page.goto("/sign-in")
        await page.locator("form:has(input[value='demo.postman']) button").click()
        await page.wait_for_url(lambda url: "/sign-in" not in url)
        await page.goto("/round")
        await page.get_by_text("Sent at").wait_for()
        await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        await page.evaluate("async () => { window.kept = await import('/static/js/delivery/store.js'); }")
        postman = await page.locator("[data-postman]").get_attribute("data-postman")
        await context.set_offline(True)
        await page.locator(f'[data-stop="{delivered.ids["parcel"]}"] [data-hand-over]').click()
        await page.locator("#code").fill(delivered.secrets["parcel"])
        await page.locator("[data-code] button").click()
        await page.locator('[data-unsent="1"]').wait_for()
        await page.locator(f'[data-stop="{attempted.ids["parcel"]}"] [data-fail]').click()
        await page.locator("#fail [value=nobody_home]").check()
        await page.locator("#fail button[value=attempted]").click()
        await page.locator('[data-unsent="2"]').wait_for()
        store: dict[str, Any] = await page.evaluate(READ_STORE, postman)
        await browser.close()
    return store


async def without_server(scene: Scene) -> None:
    """The server is down and the gateway goes on reading: what it keeps stays unsent."""
    processes = scene.processes
    server = processes.running["server"]
    server.terminate()
    server.wait(20)
    meters = json.loads((processes.data_dir / "meters" / "run.json").read_text())
    control = next(value for value in meters.values() if str(value).startswith("http"))
    async with httpx.AsyncClient(base_url=control, trust_env=False, timeout=30) as buttons:
        for meter in ("blood_pressure", "glucose"):
            answer = await buttons.post("/measure", json={"meter": meter, "values": None, "fault": None})
            answer.raise_for_status()
            await asyncio.sleep(8)
    gateway = processes.running["gateway"]
    gateway.terminate()
    gateway.wait(20)


def opened(folder: Path, url: str, erased: str = "") -> dict[str, dict[str, dict[str, Any]]]:
    """Return every sealed section as that commit opens it: table -> row -> section -> document."""
    settings = from_environment(environment(folder, url), folder)
    services = build_services(settings, read_only=True)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with services.db.read() as tx:
        for mapper in sorted(sealed_models(), key=lambda model: model.__tablename__):
            for row in tx.query(mapper):
                for section in mapper.__sealed__:
                    if getattr(row, section) is not None and str(row.id) != erased:
                        place = found.setdefault(mapper.__tablename__, {}).setdefault(str(row.id), {})
                        place[section] = services.vault.open(tx, row, section)
    services.db.close()
    return found


def sealed_models() -> list[Any]:
    """Return every model with sealed sections."""
    assert METADATA is Base.metadata
    return [mapper.class_ for mapper in Base.registry.mappers if getattr(mapper.class_, "__sealed__", None)]


def environment(folder: Path, url: str) -> dict[str, str]:
    return {"TELEMED_DATA_DIR": str(folder), "TELEMED_DEMO": "1"} | ({"TELEMED_DATABASE_URL": url} if url else {})


def command(folder: Path, url: str, *arguments: str) -> str:
    """Run a command of that commit on the folder."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TELEMED_")}
    done = subprocess.run(
        [sys.executable, "app.py", *arguments], cwd=OLD, env=clean | environment(folder, url), check=True, text=True,
        stdout=subprocess.PIPE,
    )  # fmt: skip
    return done.stdout


def dump(url: str, to: Path) -> None:
    """Write the database as plain SQL that needs no psql."""
    programs = next(folder for folder in postgres._programs())
    with to.open("wb") as file:
        subprocess.run(
            [str(programs / "pg_dump"), "--inserts", "--rows-per-insert=200", "--no-owner", "--no-privileges", url],
            stdout=file, check=True,
        )  # fmt: skip


@contextlib.contextmanager
def database() -> Iterator[str]:
    if ENGINE == "sqlite":
        yield ""
        return
    with postgres.server() as server:
        yield postgres.make(server, "telemed")


def main() -> None:
    """Live, back up, erase, and pack the folder."""
    folder = Path(tempfile.mkdtemp(prefix="carried-"))
    with database() as url:
        facts = asyncio.run(live(folder, url))
        facts["backed_up"] = {table: sorted(rows) for table, rows in opened(folder, url).items()}
        if not url:
            command(folder, url, "backup", str(folder / "backup"))
        facts["erased"] = facts["odd"].pop("look_alike")
        command(folder, url, "erase", facts["erased"])
        facts["audit"] = command(folder, url, "audit", "verify").strip()
        facts["opened"] = opened(folder, url, facts["erased"])
        if url:
            dump(url, folder / "server" / "telemed.sql")
    (folder / "facts.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1))
    TO.mkdir(parents=True, exist_ok=True)
    target = TO / f"{ENGINE}.tar.xz"
    with tarfile.open(target, "w:xz", preset=9) as packed:
        for name in ("server", "gateway", "backup", "facts.json"):
            if (folder / name).exists():
                packed.add(folder / name, name, filter=_plain)
    print(target, target.stat().st_size, hashlib.sha256(target.read_bytes()).hexdigest()[:12], folder)


def _plain(item: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out sockets, locks and run files: they belong to processes that have ended."""
    if not (item.isfile() or item.isdir()) or Path(item.name).name in NOT_KEPT:
        return None
    item.uid = item.gid = 0
    item.uname = item.gname = ""
    return item


if __name__ == "__main__":
    main()
