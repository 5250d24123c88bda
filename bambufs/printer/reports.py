"""Reports of a printer joined into one tree: bounded, immutable, and immune to wrong types.

P1 and A1 send only the keys that changed, the X1 family sends everything (bambu-rs docs/protocol.md), so
dictionaries are merged key by key and everything else is replaced; AMS units and trays are lists whose
members carry an `id`, and are merged by it. A tree that is merged into is not changed: what stays equal is
shared with the new tree, so snapshots cost nothing and need no lock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

MAX_BYTES = 1 << 20
"""A full report of a printer with four AMS units has about 30 KB."""
MAX_DEPTH = 12
_MAX_KEYS = 1000
_MAX_ITEMS = 256
_MAX_TEXT = 4096
_MAX_VALUES = 20_000

_CONTROLS = dict.fromkeys((*range(32), *range(127, 160)), "?")

Tree = Mapping[str, object]


def decode(payload: bytes) -> Tree:
    """The JSON object in an MQTT payload, pruned to sane bounds; empty when it is not one."""
    if len(payload) > MAX_BYTES:
        return {}
    try:
        found = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return tree(pruned(found))


def pruned(value: object, depth: int = 0) -> object:
    """``value`` without what is nested, long or large beyond any report; JSON types only."""
    if isinstance(value, str):
        return _plain(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, dict) and depth < MAX_DEPTH:
        some = list(value.items())[:_MAX_KEYS]
        return {_plain(key): pruned(item, depth + 1) for key, item in some if isinstance(key, str)}
    if isinstance(value, list) and depth < MAX_DEPTH:
        return [pruned(item, depth + 1) for item in value[:_MAX_ITEMS]]
    return None


def _plain(value: str) -> str:
    """A string that can be written anywhere: not too long, without line breaks and what steers a terminal, and without
    the halves of letters that JSON can spell."""
    if len(value) <= _MAX_TEXT and value.isascii() and value.isprintable():  # as nearly all are
        return value
    return value[:_MAX_TEXT].encode("utf-8", "replace").decode().translate(_CONTROLS)


def merged(old: Tree, new: Tree) -> Tree:
    """``old`` with the keys of ``new`` laid over it, at every depth."""
    result = dict(old)
    for key, value in new.items():
        if len(result) < _MAX_KEYS or key in result:
            result[key] = _joined(key, result.get(key), value)
    return result


def is_sane(report: Tree) -> bool:
    """Whether a tree has no more values and text than a printer's could have, however many reports made it up."""
    waiting: list[object] = [report]
    seen = letters = 0
    while waiting and seen <= _MAX_VALUES and letters <= MAX_BYTES:
        value = waiting.pop()
        seen += 1
        if isinstance(value, str):
            letters += len(value)
        elif isinstance(value, (int, float)):
            continue
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, Mapping):
            waiting.extend(value.values())
            letters += sum(map(len, value))
    return seen <= _MAX_VALUES and letters <= MAX_BYTES


def _joined(key: str, old: object, new: object) -> object:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return merged(old, new)
    if key in ("ams", "tray") and isinstance(old, list) and isinstance(new, list):
        return _joined_by_id(old, new)
    return new


def _joined_by_id(old: list[object], new: list[object]) -> list[object]:
    known = {text(tree(item).get("id")): item for item in old}
    for item in new[:_MAX_ITEMS]:
        name = text(tree(item).get("id"))
        # An emptied tray is told as its id alone, or with a state (ha-bambulab models.py).
        if tree(item).keys() <= {"id", "state"} or not isinstance(known.get(name), Mapping):
            known[name] = item
        else:
            known[name] = merged(tree(known[name]), tree(item))
    return list(known.values())[:_MAX_ITEMS]


# -- values, whatever type they come in --------------------------------------------------------------


def tree(value: object) -> Tree:
    """``value`` if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def at(source: Tree, *keys: str) -> object:
    """The value at a path of keys, or None."""
    value: object = source
    for key in keys:
        value = tree(value).get(key)
    return value


def items(value: object) -> list[Tree]:
    """The objects in a list; everything else is left out."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A string as it is, a number in digits, anything else an empty string."""
    if isinstance(value, str):
        return value
    return (
        str(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64 else ""
    )


def number(value: object) -> float | None:
    """A finite number, also when it comes as a string ("27.5"); else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) < 1 << 63 else None


def whole(value: object) -> int | None:
    """A whole number, also when it comes as a string ("87"); else None."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 64 else None
    found = number(value)
    return int(found) if found is not None else None


def hexadecimal(value: object) -> int | None:
    """A number that comes as hexadecimal digits ("1AFFF9CFF"); else None."""
    try:
        return int(value, 16) if isinstance(value, str) and len(value) <= 32 else None
    except ValueError:
        return None
