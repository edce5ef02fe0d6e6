"""The ladder's decisions, the spoken code and the minute's record, in the browser's own engine and without a call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Page, sync_playwright
from werkzeug.serving import make_server

from tests.browser.conftest import FLAGS, chromium_path

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parent.parent.parent
RUN = """async ({start, seconds}) => {
  const { begin, next } = await import('/static/js/lib/call-ladder.js');
  let ladder = begin(start), at_s = 0;
  const seen = [[0, ladder.step, ladder.reason]];
  for (const [count, kbit_s, rtt_ms, loss_pct, heard_loss_pct = null, arrives_kbit_s = null] of seconds)
    for (let i = 0; i < count; i += 1) {
      ladder = next(ladder, { at_s: at_s += 1, kbit_s, rtt_ms, loss_pct, heard_loss_pct, arrives_kbit_s });
      if (ladder.step !== seen.at(-1)[1]) seen.push([at_s, ladder.step, ladder.reason]);
    }
  return { seen, spare: ladder.spare.on };
}"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page that can load the product's modules and has nothing else."""
    app = Flask("modules", static_folder=str(ROOT / "static"), static_url_path="/static")
    app.add_url_rule("/", "page", lambda: "<!doctype html><title>modules</title>")
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), headless=False, args=FLAGS)
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
    server.shutdown()


def ladder(page: Page, *seconds: tuple[Any, ...], start: str | None = None) -> dict[str, Any]:
    """Return the steps of a line given as (seconds, kbit/s, round trip ms, loss %), where it matters with what is lost of
    the voice that comes and with what arrives at the far end, and whether the voice is spared.
    """
    return page.evaluate(RUN, {"start": start, "seconds": [list(one) for one in seconds]})  # type: ignore[no-any-return]


def test_a_good_line_stays_at_the_top(page: Page) -> None:
    assert ladder(page, (60, 900, 80, 0))["seen"] == [[0, "video", "start"]]


def test_a_thinning_line_goes_down_step_by_step_and_says_why(page: Page) -> None:
    seen = ladder(page, (5, 800, 80, 0), (20, 200, 300, 2), (20, 100, 300, 2))["seen"]

    assert [step for _at, step, _why in seen] == ["video", "thin_video", "voice_photos"]
    assert {why for _at, _step, why in seen[1:]} == {"line_thin"}
    assert seen[1][0] == 11
    assert seen[2][0] == 31


def test_a_slow_line_loses_its_picture_within_eight_seconds(page: Page) -> None:
    seen = ladder(page, (5, 800, 80, 0), (20, 800, 1200, 0))["seen"]

    assert seen[1][1:] == ["voice_photos", "line_slow"]
    assert seen[1][0] - 5 <= 8


def test_a_short_dip_changes_nothing(page: Page) -> None:
    assert len(ladder(page, (5, 800, 80, 0), (4, 60, 300, 5), (30, 800, 80, 0))["seen"]) == 1


def test_the_way_up_is_slow_and_leads_over_the_small_picture(page: Page) -> None:
    seen = ladder(page, (10, 90, 300, 2), (25, 255, 100, 0), (60, 600, 80, 0))["seen"]

    assert [step for _at, step, _why in seen[-2:]] == ["thin_video", "video"] or seen[-1][1] == "video"
    ups = [(at, why) for at, step, why in seen if step != "voice_photos" and at > 10]
    assert ups[0][0] >= 30
    assert ups[0][1] == "line_better"


@pytest.mark.parametrize(
    ("line", "first"),
    [(None, "video"), ("good", "video"), ("fair", "video"), ("thin", "thin_video"), ("voice_photos", "voice_photos"),
     ("telephone", "voice_photos")],
)  # fmt: skip
def test_a_measured_line_gives_the_first_step(page: Page, line: str | None, first: str) -> None:
    assert ladder(page, start=line)["seen"][0][1] == first


def test_the_voice_is_spared_only_on_a_line_that_cannot_carry_it(page: Page) -> None:
    assert ladder(page, (10, 100, 300, 2), (60, 54, 200, 1))["spare"] is False
    assert ladder(page, (10, 100, 300, 2), (60, 54, 1300, 4))["spare"] is False, "a queue that empties is no such line"
    assert ladder(page, (10, 100, 300, 2), (10, 54, 700, 25))["spare"] is True
    assert ladder(page, (10, 100, 300, 2), (10, 54, 1700, 4))["spare"] is True
    assert ladder(page, (10, 100, 300, 2), (10, 54, 700, 25), (70, 20, 320, 3))["spare"] is False
    assert ladder(page, start="telephone")["spare"] is True


