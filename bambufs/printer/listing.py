"""LIST lines of both server families, as `Entry` values.

Pure: the clock comes in as an argument. Two forms are known, both of eight blank-separated fields,
one blank, and the name to the end of the line::

    -rwxr-xr-x    1 103      107        921589 Apr 13 16:56 Cat_Toy.gcode.3mf      (vsFTPd, an H2S)
    -rw-rw-rw-   1 root  root    92763 Jun 13  2025 a.gcode.3mf                    (ESP32, an A1 mini)

The name is taken as it stands: leading, trailing and double blanks and ``->`` belong to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache

from .entry import Entry

MINUTE = 60
DAY = 86400

_LINE = re.compile(
    r"([-dl])[-rwxsStT]{9}[+.@]?\s++\d++\s++\S++\s++\S++\s++(\d{1,15}+)\s++"
    r"([A-Z][a-z]{2}\s++\d{1,2}\s++(?:\d{4}|\d{1,2}:\d\d)) (.++)",
    re.DOTALL | re.ASCII,
)
_LONGEST_NAME = 1024
"""Bytes; FUSE_NAME_MAX of the kernel. FAT's 255 letters have at most 765."""
_MOST_BYTES = 4
"""Of one letter in UTF-8."""
_NEVER_IN_NAMES = re.compile("[/\0\r]")
# "Ago" is August on the MicroPython FTP server that the ESP32 printers' one descends from.
_MONTHS = {"Jan": 1, "Feb": 2, "Mar": 3, "Apr": 4, "May": 5, "Jun": 6, "Jul": 7, "Aug": 8, "Ago": 8}
_MONTHS |= {"Sep": 9, "Oct": 10, "Nov": 11, "Dec": 12}


def parse_list(lines: Iterable[str], now: float, on_odd: Callable[[str], None] = lambda line: None) -> list[Entry]:
    """The entries of a LIST reply, in the printer's order.

    ``now`` is the present in seconds since the epoch, needed because a recent file is listed without
    its year. The printer's time zone is not told in a listing, so its times are read as UTC (vsFTPd's
    default). ``on_odd`` is called with each line that cannot be shown: not understood, a symbolic link,
    or with a name that cannot be used (see `_is_usable`).
    """
    year = _year_of(now)
    half_day = int(now // (DAY // 2))
    entries = []
    for line in lines:
        match = _LINE.fullmatch(line)
        kind, size, listed, name = match.groups() if match else ("", "", "", "")
        date = _parse_date(listed, year, half_day) if match else None
        if date is None:
            if line and not line.startswith("total "):
                on_odd(line)
            continue
        if name in (".", ".."):
            continue
        if kind == "l" or not _is_usable(name):
            on_odd(line)
            continue
        is_dir = kind == "d"
        entries.append(Entry(name, is_dir, 0 if is_dir else int(size), date[0], date[1]))
    return entries


def _is_usable(name: str) -> bool:
    """Whether a name can be shown in a folder and asked for: no ``/`` or NUL in it, no CR, which would break out of
    its line on the control connection, and no longer than the kernel takes, which fails the whole folder for one."""
    may_be_too_long = len(name) * _MOST_BYTES > _LONGEST_NAME
    if may_be_too_long and len(name.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
        return False
    return _NEVER_IN_NAMES.search(name) is None


def _year_of(now: float) -> int:
    return 1970 + int(now // (365.2425 * DAY))


@lru_cache(maxsize=4096)
def _parse_date(text: str, year: int, half_day: int) -> tuple[int, int] | None:
    """Seconds since the epoch and the resolution of a LIST date, or None when it is no date.

    Without a year, the year that brings the date nearest to now is meant: that holds for vsFTPd (which
    lists the last half year so), for ESP32 printers (which list future dates so as well), around New
    Year, and for printers whose clock is some days off (maziggy/bambuddy#2704).
    """
    month_name, day_text, rest = text.split()
    month, day = _MONTHS.get(month_name, 0), int(day_text)
    if ":" not in rest:
        seconds = _seconds(int(rest), month, day, 0, 0)
        return None if seconds is None else (seconds, DAY)
    hour, minute = map(int, rest.split(":"))
    now = half_day * (DAY // 2)
    candidates = [_seconds(candidate, month, day, hour, minute) for candidate in _around(year)]
    possible = [seconds for seconds in candidates if seconds is not None]
    return (min(possible, key=lambda seconds: abs(seconds - now)), MINUTE) if possible else None


def _around(year: int) -> range:
    """The years next to ``year``, enough of them to hold a 29 February."""
    return range(year - 4, year + 2)


def _seconds(year: int, month: int, day: int, hour: int, minute: int) -> int | None:
    """Seconds since the epoch, or None for what is no date."""
    try:
        return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp())
    except ValueError:
        return None
