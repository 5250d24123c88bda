"""The lines of LIST and NLST as the two families of servers write them. Pure; takes the time."""

from __future__ import annotations

import time

from bambufs.simulator.card_store import Item
from bambufs.simulator.quirks import Quirks

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DAY = 86400.0
_VSFTPD_RECENT = 182 * _DAY
_ESP32_RECENT = 180 * _DAY


def list_line(item: Item, *, quirks: Quirks, now: float) -> str:
    """One line of LIST, with its CR LF. ``now`` is the printer's clock in seconds since 1970."""
    shift = quirks.number("utc_offset") * 60
    if quirks.text("list_style") == "esp32":
        return _esp32_line(item, now=now, shift=shift, ago=quirks.flag("ago"))
    return _vsftpd_line(item, now=now, shift=shift, ago=quirks.flag("ago"))


def mdtm_text(mtime: float, *, quirks: Quirks) -> str:
    """The time of a file as MDTM gives it: UTC, or the printer's own time on ESP32 models."""
    shift = quirks.number("utc_offset") * 60 if quirks.family == "esp32" else 0.0
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(mtime + shift))


def _vsftpd_line(item: Item, *, now: float, shift: float, ago: bool) -> str:
    kind, links, size = ("drwxr-xr-x", 2, 4096) if item.is_folder else ("-rwxr-xr-x", 1, item.size)
    day = time.gmtime(item.mtime + shift)
    recent = now - _VSFTPD_RECENT <= item.mtime <= now
    end = time.strftime("%H:%M", day) if recent else f" {day.tm_year}"
    date = f"{_month(day, ago)} {day.tm_mday:02d} {end}"
    return f"{kind} {links:4d} {'103':<8} {'107':<8} {size:8d} {date} {item.name}\r\n"


def _esp32_line(item: Item, *, now: float, shift: float, ago: bool) -> str:
    kind = "drwxrwxrwx" if item.is_folder else "-rw-rw-rw-"
    day = time.gmtime(item.mtime + shift)
    recent = now - item.mtime <= _ESP32_RECENT  # a time in the future keeps its hours
    end = time.strftime("%H:%M", day) if recent else f"{day.tm_year}"
    date = f"{_month(day, ago)} {day.tm_mday:02d} {end}"
    return f"{kind}   1 root  root {item.size:8d} {date} {item.name}\r\n"


def _month(day: time.struct_time, ago: bool) -> str:
    return "Ago" if ago and day.tm_mon == 8 else _MONTHS[day.tm_mon - 1]