def test_a_return_to_full_voice_that_fails_is_tried_half_as_often(page: Page) -> None:
    fall, quiet = (8, 54, 700, 25), (61, 20, 320, 2)

    assert ladder(page, (10, 100, 300, 2), fall, quiet)["spare"] is False, "the premise: a quiet minute ends it"
    assert ladder(page, (10, 100, 300, 2), fall, quiet, fall, quiet)["spare"] is True
    assert ladder(page, (10, 100, 300, 2), fall, quiet, fall, quiet, quiet)["spare"] is False


def test_a_line_where_little_is_heard_loses_its_picture_within_two_seconds(page: Page) -> None:
    told_by_the_far_end = ladder(page, (5, 800, 80, 0), (10, 84, 80, 45))["seen"]
    heard_here = ladder(page, (5, 800, 80, 0), (10, 800, 80, 0, 60))["seen"]

    assert [told_by_the_far_end[1], heard_here[1]] == [[7, "voice_photos", "line_thin"]] * 2


def test_a_line_that_hardly_carries_the_voice_gets_no_trial_of_the_picture(page: Page) -> None:
    thin, quiet = (10, 100, 300, 2), (55, 45, 330, 2)

    def pauses(*seconds: tuple[Any, ...]) -> int:
        return [step for _at, step, _why in ladder(page, *seconds)["seen"]].count("voice_photos")

    assert pauses(thin, quiet) == 2, "the premise: a quiet line gets a trial, and this one fails"
    assert pauses(thin, (10, 45, 1292, 50), quiet) == 1


def without_estimate(seconds: int, rtt_ms: float, loss_pct: float, arrives_kbit_s: float | None) -> tuple[Any, ...]:
    """A line seen by a browser that has no estimate of its rate, as Firefox ESR 140."""
    return seconds, None, rtt_ms, loss_pct, 0, arrives_kbit_s


def test_without_an_estimate_the_ladder_goes_down_on_a_full_line_and_up_again_on_a_quiet_one(page: Page) -> None:
    good, thin, poor = (
        without_estimate(5, 80, 0, 600),
        without_estimate(20, 560, 4, 150),
        without_estimate(20, 560, 12, 60),
    )
    seen = ladder(page, good, thin, poor, without_estimate(35, 90, 0, 40), without_estimate(40, 90, 0, 200))["seen"]

    assert [[at, step] for at, step, _why in seen] == [
        [0, "video"], [11, "thin_video"], [31, "voice_photos"], [61, "thin_video"], [91, "video"],
    ]  # fmt: skip
    assert [why for _at, _step, why in seen[1:]] == ["line_thin", "line_thin", "line_better", "line_better"]


def test_without_an_estimate_a_picture_that_hardly_moves_stays(page: Page) -> None:
    assert len(ladder(page, without_estimate(120, 80, 1, 60))["seen"]) == 1
    assert len(ladder(page, without_estimate(120, 560, 4, None))["seen"]) == 1, "nobody says what arrives"


def test_without_an_estimate_each_trial_of_the_large_picture_that_fails_doubles_the_wait(page: Page) -> None:
    quiet, full = without_estimate(31, 80, 0, 200), without_estimate(6, 560, 4, 150)
    seen = ladder(page, without_estimate(1, 80, 0, 600), full, quiet, full, quiet, quiet)["seen"]

    assert [[at, step] for at, step, _why in seen] == [
        [0, "video"], [7, "thin_video"], [38, "video"], [44, "thin_video"], [105, "video"],
    ]  # fmt: skip


def test_without_an_estimate_a_voice_that_was_spared_is_whole_again_on_a_quiet_line(page: Page) -> None:
    fall = without_estimate(10, 700, 25, 50)

    assert ladder(page, fall, fall)["spare"] is True, "the premise"
    assert ladder(page, fall, fall, without_estimate(70, 320, 3, 20))["spare"] is False


def test_a_persons_choice_holds_against_the_line_until_it_is_given_back(page: Page) -> None:
    steps = page.evaluate("""async () => {
      const { begin, force, next, outgoing } = await import('/static/js/lib/call-ladder.js');
      const good = (ladder, at_s) => next(ladder, { at_s, kbit_s: 900, rtt_ms: 50, loss_pct: 0 });
      let ladder = force(begin(), 'voice_photos', 'doctor');
      const steps = [[ladder.step, ladder.reason, outgoing(ladder).video]];
      for (let at_s = 1; at_s < 100; at_s += 1) ladder = good(ladder, at_s);
      steps.push([ladder.step, ladder.reason, outgoing(ladder).video]);
      ladder = force(ladder, 'telephone', 'clerk');
      steps.push([ladder.step, ladder.reason, outgoing(ladder).voice]);
      ladder = force(ladder, 'automatic', 'clerk');
      steps.push([ladder.step, ladder.reason, outgoing(ladder).voice.max_bit_s]);
      return steps;
    }""")

    assert steps == [
        ["voice_photos", "doctor", None], ["voice_photos", "doctor", None], ["telephone", "clerk", None],
        ["video", "clerk", None],
    ]  # fmt: skip


