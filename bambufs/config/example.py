"""A config.toml that says everything, in comments; made of the table of settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from .settings import CODE_KEYS, SETTINGS, Setting

HEAD = """\
# The printers that bambufs knows. Each has a table of its own, [printer.NAME], and is mounted with: bambufs mount NAME
# What stands in [defaults] holds for all of them. What is not said here has its built-in value.
# Arguments and environment variables come before this file. `bambufs config check` finds mistakes in it, `bambufs
# config show` tells what is in force, and `bambufs config example` shows every setting there is.
# An access code in this file means that nobody else may be able to read it: chmod 600
"""

_OWN = """\
# All of the above may stand here too, and then holds for this printer alone.
#"""

_CODE = """\
#
# The access code, in one of three ways: here, or in a file of its own, or in the desktop's keyring."""


def example() -> str:
    """The whole file."""
    shared = [setting for setting in SETTINGS.values() if not setting.is_own and setting.key not in CODE_KEYS]
    own = [setting for setting in SETTINGS.values() if setting.is_own and setting.key not in CODE_KEYS]
    codes = [SETTINGS[key] for key in CODE_KEYS]
    parts = [HEAD, "[defaults]", *_lines(shared), "", "[printer.garage]", _OWN, *_lines(own), _CODE, *_lines(codes, "")]
    return "\n".join([*parts, "", "[printer.attic]", '# address = "192.168.1.51"', ""])


def _lines(settings: Iterable[Setting], gap: str = "#") -> list[str]:
    told: list[str] = []
    for setting in settings:
        told += [*_wrapped(setting.help), f"# {setting.key} = {setting.example}", gap]
    return [line for line in told[:-1] if line]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(f"{text[0].upper()}{text[1:]}.", 116, initial_indent="# ", subsequent_indent="# ")
