"""The ways in which a simulated printer is awkward: a table of switches, and their present values.

Nothing here acts; the rest of the simulator asks. Values may be turned while the printer runs.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from bambufs.simulator.quirk_table import MODELS, TABLE, Quirk, Value

_KINDS = {bool: "yes or no", int: "a whole number", float: "a number", str: "a text"}
_TRUE = ("", "1", "yes", "on", "true")
_FALSE = ("0", "no", "off", "false")


def defaults_for(model: str) -> dict[str, Value]:
    """Every quirk's value for a model such as ``"x1c"``.

    Raises `ValueError` for a model that is not in the table.
    """
    if model not in MODELS:
        raise ValueError(f"There is no model {model!r}. Known: {', '.join(MODELS)}.")
    known = MODELS[model]
    values = {quirk.name: quirk.default_of(known.family) for quirk in TABLE.values()}
    return values | dict(known.quirks)


def parse_setting(text: str) -> tuple[str, Value]:
    """Read ``NAME`` or ``NAME=VALUE`` as typed on a command line.

    Raises `ValueError` with a sentence for an unknown name or a value of the wrong kind.
    """
    name, _, value = text.partition("=")
    return name, _convert(_known(name), value)


def _convert(quirk: Quirk, text: str) -> Value:
    if quirk.kind is bool:
        return _read_bool(quirk, text)
    try:
        value: Value = quirk.kind(text)
    except ValueError:
        raise ValueError(f"The quirk {quirk.name} wants {_KINDS[quirk.kind]}, not {text!r}.") from None
    return _checked(quirk, value)


def _read_bool(quirk: Quirk, text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(f"The quirk {quirk.name} is yes or no, not {text!r}.")


def _known(name: str) -> Quirk:
    if name not in TABLE:
        raise ValueError(f"There is no quirk {name!r}; `bambufs simulate --list-quirks` lists them all.")
    return TABLE[name]


def _checked(quirk: Quirk, value: Value) -> Value:
    if quirk.kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not quirk.kind:
        raise ValueError(f"The quirk {quirk.name} wants {_KINDS[quirk.kind]}, not {value!r}.")
    if isinstance(value, str):
        return _checked_text(quirk, value)
    if not quirk.least <= value <= quirk.most or value == math.inf:
        most = "up" if quirk.most == math.inf else f"to {quirk.most:g}"
        raise ValueError(f"The quirk {quirk.name} wants a number from {quirk.least:g} {most}, not {value}.")
    return value


def _checked_text(quirk: Quirk, value: str) -> str:
    if quirk.form and not re.fullmatch(quirk.form, value):
        raise ValueError(f"The quirk {quirk.name} is not written like {value!r}. {quirk.help}")
    if quirk.several and set(str(value).split("+")) <= {"", *quirk.choices}:
        return value
    if quirk.choices and value not in quirk.choices:
        raise ValueError(f"The quirk {quirk.name} is one of {', '.join(quirk.choices)}, not {value!r}.")
    return value


@dataclass
class _Passing:
    """A value that holds for the next ``left`` events only."""

    value: Value
    left: int


@dataclass
class Quirks:
    """The values of all quirks of one printer. Read with `flag`, `number`, `text`; set like a dict."""

    model: str
    settings: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._defaults = defaults_for(self.model)
        self._values = dict(self._defaults)
        self._passing: dict[str, _Passing] = {}
        self._watchers: list[Callable[[], None]] = []
        for name, value in self.settings.items():
            self[name] = value

    @property
    def family(self) -> str:
        """``vsftpd`` or ``esp32``."""
        return MODELS[self.model].family

    def __setitem__(self, name: str, value: Value) -> None:
        checked = _checked(_known(name), value)
        with self._lock:
            self._passing.pop(name, None)
            self._values[name] = checked
        for watcher in self._watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` after every change, in the thread that makes it."""
        self._watchers.append(watcher)

    def __getitem__(self, name: str) -> Value:
        return self._values[_known(name).name]

    def __iter__(self) -> Iterator[str]:
        return iter(TABLE)

    def reset(self, name: str) -> None:
        """Back to the model's own value."""
        self[name] = self._defaults[_known(name).name]

    def once(self, name: str, value: Value, *, times: int = 1) -> None:
        """Let ``value`` hold for the next ``times`` events, for quirks that are events.

        Raises `ValueError` for a quirk that is a lasting property.
        """
        quirk = _known(name)
        if not quirk.event:
            raise ValueError(f"The quirk {name} is no event: it cannot hold for {times} times.")
        checked = _checked(quirk, value)
        with self._lock:
            self._passing[name] = _Passing(checked, times)

    def take(self, name: str) -> Value:
        """The value for one event, which uses up one time of `once`."""
        with self._lock:
            passing = self._passing.get(name)
            if passing is None:
                return self._values[name]
            passing.left -= 1
            if passing.left <= 0:
                del self._passing[name]
            return passing.value

    def flag(self, name: str) -> bool:
        """A quirk that is yes or no."""
        return bool(self._values[name])

    def number(self, name: str) -> float:
        """A quirk that is a number."""
        return float(self._values[name])

    def text(self, name: str) -> str:
        """A quirk that is a word."""
        return str(self._values[name])