def test_a_lost_voice_asks_for_pauses_unsent_only_when_it_is_spared(page: Page) -> None:
    audio = "m=audio 9 X 111\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n"
    sdp = f"v=0\r\n{audio}m=video 9 X 96\r\n"
    mended = page.evaluate(
        """async (sdp) => {
          const { mendVoice } = await import('/static/js/lib/call-outgoing.js');
          return [false, true].map((isSpare) => mendVoice({ type: 'answer', sdp }, isSpare).sdp);
        }""",
        sdp,
    )

    assert mended[0] == sdp
    assert "useinbandfec=1;usedtx=1\r\n" in mended[1]


# ---- what a browser tells

READ = """async ([before, after]) => {
  const { meter } = await import('/static/js/lib/call-statistics.js');
  const looks = [before, after].map((entries) => new Map(entries.map((entry) => [entry.id, {
    ...entry, ...('ageMs' in entry ? { timestamp: Date.now() - entry.ageMs } : {}) }])));
  const read = meter({ getStats: async () => looks.shift() });
  await read();
  return read();
}"""


def told(received: int, rtt_s: float | None = 0.3, age_ms: int = 500) -> list[dict[str, Any]]:
    """What Firefox ESR 140 tells: the far end's report, and no word of the path."""
    report = {"id": "r", "type": "remote-inbound-rtp", "fractionLost": 0.02, "ageMs": age_ms}
    return [
        {
            "id": "a",
            "type": "inbound-rtp",
            "kind": "audio",
            "bytesReceived": received,
            "headerBytesReceived": received // 4,
        },
        report if rtt_s is None else {**report, "roundTripTime": rtt_s},
    ]


def test_where_the_path_is_not_told_the_far_ends_report_gives_the_round_trip(page: Page) -> None:
    figures = page.evaluate(READ, [told(0), told(8000)])

    assert (figures["rttMs"], figures["lossPct"]) == (300, 2)
    assert figures["availableKbitS"] is None
    assert figures["arrivedKbitS"] == 80, "with headers, as a line carries them"


def test_a_report_from_before_a_cut_gives_no_round_trip(page: Page) -> None:
    figures = page.evaluate(READ, [told(0), told(8000, age_ms=11_000)])

    assert (figures["rttMs"], figures["lossPct"]) == (None, None)


def test_a_report_without_a_round_trip_gives_none(page: Page) -> None:
    assert page.evaluate(READ, [told(0), told(8000, rtt_s=None)])["rttMs"] is None


def test_where_the_path_is_told_its_round_trip_counts(page: Page) -> None:
    path = [
        {"id": "t", "type": "transport", "selectedCandidatePairId": "p"},
        {"id": "p", "type": "candidate-pair", "currentRoundTripTime": 0.05, "availableOutgoingBitrate": 500_000},
    ]
    figures = page.evaluate(READ, [told(0), [*told(8000), *path]])

    assert (figures["rttMs"], figures["availableKbitS"]) == (50, 500)


# ---- the spoken code

PAIR = """
  const { openCode, codeOf, digest, toHex } = await import('/static/js/lib/call-code.js');
  const side = (isDoctor, log) => {
    const found = { log, last: null };
    found.code = openCode({ isDoctor, tell: (message) => log.push(message), onChange: (news) => { found.last = news; } });
    return found;
  };
  const carry = async (from, to) => { for (const message of from.log.splice(0)) await to.code.take(message); };
  const settle = async (one, other) => {
    for (let i = 0; i < 4; i += 1) await carry(one, other).then(() => carry(other, one));
  };
"""


def test_two_honest_sides_get_the_same_five_digits(page: Page) -> None:
    doctor, corner = page.evaluate(f"""async () => {{ {PAIR}
      const doctor = side(true, []), corner = side(false, []);
      await doctor.code.begin({{ mine: 'AA', theirs: 'BB' }});
      await settle(doctor, corner);
      await corner.code.begin({{ mine: 'BB', theirs: 'AA' }});
      await settle(doctor, corner);
      return [doctor.last, corner.last];
    }}""")

    assert doctor["state"] == corner["state"] == "ready"
    assert doctor["digits"] == corner["digits"]
    assert len(doctor["digits"]) == 5


