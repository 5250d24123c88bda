"""Finding: what one step of the examination found, as a sentence for the owner of a printer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """How it is: good, good but worth knowing, bad, or not looked at."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Finding:
    """``step`` is what was looked at, ``advice`` what to do. ``exit_code`` is that of `bambufs` for a bad one."""

    step: str
    verdict: Verdict
    sentence: str
    advice: str = ""
    exit_code: int = 0


def good(step: str, sentence: str) -> Finding:
    """It works."""
    return Finding(step, Verdict.GOOD, sentence)


def note(step: str, sentence: str, advice: str = "") -> Finding:
    """It works, and there is something to know about it."""
    return Finding(step, Verdict.NOTE, sentence, advice)


def bad(step: str, sentence: str, advice: str = "", exit_code: int = 1) -> Finding:
    """It does not work."""
    return Finding(step, Verdict.BAD, sentence, advice, exit_code)


def skipped(step: str, why: str) -> Finding:
    """It was not looked at."""
    return Finding(step, Verdict.SKIPPED, why)
