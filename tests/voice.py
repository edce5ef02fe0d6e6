"""A voice for browsers that have no microphone: it reads syllables without a pause, for silence would hide what is lost.

It must be a voice for Opus as well. A hum of steady tones is taken for music, coded without error correction, and then
every packet that the line loses is heard: 5 % invented where the same line gives a real voice 1 %.
"""

from __future__ import annotations

import math
import random
import struct
import wave
from collections.abc import Iterable
from pathlib import Path

RATE_HZ = 16_000
LOUDEST = 12_000
# Vowels by their first three formants in Hz, rounded, and how wide each is.
VOWELS = (
    (700, 1250, 2500), (500, 900, 2400), (320, 700, 2300), (300, 2200, 3000), (450, 1850, 2500), (330, 1600, 2500),
)  # fmt: skip
VOWEL_WIDTHS_HZ = (80, 110, 160)
HISSES = ((1800, 900), (2600, 900), (4500, 900))  # what is heard of consonants: centre and width in Hz
HISS_SHARE = 0.25


def write_voice(path: Path, pitch_hz: float, seconds: int = 8) -> None:
    """Write `seconds` of speech-like sound as a WAV file; the same pitch gives the same words."""
    chance, sound = random.Random(pitch_hz), list[float]()
    while len(sound) < seconds * RATE_HZ:
        sound += _syllable(chance, pitch_hz)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(b"".join(struct.pack("<h", int(LOUDEST * one)) for one in sound[: seconds * RATE_HZ]))


def _syllable(chance: random.Random, pitch_hz: float) -> list[float]:
    hiss = [chance.gauss(0, 1) for _ in range(int(RATE_HZ * chance.uniform(0.04, 0.09)))]
    vowel = _pulses(chance, pitch_hz * chance.uniform(0.8, 1.3), int(RATE_HZ * chance.uniform(0.09, 0.2)))
    formants = zip(chance.choice(VOWELS), VOWEL_WIDTHS_HZ, strict=True)
    return _shaped(_resonate(hiss, [chance.choice(HISSES)]), HISS_SHARE) + _shaped(_resonate(vowel, formants), 1)


def _pulses(chance: random.Random, pitch_hz: float, count: int) -> list[float]:
    """Return what vocal cords give: pulses whose pitch glides and trembles, with a breath between."""
    glide, sound = chance.uniform(-0.25, 0.25), list[float]()
    while len(sound) < count:
        now_hz = pitch_hz * (1 + glide * len(sound) / count) * chance.gauss(1, 0.02)
        sound += [chance.gauss(1, 0.1), *(chance.gauss(0, 0.01) for _ in range(int(RATE_HZ / now_hz) - 1))]
    return sound[:count]


def _resonate(sound: list[float], formants: Iterable[tuple[float, float]]) -> list[float]:
    """Return the sound after resonances, each given by centre and width in Hz."""
    for centre_hz, width_hz in formants:
        radius = math.exp(-math.pi * width_hz / RATE_HZ)
        near, far = 2 * radius * math.cos(2 * math.pi * centre_hz / RATE_HZ), -radius * radius
        last = before = 0.0
        heard = []
        for one in sound:
            last, before = one + near * last + far * before, last
            heard.append(last)
        sound = heard
    return sound


def _shaped(sound: list[float], level: float) -> list[float]:
    """Return the sound at a level, faded in and out so that it does not click."""
    scale = level / max(map(abs, sound))
    edge = min(RATE_HZ // 100, len(sound) // 2)
    return [one * scale * min(1, (at + 1) / edge, (len(sound) - at) / edge) for at, one in enumerate(sound)]
