"""The counter: the clerk's part of the story, and the patient's own page."""

from __future__ import annotations

from typing import Any

from tests.journey.browser import Browser, Page, PageWrong
from tests.journey.canaries import Canaries, Villager
from tests.journey.scene import Scene
from tests.journey.sockets import Line

NEIGHBOURS = 6  # registered beside the story's patient: more strings to look for
STEPS_DONE = r'<progress value="{}"'  # the step the visit is at: the questions are the first
UUID = r"[0-9a-f]{8}-[0-9a-f-]{27}"


async def register(scene: Scene) -> str:
    """The clerk registers a patient and some neighbours, finds the patient again by SNILS, prints the card."""
    clerk = await scene.person("clerk")
    for _ in range(NEIGHBOURS):
        await _register(clerk, Villager.of(scene.canaries))
    scene.villager = villager = Villager.of(scene.canaries)
    page = await _register(clerk, villager)
    scene.ids["patient"] = page.find(rf"/patients/({UUID})/card").group(1)
    await clerk.submit(page.form(rf"/patients/{UUID}/consents", purpose="notifications"), page)
    search = await clerk.open("/patients")
    found = await clerk.submit(search.form("/patients", "number"), search, number=villager.snils)
    found.shows(villager.full_name, villager.phone[-2:])
    found.hides(villager.phone, villager.snils, villager.policy)
    card = await clerk.submit(found.form(rf"/patients/{UUID}/card"), found)
    token = "".join(card.find(r'class="numbers">([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8}) ([0-9a-f]{8})<').groups())
    scene.canaries.fleeting.append(token)
    scene.secrets["card"] = token
    return f"{1 + NEIGHBOURS} patients, one with a card"


async def _register(clerk: Browser, villager: Villager) -> Page:
    page = await clerk.open("/patients/new")
    typed = {
        **{name: getattr(villager, name) for name in ("family_name", "given_name", "patronymic", "phone", "snils")},
        "policy": villager.policy, "address": villager.address, "birth_date": f"{villager.birth_date:%d.%m.%Y}",
        "sex": "female", "language": "ru", "type_size": "large", "consent_care": "yes",
        "consent_telemedicine": "yes", "consent_delivery": "yes", "consent_notifications": "no",
    }  # fmt: skip
    page = await clerk.submit(page.form("/patients/new", "family_name"), page, **typed)
    page.shows(villager.full_name)
    return page


async def refuse(scene: Scene) -> str:
    """What is wrong or unknown is refused with a message beside it, keeps its place in the form, and is stored nowhere."""
    clerk, refused = await scene.person("clerk"), scene.canaries.refused
    stranger = Villager.of(Canaries())
    search = await clerk.open("/patients")
    searches: list[dict[str, Any]] = [{"name": refused(stranger.full_name), "born": "01.02.1940"}, {"card": refused()}]
    for typed in searches:
        await clerk.submit(search.form("/patients", "number"), search, status=404, **typed)
    page = await clerk.open("/patients/new")
    wrong: dict[str, Any] = {"family_name": refused(stranger.family_name), "address": refused()}
    wrong["snils"] = refused(f"{stranger.snils}7")
    page = await clerk.submit(page.form("/patients/new", "family_name"), page, status=422, **wrong)
    page.shows(*wrong.values())
    outsider = scene.people["outsider"] = Browser(scene.url, "outsider")
    page = await outsider.open("/sign-in")
    form = page.form("/sign-in", "password")
    await outsider.submit(form, page, status=403, login=refused(), password=refused())
    tokens: dict[str, dict[str, Any]] = {"/card": {}, "/rate": {"score": 5, "words": refused()}}
    for path, more in tokens.items():
        page = await outsider.open(path)
        await outsider.submit(page.form(path), page, status=404, token=refused(), **more)
    return "2 searches, a registration, a sign-in, a card, a rating"


async def invite(scene: Scene) -> str:
    """The patient comes on the call list; the first call reaches nobody."""
    clerk, villager = await scene.person("clerk"), known(scene)
    page = await clerk.open(f"/patients/{scene.ids['patient']}")
    page = await clerk.submit(page.form("/invitations"), page)
    page.shows(villager.full_name, villager.phone)
    link = page.link(rf"/booking/slots\?patient_id={scene.ids['patient']}&")
    invitation = link.rpartition("invitation_id=")[2]
    await clerk.submit(page.form(f"/invitations/{invitation}/answer", outcome="not_reached"), page)
    return "called once in vain"


async def book(scene: Scene) -> str:
    """The patient agrees on the telephone; doctor, corner, kit and patient are booked for the next free time."""
    clerk = await scene.person("clerk")
    page = await clerk.open("/invitations")
    slots = await clerk.open(page.link(rf"/booking/slots\?patient_id={scene.ids['patient']}&"))
    form = slots.form("/booking/hold")
    held = await clerk.submit(form, slots)
    page = await clerk.submit(held.form(rf"/booking/{UUID}/confirm"), held)
    page.shows(known(scene).full_name)
    scene.ids["day"] = page.path
    return f"at {form.fields['starts_at'][0]}"


