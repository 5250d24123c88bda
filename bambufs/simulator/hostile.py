"""A printer that has lost its mind: what it says and sends, while the quirk ``hostile`` names that kind of madness.

No printer does this on purpose; broken firmware, a damaged card, or another server at the printer's address may.
Every choice comes from one seeded generator, so that a conversation that went wrong can be had again. What has
no end comes as an iterator, which the client ends by leaving.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

Pieces = bytes | Iterable[bytes]
_Twist = Callable[[random.Random, bytes], bytes]

KINDS = ("replies", "ports", "listings", "content", "endless", "reports")

_TRICKLE = 0.02
_LONG = 64 * 1024


class Hostility:
    """Decides, each time with the probability ``share()``, to do harm of the kinds that ``kinds()`` names."""

    def __init__(
        self, *, seed: int, kinds: Callable[[], str], share: Callable[[], float], closing: threading.Event
    ) -> None:
        self.begin(seed)
        self._kinds, self._share, self._closing = kinds, share, closing

    def begin(self, seed: int) -> None:
        """Begin anew: the same seed, the same harm."""
        self._random = random.Random(seed)

    def reply(self, verb: str, honest: bytes) -> Pieces:
        """What goes out in place of a reply to ``verb``."""
        if verb in ("PASV", "EPSV") and self._strikes("ports"):
            return b"227 Entering Passive Mode (" + self._random.choice(_PORTS) + b").\r\n"
        if self._strikes("replies"):
            return self._random.choice(_REPLIES)(self._random, honest)
        return self._without_end(honest[:4], (b"x" * 4096, honest[:3] + b"-more\r\n")) or honest

    def listing(self, honest: bytes) -> Pieces:
        """What goes out in place of a listing."""
        if self._strikes("listings"):
            return self._random.choice(_LISTINGS)(self._random, honest) + _odd_lines(self._random)
        return self._without_end(honest, (b"x" * 9999 + b"\r\n", odd_line(self._random))) or honest

    def content(self, honest: bytes) -> Pieces:
        """What goes out in place of a file."""
        if self._strikes("content"):
            return self._random.choice(_CONTENTS)(self._random, honest)
        return self._without_end(honest, (b"\0" * 65536,)) or honest

    def report(self, document: dict[str, Any]) -> bytes:
        """What goes out in place of a report over MQTT."""
        if self._strikes("reports"):
            return self._random.choice(_REPORTS)(self._random, document)
        return json.dumps(document).encode()

    def _strikes(self, kind: str) -> bool:
        kinds = self._kinds()
        if not kinds or (kind not in kinds.split("+") and kinds != "all"):
            return False
        return self._random.random() < self._share()

    def _without_end(self, start: bytes, pieces: Sequence[bytes]) -> Iterator[bytes] | None:
        """``start`` and then one of ``pieces`` for ever, in a flood or a trickle; None when it is not to be."""
        if not self._strikes("endless"):
            return None
        pause = self._random.choice((0.0, _TRICKLE))
        return self._repeated(start, self._random.choice(pieces), pause)

    def _repeated(self, start: bytes, piece: bytes, pause: float) -> Iterator[bytes]:
        yield start
        while not self._closing.wait(pause):
            yield piece[:1] if pause else piece


# -- replies


def _noise(chance: random.Random, honest: bytes) -> bytes:
    return chance.randbytes(chance.randrange(1, 200)) + b"\r\n"


def _number(chance: random.Random) -> bytes:
    return chance.choice((b"-1", b"0", b"9" * 18, b"9" * 5000, b"1e9", b"0x10", b"1_0", b"", b"NaN", "٣".encode()))


_REPLIES: tuple[_Twist, ...] = (
    _noise,
    lambda chance, honest: b"\r\n",
    lambda chance, honest: b"",
    lambda chance, honest: honest[3:],
    lambda chance, honest: str(chance.randrange(1000)).encode() + honest[3:],
    lambda chance, honest: honest[:3] + b"-" + honest[4:] + b"999 no end\r\n" * 3,
    lambda chance, honest: honest + honest,
    lambda chance, honest: honest[:4] + b"x" * chance.choice((100, 9000, 2 * _LONG)) + b"\r\n",
    lambda chance, honest: honest[:4] + _number(chance) + b"\r\n",
    lambda chance, honest: honest[:4] + b"\0\x1b[2J\xff\r" + honest[4:],
    lambda chance, honest: honest.rstrip(b"\r\n"),
)

_PORTS = (
    b"127,0,0,1,0,0", b"127,0,0,1,0,9", b"127,0,0,1,255,255", b"127,0,0,1,999,999", b"127,0,0,1,-1,5", b"1,2,3,4",
    b"999,999,999,999,4,4", b"127,0,0,1," + b"9" * 400 + b",1", b"a,b,c,d,e,f", b"",
)  # fmt: skip

# -- listings

_NAMES = (
    b"/etc/passwd", b"../../escaped", b"..", b".", b"", b"with/slash", b"with\rreturn", b"with\0nul", b"a" * _LONG,
    "ä".encode() * 600, b"\x1b[2Jclear", b"\xff\xfe\xfd", b" ", b"-rf", b"name\r", b".hidden", b".bambufs", b"con",
    b"a -> /etc/shadow", b"\t", b"x" * 255, b"x" * 1024, b"C:\\x", "\u202egnp.exe".encode(), b"%s%n", b"*", b"cache",
)  # fmt: skip
_SIZES = (b"0", b"5", b"-5", b"9" * 14, b"9" * 18, b"9" * 25, b"9" * 5000, b"x", "٣".encode())
_DATES = (b"Jun 13  2025", b"Jun 13 10:00", b"Feb 30  2025", b"Jun 13  0000", b"Dec 31  9999", b"Jan 00 99:99", b"now")
_KINDS = (b"-rw-rw-rw-", b"drwxrwxrwx", b"lrwxrwxrwx", b"brw-rw-rw-", b"", b"?---------")


_FIELDS = ((b"-rw-rw-rw-", _KINDS), (b"1", (b"", b"9" * 30)), (b"root", (b"",)), (b"root", (b"",)), (b"7", _SIZES),
           (b"Jun 13  2025", _DATES), (b"name", _NAMES), (b"\r\n", (b"\n", b"\r\r\n", b"")))  # fmt: skip


def odd_line(chance: random.Random) -> bytes:
    """A line of a listing that is odd in one way, half of the time in its name."""
    line = [good for good, _ in _FIELDS]
    odd = chance.choice((chance.randrange(len(_FIELDS)), 6))
    line[odd] = chance.choice(_FIELDS[odd][1])
    return b" ".join(line[:-1]) + line[-1]


def _odd_lines(chance: random.Random) -> bytes:
    return b"\r\n" + b"".join(odd_line(chance) for _ in range(30))


_LISTINGS: tuple[_Twist, ...] = (
    lambda chance, honest: honest + chance.randbytes(chance.randrange(1, 5000)),
    lambda chance, honest: chance.randbytes(300) + b"\r\n" + honest,
    lambda chance, honest: honest,
    lambda chance, honest: honest[: len(honest) // 2],
    lambda chance, honest: honest * 3,
    lambda chance, honest: b"".join(_named(b"f%d" % number) for number in range(5000)),
    lambda chance, honest: b"\r\n" * 5000 + honest,
)


def _named(name: bytes) -> bytes:
    return b"-rw-rw-rw-   1 root  root        7 Jun 13  2025 " + name + b"\r\n"


# -- files

_CONTENTS: tuple[_Twist, ...] = (
    lambda chance, honest: honest + chance.randbytes(chance.randrange(1, 200_000)),
    lambda chance, honest: honest[: chance.randrange(len(honest) + 1)],
    lambda chance, honest: b"",
    lambda chance, honest: chance.randbytes(len(honest)),
)

# -- reports

_JUNK: tuple[object, ...] = (
    None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), 2**70, -(2**70), "", "x" * 9000, "9" * 400, "-1", "é",
    "\ud800", "\0\x1b[2J\n", [], {}, [[]], [None, 3, "x"], {"id": None}, [{"id": {}, "tray": 7}], {"ams": [{"ams": 3}]},
)  # fmt: skip


def _twisted(chance: random.Random, value: object) -> object:
    """``value`` with some of what is in it replaced by junk of another type."""
    if chance.random() < 0.15:
        return chance.choice(_JUNK)
    if isinstance(value, dict):
        return {key: _twisted(chance, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_twisted(chance, item) for item in value]
    return value


def _wrong_types(chance: random.Random, document: dict[str, Any]) -> bytes:
    status = {key: _twisted(chance, value) for key, value in document.get("print", {}).items()}
    return json.dumps({"print": {**status, "command": "push_status"}}).encode()


_REPORTS: tuple[Callable[[random.Random, dict[str, Any]], bytes], ...] = (
    _wrong_types,
    _wrong_types,
    _wrong_types,
    lambda chance, document: json.dumps(chance.choice(_JUNK)).encode(),
    lambda chance, document: json.dumps({"print": chance.choice(_JUNK), "info": chance.choice(_JUNK)}).encode(),
    lambda chance, document: chance.randbytes(chance.randrange(500)),
    lambda chance, document: b"[" * 100_000,
    lambda chance, document: b'{"print":' * 50_000,
    lambda chance, document: b'{"print":{"mc_percent":' + b"9" * 100_000 + b"}}",
    lambda chance, document: b'{"print":{"subtask_name":"' + b"x" * 1_000_000 + b'"}}',
    lambda chance, document: b'{"print":{' + b",".join(b'"k%d":1' % number for number in range(20_000)) + b"}}",
    lambda chance, document: json.dumps(document).encode()[: chance.randrange(300)],
    lambda chance, document: os.fsencode(json.dumps(document)) * 2,
)
