"""The commands and their options, with help for the owner of a printer."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias

from .. import __version__
from ..config.settings import MOUNT_KEYS, SETTINGS, SWITCH, Setting
from ..printer.request import BED_TYPES
from . import mount, simulate, trust, unmount

_OVERVIEW = """\
Mounts the storage of a Bambu Lab 3D printer as a folder: browse it in a file manager, copy to and from it, open a 3MF
or a timelapse in place, and start a print by writing its name into a file.
"""

_EXAMPLE = """\
example:
  bambufs mount 192.168.1.50 ~/printer --access-code-file ~/.config/bambufs/code
  cp benchy.gcode.3mf ~/printer/cache/
  echo cache/benchy.gcode.3mf > ~/printer/.bambufs/print
  bambufs unmount ~/printer

No printer at hand? bambufs demo
"""


class _Parser(argparse.ArgumentParser):
    """A command's parser. Options must be written out: --access-code CODE must not pass for --access-code-file."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong; without repeating an access code that was given as an argument."""
        if "--access-code" in message and "--access-code-file" not in message:
            message = (
                "there is no --access-code, since every user of this computer could read it; put the code into a file "
                "that only you can read, and name that with --access-code-file"
            )
        super().error(message)


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def _later(module: str, function: str = "run") -> Callable[[argparse.Namespace], int]:
    """A command that is loaded when it is run, so that a mount does not carry the tables and bars of the others."""
    return lambda args: int(getattr(importlib.import_module(f".{module}", __package__), function)(args))


