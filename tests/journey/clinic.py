"""The far end: the doctor's screen, the line check, the call, the note, the prescription."""

from __future__ import annotations

import asyncio
import base64
import re
from typing import Any
from uuid import uuid4

from tests.consultation.peers import CallPeer, LineCheckPeer
from tests.journey.browser import Browser, PageWrong
from tests.journey.scene import Scene
from tests.journey.sockets import Line

CONNECT_S = 15.0
NAMES = {"doctor": "Вера Ильина", "colleague": "Врач Сидоров"}
MEDICINES = ("lorizapril-10", "amlovidin-5")


async def check_line(scene: Scene) -> str:
    """The corner's line is measured against the media process, and the branch keeps the class."""
    clerk = await scene.person("clerk")
    if scene.without != "media":
        await scene.processes.ready("server", "media")  # started by the server, a moment after it
    check_id, peer = str(uuid4()), LineCheckPeer()
    try:
        answer = await clerk.post_json("/api/v1/line-checks", {"check_id": check_id, "sdp": await peer.offer()})
        report = await peer.measure(answer["sdp"])
        measured = (await clerk.post_json(f"/api/v1/line-checks/{check_id}/report", report))["result"]
    finally:
        await peer.close()

    async def look() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await clerk.get_json(f"/api/v1/line-checks/{check_id}"))["result"]
        return found

    kept = await scene.until("the line's class", look, scene.limits.job_s)
    if kept["line_class"] != measured["line_class"]:
        raise PageWrong(f"the page measured {measured['line_class']}, the server kept {kept['line_class']}")
    return f"class {kept['line_class']}, {kept['down_kbit_s']:.0f} kbit/s down, {kept['rtt_ms']:.0f} ms"


async def take_case(scene: Scene) -> str:
    """The case waits in the doctor's queue; the doctor takes it and sees values, answers and no other name."""
    doctor = await scene.person("doctor")
    page = await scene.page_with("doctor", "/doctor", r"/consultations/[0-9a-f-]{36}/take", scene.limits.job_s)
    form = page.form(r"/consultations/[0-9a-f-]{36}/take")
    scene.ids["case"] = form.action.split("/")[-2]
    case = await doctor.submit(form, page)
    assert scene.villager is not None
    case.shows(scene.villager.family_name, *scene.typed.get("answers", []))
    values = re.findall(r'<span class="value">([^<]+)</span>', case.html)
    if len(values) < 5:
        raise PageWrong(f"the doctor sees {len(values)} values, not four pressures and a glucose")
    scene.typed["values"] = values
    return f"{len(values)} values: {', '.join(values)}"


async def call(scene: Scene) -> str:
    """Corner and doctor talk for five seconds; sound and picture are counted where they arrive."""
    case_id = scene.ids["case"]
    doctor_line = await scene.line("doctor", f"consultation:{case_id}")
    clerk_line = await scene.line("clerk", f"consultation:{case_id}")
    doctor = CallPeer(doctor_line.send, case_id, polite=False)
    clerk = CallPeer(clerk_line.send, case_id, polite=True)
    doctor_line.listener, clerk_line.listener = doctor.receive, clerk.receive
    try:
        await doctor.join()
        await clerk.join()
        await _talking(scene, doctor, clerk)
        at_doctor, at_clerk = await asyncio.gather(
            doctor.hold(scene.limits.call_s), clerk.hold(scene.limits.call_s)
        )
    finally:
        doctor_line.listener = clerk_line.listener = None
        await asyncio.gather(doctor.close(), clerk.close())
    for name, frames in (("doctor", at_doctor), ("corner", at_clerk)):
        if frames["video"] < 5 * scene.limits.call_s or frames["audio"] < 25 * scene.limits.call_s:
            raise PageWrong(f"too little arrived at the {name}: {frames}")
    await _chat(scene, doctor_line, clerk_line)
    return f"{scene.limits.call_s:.0f} s; at the doctor {_counted(at_doctor)}; at the corner {_counted(at_clerk)}"


async def _talking(scene: Scene, *peers: CallPeer) -> None:
    async def look() -> bool | None:
        return all(peer.hears["audio"] and peer.hears["video"] for peer in peers) or None

    await scene.until("sound and picture on both sides", look, CONNECT_S)


def _counted(frames: dict[str, int]) -> str:
    return f"{frames['audio']} sound and {frames['video']} picture frames"


async def _chat(scene: Scene, doctor_line: Line, clerk_line: Line) -> None:
    """Both sides write; each side reads what the other wrote."""
    url = f"/api/v1/consultations/{scene.ids['case']}/messages"
    lines = {role: scene.canaries.words() for role in ("doctor", "clerk")}
    for role, text in lines.items():
        browser = await scene.person(role)
        await browser.post_json(url, {"message_id": str(uuid4()), "text": text})
    for role in lines:
        read = await (await scene.person(role)).get_json(url)
        if {message["text"] for message in read["messages"]} != set(lines.values()):
            raise PageWrong(f"the {role} does not read both lines of the chat")
    if "chat:written" not in doctor_line.news or "chat:written" not in clerk_line.news:
        await clerk_line.wait(2)