def test_nobody_shows_the_number_before_the_other_side_is_bound(page: Page) -> None:
    said, state = page.evaluate(f"""async () => {{ {PAIR}
      const doctor = side(true, []);
      await doctor.code.take({{ nonce: '0'.repeat(32) }});
      await doctor.code.begin({{ mine: 'AA', theirs: 'MM' }});
      doctor.code.resend();
      return [doctor.log, doctor.code.state];
    }}""")

    assert {tuple(message) for message in said} == {("commit",)}
    assert state == "comparing"


@pytest.mark.parametrize("trick", ["other nonce", "second commitment", "our own commitment sent back"])
def test_a_far_end_that_changes_its_mind_is_noticed(page: Page, trick: str) -> None:
    state = page.evaluate(
        f"""async (trick) => {{ {PAIR}
          const doctor = side(true, []);
          await doctor.code.begin({{ mine: 'AA', theirs: 'MM' }});
          const chosen = new Uint8Array(16), own = doctor.log[0].commit;
          await doctor.code.take({{ commit: trick.startsWith('our') ? own : await digest(chosen) }});
          if (trick === 'second commitment') await doctor.code.take({{ commit: 'f'.repeat(64) }});
          if (trick === 'other nonce') await doctor.code.take({{ nonce: '1'.repeat(32) }});
          return doctor.last.state;
        }}""",
        trick,
    )

    assert state == "broken"


def test_who_grinds_certificates_finds_digits_without_the_commitment_and_not_with_it(page: Page) -> None:
    """The attacker M holds a connection to each side and makes certificates until the digits agree. That works when the
    numbers are known first (the premise, with three digits to be quick); the commitment takes the numbers away until both
    certificates are in use.
    """
    tries, agreeing, rounds = page.evaluate(f"""async () => {{ {PAIR}
      const [doctorNonce, cornerNonce, own] = [1, 2, 3].map((value) => new Uint8Array(16).fill(value));
      const aim = await codeOf([doctorNonce, own], ['D', 'M1'], 3);
      let tries = 0;
      while (await codeOf([own, cornerNonce], [`M2-${{tries}}`, 'C'], 3) !== aim && tries < 20000) tries += 1;

      let agreeing = 0;
      const rounds = 300;
      for (let round = 0; round < rounds; round += 1) {{
        const doctor = side(true, []), corner = side(false, []), toDoctor = side(false, []), toCorner = side(true, []);
        await doctor.code.begin({{ mine: 'D', theirs: `M1-${{round}}` }});
        await toDoctor.code.begin({{ mine: `M1-${{round}}`, theirs: 'D' }});
        await settle(doctor, toDoctor); // the attacker knows the doctor's digits now
        await corner.code.begin({{ mine: 'C', theirs: `M2-${{round}}` }}); // and may choose any certificate here
        await toCorner.code.begin({{ mine: `M2-${{round}}`, theirs: 'C' }});
        await settle(corner, toCorner);
        if (doctor.last.state !== 'ready' || corner.last.state !== 'ready') throw new Error('the attack must run whole');
        agreeing += doctor.last.digits === corner.last.digits;
      }}
      return [tries, agreeing, rounds];
    }}""")

    assert tries < 20_000, "the premise: known numbers can be ground"
    assert agreeing <= 1, f"{agreeing} of {rounds}"


# ---- the minute's record


def test_a_minute_is_summed_and_kept_until_the_server_has_it(page: Page) -> None:
    records = page.evaluate("""async () => {
      const { recordQuality } = await import('/static/js/lib/call-quality.js');
      const sent = [];
      let isAway = true, number = 0;
      const send = async (record) => { if (!isAway) sent.push(record); return !isAway; };
      const quality = recordQuality({ send, nextId: () => `id-${number++}` });
      const heard = { audioSamples: 48000, concealed: 480, freezes: 1, frozenS: 0.25 };
      const second = { ...heard, outKbitS: 100, rttMs: 300, lossPct: 2 };
      for (let i = 0; i < 60; i += 1) quality.add(second, { step: 'thin_video', cuts: 1, setUpMs: 1234.5 });
      await new Promise((resolve) => setTimeout(resolve)); // the first try has failed
      isAway = false;
      for (let i = 0; i < 10; i += 1) quality.add(second, { step: 'voice_photos', cuts: 3, setUpMs: 1234.5 });
      await quality.close();
      return sent;
    }""")

    assert [(one["id"], one["minute"], one["seconds"], one["cuts"]) for one in records] == [
        ("id-0", 0, 60, 1), ("id-1", 1, 10, 2),
    ]  # fmt: skip
    assert records[0]["set_up_ms"] == 1234 or records[0]["set_up_ms"] == 1235
    assert records[1]["set_up_ms"] is None
    assert (records[0]["concealed_pct"], records[0]["freezes"], records[0]["frozen_s"]) == (1, 60, 15)