def make_parser(*, with_simulator: bool = True) -> argparse.ArgumentParser:
    """The whole command line. ``with_simulator`` loads the simulated printer for the options of its command."""
    parser = argparse.ArgumentParser(
        prog="bambufs",
        description=_OVERVIEW,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bambufs {__version__}")
    parser.set_defaults(run=lambda args: _show_help(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    _add_mount(commands)
    _add_unmount(commands)
    _add_print(commands)
    _add_status(commands)
    _add_trust(commands)
    _add_config(commands)
    _add_discover(commands)
    _add_check(commands)
    _add_demo(commands)
    _add_simulate(commands, with_simulator)
    return parser


def _show_help(parser: argparse.ArgumentParser) -> int:
    """Nothing was asked for: show what could be."""
    parser.print_help(sys.stderr)
    return 2


_MOUNT_HELP = """\
Mount the storage of PRINTER on the empty folder MOUNTPOINT. Returns once the folder can be used; the mount goes on in
the background until it is unmounted.

The access code stands on the printer's screen under Settings, LAN only mode. It is read from --access-code-file, from a
systemd credential named access_code, from the environment variable BAMBU_ACCESS_CODE, or from config.toml, never from
an argument, where every user of the computer could see it. All options can stand in config.toml (see bambufs config).
"""

_MOUNT_OPTIONS = """\
options for -o, separated by commas:
  ro, rw             the same as --read-only, and its opposite
  retry              keep trying while the printer is switched off, instead of giving up
  allow_other        let other users of this computer in (needs user_allow_other in /etc/fuse.conf)
  uid=N, gid=N       who owns everything in the mount (you)
  umask=NNN          permissions to take away (022)
  tls_ca=FILE        the authority's certificates for --tls-trust ca
  url_template=URL   how the printer is told where a file is, when its model's own form fails; with {path} once,
                     as in ftp:///{path} or file:///sdcard/{path}
  drop_folder=NAME   the same as --drop-folder
  sessions=N         how many connections to the printer at most (3; P1 and A1 models take one)
  careful            ask the printer one thing at a time, and nothing before it is needed: slower, for one that trips
  cache_size=SIZE    how much of what was read to keep on this computer (2G)
  nonempty           mount over a folder that is not empty
  fuse=2, fuse=3     which libfuse to use (3 where it is installed)
  _netdev, x-... and the like, as in /etc/fstab, are accepted and have no effect

exit codes:
  0 mounted   1 something else   2 wrong usage   3 wrong access code   4 printer unreachable
  5 bad mount point   6 no FUSE   7 certificate refused   8 printer busy
"""


def _add_mount(commands: _Commands) -> None:
    parser = commands.add_parser(
        "mount",
        help="mount a printer on a folder",
        description=_MOUNT_HELP,
        epilog=_MOUNT_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_printer(parser)
    where = "an empty folder (the printer's mountpoint in config.toml)"
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, nargs="?", help=where)
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground, and log to the terminal")
    _add_settings(parser, for_mounts=True)
    _add_connection(parser)
    parser.set_defaults(run=mount.run)


def _add_printer(parser: argparse.ArgumentParser) -> None:
    what = "its name in config.toml, or its address, or - to take it from BAMBU_IP"
    parser.add_argument("printer", metavar="PRINTER", help=what)


def _add_connection(parser: argparse.ArgumentParser) -> None:
    """What every command that speaks to a printer has to know."""
    _add_settings(parser, for_mounts=False)
    parser.add_argument("-o", dest="options", metavar="OPTIONS", action="append", default=[], help="see below")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log every step")


def _add_settings(parser: argparse.ArgumentParser, *, for_mounts: bool) -> None:
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


def _add_unmount(commands: _Commands) -> None:
    text = "Unmount MOUNTPOINT, and wait until everything written to it has reached the printer."
    parser = commands.add_parser("unmount", help="unmount a folder", description=text)
    what = "the folder that a printer is mounted on, or the printer's name in config.toml"
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, help=what)
    parser.set_defaults(run=unmount.run)


_PRINT_HELP = """\
Print FILE, a sliced 3MF (.gcode.3mf), without mounting anything. A file of this computer is checked, copied into the
printer's folder /cache, and printed. A file on the printer's card is checked and printed where it is: write its path
with printer: before it, as in printer:/cache/benchy.gcode.3mf; a path that begins with / and is not there on this
computer is taken for one on the card, too. Returns once the print has started, or with --watch once it has ended.
"""

_CONNECTION_OPTIONS = """\
options for -o, separated by commas: tls_ca=FILE, url_template=URL, as for bambufs mount

exit codes:
  0 done   1 refused, failed or something else   2 wrong usage   3 wrong access code   4 printer unreachable
  7 certificate refused   8 printer busy
"""


def _add_print(commands: _Commands) -> None:
    parser = commands.add_parser(
        "print",
        help="print a file",
        description=_PRINT_HELP,
        epilog=_CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_printer(parser)
    parser.add_argument("file", metavar="FILE", help="a sliced file of this computer, or printer:PATH")
    parser.add_argument("--plate", type=int, metavar="N", help="which plate (the first that is sliced)")
    ams = "auto (by material and colour, the default), yes, no, or a tray for each filament, as in A1,B2,-"
    parser.add_argument("--ams", default="auto", metavar="auto|yes|no|TRAYS", help=ams)
    parser.add_argument("--timelapse", action="store_true", help="record a timelapse")
    parser.add_argument("--bed-type", choices=BED_TYPES, default="auto", metavar="TYPE", help=", ".join(BED_TYPES))
    parser.add_argument("--watch", action="store_true", help="follow the print to its end")
    _add_connection(parser)
    parser.set_defaults(run=_later("print"))


def _add_status(commands: _Commands) -> None:
    parser = commands.add_parser(
        "status",
        help="show what a printer is doing",
        description="Show what PRINTER is doing: its job, temperatures, filaments and errors.",
        epilog=_CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_printer(parser)
    parser.add_argument("--watch", action="store_true", help="go on showing it until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="as JSON; with --watch one line for each change")
    _add_connection(parser)
    parser.set_defaults(run=_later("status"))


def _add_trust(commands: _Commands) -> None:
    text = (
        "Forget the certificate that is remembered for PRINTER, so that the next mount remembers the one it then "
        "shows. Do this after the printer was reset, repaired or replaced."
    )
    parser = commands.add_parser("trust", help="accept a printer's new certificate", description=text)
    parser.add_argument("printer", metavar="PRINTER", help="its name, serial or address")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="as given to mount (~/.cache/bambufs)")
    parser.set_defaults(run=trust.run)


_CONFIG_HELP = """\
Printers can be kept in a file, so that a name is enough: bambufs mount garage. The file is
~/.config/bambufs/config.toml (for services /etc/bambufs/config.toml), is written by bambufs setup, and may be edited.
What an argument or an environment variable says comes before the printer's table in it, that before its [defaults],
and that before what is built in.
"""

_CONFIG_PARTS = (
    ("show", "tell what is in force, and who said so"),
    ("check", "find mistakes in the configuration files"),
    ("example", "print a configuration file with every setting"),
)


def _add_config(commands: _Commands) -> None:
    parser = commands.add_parser(
        "config",
        help="show or check what is configured",
        description=_CONFIG_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda args: _show_help(parser))
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=_Parser)
    for name, text in _CONFIG_PARTS:
        description = f"{text[0].upper()}{text[1:]}. Access codes are never shown."
        part = parts.add_parser(name, help=text, description=description)
        if name != "example":
            part.add_argument("printer", metavar="PRINTER", nargs="?", help="this one only (every one)")
            part.add_argument("--json", action="store_true", help="as JSON")
        part.set_defaults(run=_later("config", f"run_{name}"))


_DISCOVER_HELP = """\
Show the printers in this network: name, model, serial number, address, strength of the Wi-Fi signal, and under which
name bambufs knows them. Printers announce themselves every few seconds.
"""


def _add_discover(commands: _Commands) -> None:
    parser = commands.add_parser("discover", help="find the printers in this network", description=_DISCOVER_HELP)
    parser.add_argument("--timeout", type=_seconds, default=10.0, metavar="SECONDS", help="how long to listen (10)")
    parser.add_argument("--port", type=_port, default=2021, metavar="N", help="the UDP port to listen at (2021)")
    parser.add_argument("--json", action="store_true", help="as JSON, at the end")
    parser.set_defaults(run=_later("discover"))


_CHECK_HELP = """\
Find out what works and what does not, and what to do about it: whether this computer can mount, and, when PRINTER is
named, whether the printer can be reached, lets us in, stores a small file and gives it back, and can be told to print.
Nothing on the printer is changed, apart from that small file, which is removed again.
"""

_CHECK_CODES = """\
options for -o, separated by commas: tls_ca=FILE, as for bambufs mount

exit codes, of the first thing that is wrong:
  0 nothing   1 something else   2 wrong usage   3 wrong access code   4 printer unreachable
  5 bad mount point   6 no FUSE   7 certificate refused   8 printer busy
"""


def _add_check(commands: _Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="find out what is wrong",
        description=_CHECK_HELP,
        epilog=_CHECK_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "its name in config.toml, or its address, or - to take it from BAMBU_IP; without it this computer only"
    parser.add_argument("printer", metavar="PRINTER", nargs="?", help=what)
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--no-write", action="store_true", help="do not write to the printer, not even a small file")
    _add_connection(parser)
    parser.set_defaults(run=_later("check"))


def _seconds(text: str) -> float:
    """A number of seconds, for argparse."""
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, as in 5") from None


def _port(text: str) -> int:
    """A port, for argparse."""
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; a port is a number from 1 to 65535")
    return int(text)


def _add_demo(commands: _Commands) -> None:
    text = (
        "Try bambufs without a printer: starts a simulated one on this computer, mounts it, says what to try, and "
        "cleans everything up on Ctrl-C."
    )
    parser = commands.add_parser("demo", help="try it on a simulated printer", description=text)
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, nargs="?", help="a folder (a temporary one)")
    kinds = "vsftpd behaves like an X1, P2S or H2 (the default), esp32 like a P1 or A1"
    parser.add_argument("--family", choices=("vsftpd", "esp32"), default="vsftpd", help=kinds)
    parser.add_argument("--once", action="store_true", help="do not wait: copy, list, compare, and clean up")
    parser.set_defaults(run=_later("demo"))


def _add_simulate(commands: _Commands, with_simulator: bool) -> None:
    text = "Run a simulated printer on this computer, for trying things out and for tests."
    parser = commands.add_parser("simulate", help="run a simulated printer", description=text)
    if with_simulator:
        simulate.add_arguments(parser)
    parser.set_defaults(run=simulate.run)
