"""Subtitles and transcripts (SubRip .srt, WebVTT .vtt) as plain text: what is said, and by whom.

One line a cue, in the order of the file. Automatic captions roll: each cue repeats the end of the one before and adds
to it. What a cue repeats of the one before is left out where the second follows the first without a pause.

Source: https://www.w3.org/TR/webvtt1/
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

TIMES = re.compile(
    r"^\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})\s*-->\s*(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})(?:\s.*)?$"
)
SPEAKER = re.compile(r"<v(?:\.[^\s>]+)*\s+([^>]+)>")
TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|\{\\[^{}]*\}")
"""HTML-like tags, times within a cue, and the ``{\\an8}`` of SubRip's players."""

NOT_CUES = re.compile(r"^(WEBVTT|NOTE|STYLE|REGION)(\s|$)")
CONTINUES = re.compile(r"^(?![-–—>♪]|\[|\(|[^:]{1,40}: )")
"""How a line begins that goes on with the one above it: not with another voice, a sound or a song."""

PAUSE_MILLISECONDS = 100


class Cue(NamedTuple):
    """What is on the screen at one time, line by line."""

    begin_milliseconds: int
    end_milliseconds: int
    lines: tuple[str, ...]


def transcript(text: str) -> str:
    """The spoken text of a .srt or .vtt file; empty if it has no cues."""
    spoken: list[str] = []
    before: Cue | None = None
    for cue in cues(text):
        lines = cue.lines
        if before and cue.begin_milliseconds <= before.end_milliseconds + PAUSE_MILLISECONDS:
            lines = lines[_repeated(before.lines, lines) :]
        spoken += _joined(lines)
        before = cue
    return "\n".join(spoken)


def cues(text: str) -> Iterator[Cue]:
    """The cues that have text; comments, styles, cue numbers and anything before the first cue are none."""
    for block in re.split(r"\n(?:[ \t]*\n)+", text.replace("\r\n", "\n").replace("\r", "\n")):
        lines = block.strip("\n").split("\n")
        if "-->" in block and (not NOT_CUES.match(lines[0]) or any(map(TIMES.match, lines[:2]))):
            yield from _cues_of_block(lines)


def _cues_of_block(lines: list[str]) -> Iterator[Cue]:
    """Usually one; several where the blank lines between them are missing."""
    starts = [(number, found) for number, line in enumerate(lines) if "-->" in line and (found := TIMES.match(line))]
    for place, (number, found) in enumerate(starts):
        last = place + 1 == len(starts)
        end = len(lines) if last else starts[place + 1][0]
        if not last and end > number + 1 and lines[end - 1].strip().isdigit():
            end -= 1  # the number of the next cue
        said = tuple(filter(None, map(_plain, lines[number + 1 : end])))
        if said:
            yield Cue(_milliseconds(found.groups()[:4]), _milliseconds(found.groups()[4:]), said)


def _plain(line: str) -> str:
    if "<" in line or "{" in line:
        line = TAG.sub("", SPEAKER.sub(lambda found: f"{found[1].strip()}: ", line))
    return " ".join((html.unescape(line) if "&" in line else line).split())


def _milliseconds(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, fraction = parts
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 1000 + int((fraction or "0").ljust(3, "0"))


def _repeated(before: tuple[str, ...], lines: tuple[str, ...]) -> int:
    """How many of the first lines are the last ones of the cue before."""
    for count in range(min(len(before), len(lines)), 0, -1):
        if before[-count:] == lines[:count]:
            return count
    return 0


def _joined(lines: tuple[str, ...]) -> list[str]:
    """The lines of a cue as one, but each voice on its own."""
    joined = list(lines[:1])
    for line in lines[1:]:
        if CONTINUES.match(line):
            joined[-1] += f" {line}"
        else:
            joined.append(line)
    return joined
