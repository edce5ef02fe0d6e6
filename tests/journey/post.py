"""From the order to the coordinator's funnel: pharmacy, dispatch, the round without a network, the patient's word."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from typing import Any
from uuid import uuid4

from telemed.clock import utc_now
from tests.journey.browser import PageWrong
from tests.journey.scene import Scene

STEPS = ("invited", "booked", "came", "measured", "consulted", "prescribed", "delivered", "rated")


async def pack(scene: Scene) -> str:
    """The order reaches the pharmacy by itself; the pharmacist ticks each medicine and closes the parcel."""
    pharmacist = await scene.person("pharmacist")
    desk = await scene.page_with("pharmacist", "/pharmacy", r"/orders/[0-9a-f-]{36}", scene.limits.job_s)
    link = desk.link(r"/orders/[0-9a-f-]{36}")
    order = await pharmacist.open(link)
    order.hides(*scene.typed["directions"], *scene.typed["note"])
    form = order.form(r"/orders/[0-9a-f-]{36}/pack")
    await pharmacist.submit(form, order, items=form.options["items"], packs=3, weight_g=120)
    return f"{len(form.options['items'])} medicines, 3 packs"


async def give(scene: Scene) -> str:
    """The dispatcher puts the parcel on the postman's round and gives it, and sees no medicine."""
    dispatcher = await scene.person("dispatcher")
    desk = await scene.page_with("dispatcher", "/dispatch", r'name="parcels"', scene.limits.job_s)
    desk.hides("Lorizapril", "Лоризаприл", *scene.typed["directions"])
    form = desk.form("/dispatch/assign")
    postman_id = desk.find(r'<option value="([0-9a-f-]{36})"[^>]*>Фёдор Дорогин<').group(1)
    scene.ids["parcel"] = form.options["parcels"][0]
    desk = await dispatcher.submit(form, desk, parcels=form.options["parcels"][0], postman_id=postman_id)
    await dispatcher.submit(desk.form(r"/dispatch/rounds/[0-9a-f-]{36}/give"), desk)
    return "on the round of Fedor"


async def hand_over_offline(scene: Scene) -> str:
    """The phone keeps its list; out in the village it checks the slip's secret itself and records two events."""
    postman = await scene.person("postman")
    await postman.open("/round")
    device_id = str(uuid4())
    await postman.post_json("/api/v1/delivery/phones", {"device_id": device_id})
    kept = await postman.get_json(f"/api/v1/delivery/round?device_id={device_id}")
    stop = next(stop for stop in kept["parcels"] if stop["parcel_id"] == scene.ids["parcel"])
    assert scene.villager is not None
    if scene.villager.family_name not in stop["name"] or scene.villager.address not in stop["address"]:
        raise PageWrong("the postman's list does not say to whom and where")
    scene.ids["device"], scene.ids["epoch"] = device_id, kept["epoch"]
    # From here to the sync nothing leaves the phone.
    secret = scene.secrets["parcel"]
    if hashlib.sha256(secret.encode()).hexdigest() != stop["proof_hash"]:
        raise PageWrong("the slip's secret does not fit what the phone holds")
    return "proof checked on the phone, 2 events kept"


def recorded(scene: Scene) -> list[dict[str, Any]]:
    """Return what the phone recorded: nobody at home first, then handed over with the proof."""
    now = utc_now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    parcel = scene.ids["parcel"]
    ids = [scene.ids.setdefault(f"event {n}", str(uuid4())) for n in (1, 2)]
    common = {"parcel_id": parcel, "happened_at": scene.ids.setdefault("recorded_at", now)}
    return [
        {"event_id": ids[0], "device_seq": 1, "kind": "attempted", "proof": None, "reason": "nobody_home", **common},
        {
            "event_id": ids[1], "device_seq": 2, "kind": "handed_over", "proof": scene.secrets["parcel"],
            "reason": None, **common,
        },
    ]  # fmt: skip


async def sync(scene: Scene) -> str:
    """Back in the network the phone sends what it kept, twice; the parcel is delivered, once."""
    if scene.without != "sync":
        await _send_twice(scene)
    patient = scene.people["patient"]

    async def look() -> bool | None:
        return True if re.search(r"[Dd]elivered|[Hh]anded over", (await patient.open("/my")).text) else None

    await scene.until("the parcel to be delivered", look, scene.limits.delivered_s)
    return "applied, applied; sent again: duplicate, duplicate"


async def _send_twice(scene: Scene) -> None:
    postman = await scene.person("postman")
    await postman.open("/round")
    body = {"device_id": scene.ids["device"], "epoch": scene.ids["epoch"], "events": recorded(scene)}
    for expected in ("applied", "duplicate"):
        answer = await postman.post_json("/api/v1/delivery/sync", body)
        statuses = [result["status"] for result in answer["results"]]
        if statuses != [expected, expected] or answer["watermark"] != 2:
            raise PageWrong(f"the sync answered {answer['results']}, watermark {answer['watermark']}")


async def rate(scene: Scene) -> str:
    """The patient rates the parcel by the one-time token of the own page; a second use of it is refused."""
    patient = scene.people["patient"]

    async def look() -> str | None:
        links = [link for link in (await patient.open("/my")).links if "/rate#" in link]
        return links[0] if len(links) > 1 else None

    token = scene.canaries.keep((await scene.until("both rating links", look, scene.limits.job_s)).partition("#")[2])
    page = await patient.open("/rate")
    form = page.form("/rate")
    words = scene.canaries.words()
    await patient.submit(form, page, token=token, score=5, helped="yes", words=words)
    await patient.submit(form, page, status=404, token=token, score=1, helped="no", words="")
    return "5 of 5; the token is used up"


async def complain(scene: Scene) -> str:
    """The patient complains, the coordinator reads it and answers, the patient reads the answer."""
    patient, coordinator = scene.people["patient"], await scene.person("coordinator")
    text, reply = scene.canaries.words(), scene.canaries.words()
    page = await patient.open("/complaints/new")
    await patient.submit(page.form("/complaints/new"), page, category="waiting", text=text)
    page = await coordinator.open("/complaints")
    page.shows(text)
    page = await coordinator.submit(page.form(r"/complaints/[0-9a-f-]{36}/reply"), page, text=reply)
    page.shows(reply)
    return "answered by a named person"


async def read_funnel(scene: Scene) -> dict[str, int]:
    """Return the funnel of the demo's first branch, as the coordinator exports it."""
    coordinator = await scene.person("coordinator")
    answer = await coordinator.client.get("/pilot.csv")
    first = list(csv.reader(io.StringIO(answer.text.lstrip("\ufeff")), delimiter=";"))[1]
    return {step: int(count) for step, count in zip(STEPS, first[3:], strict=False)}  # after post code, branch, rural


async def report(scene: Scene) -> str:
    """The coordinator's funnel has one more in each step, and the page shows it."""

    async def look() -> dict[str, int] | None:
        now = await read_funnel(scene)
        more = {step: now[step] - scene.funnel[step] for step in STEPS}
        scene.typed["funnel"] = [f"{step} {more[step]}" for step in STEPS]
        return more if all(count == 1 for count in more.values()) else None

    try:
        await scene.until("one more in each step", look, scene.limits.job_s)
    except PageWrong as error:
        raise PageWrong(f"{error}: {', '.join(scene.typed['funnel'])}") from None
    await (await scene.person("coordinator")).open("/pilot")
    return "1 more in each of 8 steps"
