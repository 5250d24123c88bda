"""The commands that set a printer up and look after it: setup, discover, config, check."""

from __future__ import annotations

import argparse
from pathlib import Path

from .parsing import CONNECTION_OPTIONS, Commands, Parser, add_connection, later, port, seconds, show_help

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


def add_config(commands: Commands) -> None:
    parser = commands.add_parser(
        "config",
        help="show or check what is configured",
        description=_CONFIG_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=lambda args: show_help(parser))
    parts = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    for name, text in _CONFIG_PARTS:
        description = f"{text[0].upper()}{text[1:]}. Access codes are never shown."
        part = parts.add_parser(name, help=text, description=description)
        if name != "example":
            part.add_argument("printer", metavar="PRINTER", nargs="?", help="this one only (every one)")
            part.add_argument("--json", action="store_true", help="as JSON")
        part.set_defaults(run=later("config", f"run_{name}"))


_DISCOVER_HELP = """\
Show the printers in this network: name, model, serial number, address, strength of the Wi-Fi signal, and under which
name bambufs knows them. Printers announce themselves every few seconds.
"""


def add_discover(commands: Commands) -> None:
    parser = commands.add_parser("discover", help="find the printers in this network", description=_DISCOVER_HELP)
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS", help="how long to listen (10)")
    parser.add_argument("--port", type=port, default=2021, metavar="N", help="the UDP port to listen at (2021)")
    parser.add_argument("--json", action="store_true", help="as JSON, at the end")
    parser.set_defaults(run=later("discover"))


_SETUP_HELP = """\
Set up a printer, so that its name is enough from then on: finds it in the network (or takes its address), asks for the
access code, which is not shown while you type it, logs in with it, remembers the printer's certificate, writes
~/.config/bambufs/config.toml, and mounts the printer, at every login if you like. Run it again for another printer, or
when the access code has changed.

Each answer can be given as an option; without a terminal nothing is asked. The access code then comes from
--access-code-file, or from the environment variable BAMBU_ACCESS_CODE.
"""


def add_setup(commands: Commands) -> None:
    parser = commands.add_parser(
        "setup",
        help="set up a printer (begin here)",
        description=_SETUP_HELP,
        epilog=CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--printer", metavar="PRINTER", help="its address, or its serial number (asked for)")
    parser.add_argument("--name", metavar="NAME", help="what it shall be called (asked for)")
    where = "the folder to mount it on, made if need be (asked for)"
    parser.add_argument("--mountpoint", type=Path, metavar="DIR", help=where)
    at_login = parser.add_mutually_exclusive_group()
    enable = "mount it whenever you log in, by a systemd unit (asked for)"
    at_login.add_argument("--enable", action="store_true", default=None, help=enable)
    at_login.add_argument("--no-enable", dest="enable", action="store_false", help="do not mount it at login")
    parser.add_argument("--keyring", action="store_true", help="keep the access code in the desktop's keyring")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what is suggested, except for --enable")
    patience = "how long to look for it (10)"
    parser.add_argument("--timeout", type=seconds, default=10.0, metavar="SECONDS", help=patience)
    parser.add_argument("--port", type=port, default=2021, metavar="N", help="the UDP port to listen at (2021)")
    add_connection(parser)
    parser.set_defaults(run=later("setup"))


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


def add_check(commands: Commands) -> None:
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
    add_connection(parser)
    parser.set_defaults(run=later("check"))