async def open_visit(scene: Scene) -> str:
    """The patient comes, a little early; the visit opens and the gateway is told."""
    clerk = await scene.person("clerk")
    day = await clerk.open(scene.ids["day"])
    form = day.form("/counter/visits", patient_id=scene.ids["patient"])
    page = await clerk.submit(form, day, identified_by="document")
    scene.ids["visit"] = page.form(rf"/visits/{UUID}/questions").action.split("/")[-2]
    return "at the corner"


async def answer(scene: Scene) -> str:
    """The questions come before the numbers; the clerk's screen then shows no answer again."""
    clerk, words = await scene.person("clerk"), scene.canaries.words
    page = await clerk.open(f"/visits/{scene.ids['visit']}/questions")
    form = page.form(rf"/visits/{UUID}/questions")
    symptoms = {name: "no" for name in form.names if name.startswith("symptom-")}
    symptoms["symptom-dizziness"] = "yes"
    texts = {name: words() for name in ("question", "medicines", "allergies")}
    typed: dict[str, Any] = {"fasting": "yes", "known_hypertension": "yes", "arm": "left", "cuff": "medium"}
    page = await clerk.submit(form, page, **{**typed, **symptoms, **texts})
    page.hides(*texts.values())
    scene.typed["answers"] = list(texts.values())
    return f"{len(symptoms)} questions"


async def measure(scene: Scene) -> str:
    """Glucose, then a pressure on each arm and two on the higher, with their rests; the clerk sees no value."""
    line = await scene.line("clerk", f"visit:{scene.ids['visit']}")
    doctor = await scene.line("doctor", f"visit:{scene.ids['visit']}")
    path = f"/counter/visits/{scene.ids['visit']}"
    for done, kind in enumerate(("glucose", *["blood_pressure"] * 4), 1):
        await _measure_one(scene, line, path, kind, done)
    clerk = await scene.person("clerk")
    page = await clerk.open(path)
    await clerk.submit(page.form(rf"/visits/{UUID}/finish"), page)
    if doctor.news.count("reading:stored") != 5:
        raise PageWrong(f"the booked doctor was told {doctor.news.count('reading:stored')} times of 5 readings")
    return "1 glucose, 4 pressures"


async def _measure_one(scene: Scene, line: Line, path: str, kind: str, done: int) -> None:
    """Press the demo's button as soon as the patient has rested, then wait for the status on the clerk's screen."""
    clerk = await scene.person("clerk")
    page = await scene.page_with("clerk", path, r"/simulate", scene.limits.reading_s)
    await clerk.submit(page.form(rf"/visits/{UUID}/simulate", kind=kind), page)
    try:
        await scene.page_with("clerk", path, STEPS_DONE.format(done + 2), scene.limits.reading_s, line)
    except PageWrong:
        raise PageWrong(f"no reading came from the {kind} meter in {scene.limits.reading_s:.0f} s") from None


async def close_visit(scene: Scene) -> str:
    """The clerk prints the slip for the patient, sees nothing of the talk, and closes the visit."""
    clerk, path = await scene.person("clerk"), f"/counter/visits/{scene.ids['visit']}"
    page = await scene.page_with("clerk", path, rf"/parcels/{UUID}/slip", scene.limits.job_s)
    pressures = [value for value in scene.typed["values"] if "/" in value]
    page.hides(*scene.typed["answers"], *scene.typed["note"], *scene.typed["directions"], *pressures)
    slip = await clerk.open(page.link(rf"/parcels/{UUID}/slip"))
    groups = slip.find(r'class="numbers">((?:[0-9a-f]{4} ?){8})<').group(1)
    scene.secrets["parcel"] = scene.canaries.keep(groups.replace(" ", ""))
    scene.canaries.keep(slip.find(r"data-spoken>([0-9 ]{11})<").group(1).replace(" ", ""))
    page = await clerk.submit(page.form(rf"/visits/{UUID}/close"), page)
    return "slip printed, closed"


async def open_my_page(scene: Scene) -> str:
    """The patient shows the card and sees the own parcel with the same secret, and the own values."""
    patient = scene.people["patient"] = Browser(scene.url, "patient")
    page = await patient.open("/card")
    page = await patient.submit(page.form("/card"), page, token=scene.secrets["card"])
    page.shows(known(scene).full_name, scene.secrets["parcel"], *scene.typed["values"])
    return "name, values, parcel with its secret"


def known(scene: Scene) -> Villager:
    """Return the story's patient. Raises PageWrong before the registration."""
    if scene.villager is None:
        raise PageWrong("nobody is registered yet")
    return scene.villager