async def photograph(scene: Scene) -> str:
    """The corner sends a photograph; the doctor opens the same picture without what the camera wrote into it."""
    clerk, doctor = await scene.person("clerk"), await scene.person("doctor")
    path, taken = f"/api/v1/consultations/{scene.ids['case']}/photographs", picture(scene.canaries.refused())
    await clerk.post_json(path, {"photo_id": str(uuid4()), "jpeg": base64.b64encode(taken).decode()})
    (photo,) = (await doctor.get_json(path))["photos"]
    return f"seen by the doctor, at {photo['at']}"


def picture(remark: str) -> bytes:
    """Return a small JPEG frame with a remark of the camera in it, which nobody may keep."""
    words = remark.encode()
    comment = b"\xff\xfe" + (len(words) + 2).to_bytes(2, "big") + words
    return b"\xff\xd8" + comment + b"\xff\xdb\x00\x05abc\xff\xda\x00\x04\x01\x02picture\xff\xd9"


async def ask_a_colleague(scene: Scene) -> str:
    """The case goes to another doctor with words, and comes back with words, at its place in the queue."""
    texts = []
    for sender, receiver in (("doctor", "colleague"), ("colleague", "doctor")):
        browser, text = await scene.person(sender), scene.canaries.words()
        case = await browser.open(f"/doctor/cases/{scene.ids['case']}")
        form = case.form(rf"/doctor/cases/{scene.ids['case']}/hand-over")
        account = re.search(rf'value="([0-9a-f-]{{36}})"[^>]*>{re.escape(NAMES[receiver])}', case.html)
        assert account is not None
        await browser.submit(form, case, to=account[1], text=text)
        page = await scene.page_with(receiver, "/doctor", rf"/consultations/{scene.ids['case']}/take", scene.limits.job_s)
        case = await (await scene.person(receiver)).submit(page.form(rf"/consultations/{scene.ids['case']}/take"), page)
        texts.append(text)
        case.shows(*texts)
    return "handed over and back"


async def write_note(scene: Scene) -> str:
    """The note is saved twice as it grows, and reads back as it was typed."""
    doctor = await scene.person("doctor")
    path, revision = f"/api/v1/consultations/{scene.ids['case']}/note", 0
    note: dict[str, str] = {}
    for fields in (("complaint", "findings"), ("assessment", "plan")):
        note |= {name: scene.canaries.words() for name in fields}
        revision = (await doctor.post_json(path, {"base_revision": revision, "note": note}))["revision"]
    case = await doctor.open(f"/doctor/cases/{scene.ids['case']}")
    case.shows(*note.values())
    scene.typed["note"] = list(note.values())
    return f"revision {revision}"


async def prescribe(scene: Scene) -> str:
    """Two medicines that the post may carry are drafted, shown, signed; then the consultation ends."""
    doctor = await scene.person("doctor")
    path = f"/consultations/{scene.ids['case']}/prescription"
    page = await doctor.open(path)
    await _draft(scene, doctor, path)
    page = await doctor.open(path)
    page.shows(*scene.typed["directions"])
    form = page.form(r"/prescriptions/[0-9a-f-]{36}/sign")
    scene.ids["prescription"] = form.action.split("/")[-2]
    await doctor.submit(form, page)
    paper = await doctor.open(f"/prescriptions/{scene.ids['prescription']}")
    paper.shows(*scene.typed["directions"], "NOT A LEGAL PRESCRIPTION")
    case = await doctor.open(f"/doctor/cases/{scene.ids['case']}")
    await doctor.submit(case.form(r"/consultations/[0-9a-f-]{36}/end"), case, outcome="treated")
    await _add_to_the_note(scene, doctor)
    return f"{len(MEDICINES)} medicines, signed, consultation ended"


async def _add_to_the_note(scene: Scene, doctor: Browser) -> None:
    """The ended case is found again in the doctor's list, and the note gets an addendum."""
    path = f"/doctor/cases/{scene.ids['case']}"
    (await doctor.open("/doctor/ended")).shows(path)
    page, words = await doctor.open(path), scene.canaries.words()
    await doctor.submit(page.form(f"{path}/addendum", "text"), page, text=words)
    (await doctor.open(path)).shows(words)


async def _draft(scene: Scene, doctor: Browser, path: str) -> None:
    page = await doctor.open(path)
    directions = [scene.canaries.words() for _ in MEDICINES]
    typed: dict[str, Any] = {}
    for line, code in enumerate(MEDICINES, 1):
        typed |= {f"code-{line}": scene.canaries.keep(code), f"quantity-{line}": line, f"days-{line}": 30}
        typed[f"directions-{line}"] = directions[line - 1]
    typed |= {"basis": "in_person", "basis_date": "12.03.2026"}
    typed |= {f"basis_{name}": scene.canaries.words() for name in ("clinic", "doctor")}
    scene.typed["directions"] = directions
    await doctor.submit(page.form(path, "code-1"), page, **typed)
