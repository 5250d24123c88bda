"""What the parsers of the commands are made of."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from ..config.settings import MOUNT_KEYS, SETTINGS, SWITCH, Setting
from ..errors import UsageError

_UNKNOWN = "unrecognized arguments: "

CONNECTION_OPTIONS = """\
options for -o, separated by commas: tls_ca=FILE, url_template=URL, as for bambufs mount

exit codes:
  0 done   1 refused, failed or something else   2 wrong usage   3 wrong access code   4 printer unreachable
  7 certificate refused   8 printer busy   9 a fault in bambufs itself
"""


class Parser(argparse.ArgumentParser):
    """A command's parser. Options must be written out: --access-code CODE must not pass for --access-code-file."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)
        self._is_intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Options may stand anywhere, also between the names: argparse does that only when told to."""
        if self._is_intermixing or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        for word in args or ():  # argparse would take --option=-- for an empty list
            option, _, value = word.partition("=")
            if value == "--" and option.startswith("--"):
                self.error(f"argument {option}: '--' is no value for it")
        self._is_intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_intermixing = False

    def error(self, message: str) -> NoReturn:
        """Say what is wrong; without repeating an access code that was given as an argument."""
        if "--access-code" in message and "--access-code-file" not in message:
            message = (
                "there is no --access-code, since every user of this computer could read it; put the code into a file "
                "that only you can read, and name that with --access-code-file"
            )
        if message.startswith(_UNKNOWN):
            message = _told_unknown(message.removeprefix(_UNKNOWN).split())
        raise UsageError(f"{message} ({self.prog} --help lists what there is)")


def _told_unknown(words: list[str]) -> str:
    """What is wrong with arguments that nobody asked for, without repeating their values: one may be a secret."""
    options = [word.partition("=")[0] for word in words if word.startswith("-")]
    return f"there is no option {' '.join(options)}" if options else "there are too many arguments"


Commands: TypeAlias = "argparse._SubParsersAction[Parser]"


def later(module: str, function: str = "run") -> Callable[[argparse.Namespace], int]:
    """A command that is loaded when it is run, so that a mount does not carry the tables and bars of the others."""
    return lambda args: int(getattr(importlib.import_module(f".{module}", __package__), function)(args))


def show_help(parser: argparse.ArgumentParser) -> int:
    """Nothing was asked for: show what could be."""
    parser.print_help(sys.stderr)
    return 2


def add_printer(parser: argparse.ArgumentParser) -> None:
    what = "its name in config.toml, or its address, or - to take it from BAMBU_IP"
    parser.add_argument("printer", metavar="PRINTER", help=what)


def add_connection(parser: argparse.ArgumentParser) -> None:
    """What every command that speaks to a printer has to know."""
    add_settings(parser, for_mounts=False)
    parser.add_argument("-o", dest="options", metavar="OPTIONS", action="append", default=[], help="see below")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log every step")


def add_settings(parser: argparse.ArgumentParser, *, for_mounts: bool) -> None:
    """The settings that are arguments. What is not given stays None, since config.toml may say it."""
    for setting in SETTINGS.values():
        if setting.option and (setting.key in MOUNT_KEYS) == for_mounts:
            _add_setting(parser, setting)


def _add_setting(parser: argparse.ArgumentParser, setting: Setting) -> None:
    form: dict[str, Any] = {"type": _reader(setting), "metavar": setting.metavar}
    if setting.kind is SWITCH:
        form = {"action": "store_const", "const": True}
    elif setting.choices:
        form = {"choices": setting.choices}
    parser.add_argument(setting.option, dest=setting.key, help=setting.help, **form)


def _reader(setting: Setting) -> Callable[[str], object]:
    def read(text: str) -> object:
        try:
            return setting.read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def seconds(text: str) -> float:
    """A number of seconds to wait, for argparse."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{text[:60]!r} is no number of seconds from more than 0 to 3600, as in 5")
    return number


def port(text: str) -> int:
    """A port, for argparse."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 1 to 65535")
    return int(text)
