"""The commands and their options, with help for the owner of a printer."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, TypeAlias

from .. import __version__
from ..config import FTPS_PORT, MQTT_PORT, TRUST_MODES
from . import demo, mount, simulate, trust, unmount

_OVERVIEW = """\
Mounts the storage of a Bambu Lab 3D printer as a folder: browse it in a file manager, copy to and from it, open a 3MF
or a timelapse in place.
"""

_EXAMPLE = """\
example:
  bambufs mount 192.168.1.50 ~/printer --access-code-file ~/.config/bambufs/code
  cp benchy.gcode.3mf ~/printer/cache/
  bambufs unmount ~/printer

No printer at hand? bambufs demo
"""


class _Parser(argparse.ArgumentParser):
    """A command's parser. Options must be written out: --access-code CODE must not pass for --access-code-file."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def make_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="bambufs",
        description=_OVERVIEW,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bambufs {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _add_mount(commands)
    _add_unmount(commands)
    _add_trust(commands)
    _add_demo(commands)
    _add_simulate(commands)
    return parser


_MOUNT_HELP = """\
Mount the storage of PRINTER on the empty folder MOUNTPOINT. Returns once the folder can be used; the mount goes on in
the background until it is unmounted.

The access code stands on the printer's screen under Settings, LAN only mode. It is read from --access-code-file, from a
systemd credential named access_code, or from the environment variable BAMBU_ACCESS_CODE, never from an argument, where
every user of the computer could see it.
"""

_MOUNT_OPTIONS = """\
options for -o, separated by commas:
  ro                 the same as --read-only
  retry              keep trying while the printer is switched off, instead of giving up
  allow_other        let other users of this computer in (needs user_allow_other in /etc/fuse.conf)
  uid=N, gid=N       who owns everything in the mount (you)
  umask=NNN          permissions to take away (022)
  tls_ca=FILE        the authority's certificates for --tls-trust ca
  sessions=N         how many connections to the printer at most (3; P1 and A1 models take one)
  cache_size=SIZE    how much of what was read to keep on this computer (2G)
  nonempty           mount over a folder that is not empty
  fuse=2, fuse=3     which libfuse to use (3 where it is installed)
  _netdev, x-... and the like, as in /etc/fstab, are accepted and have no effect

exit codes:
  0 mounted   1 something else   2 wrong usage   3 wrong access code   4 printer unreachable
  5 bad mount point   6 no FUSE   7 certificate refused   8 printer busy
"""


_TRUST_HELP = "how to check its certificate: remember the first one seen (the default), by an authority, or not at all"
_SIZE_HELP = "the size of its card, which it does not tell (32G); for the free space that file managers show"


def _add_mount(commands: _Commands) -> None:
    parser = commands.add_parser(
        "mount",
        help="mount a printer on a folder",
        description=_MOUNT_HELP,
        epilog=_MOUNT_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("printer", metavar="PRINTER", help="its address, or - to take it from BAMBU_IP")
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, help="an empty folder")
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground, and log to the terminal")
    parser.add_argument("-o", dest="options", metavar="OPTIONS", action="append", default=[], help="see below")
    parser.add_argument("--read-only", action="store_true", help="refuse every change")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="for temporary files (~/.cache/bambufs)")
    parser.add_argument("--ftps-port", type=int, default=FTPS_PORT, metavar="N", help=f"its file port ({FTPS_PORT})")
    parser.add_argument("--mqtt-port", type=int, default=MQTT_PORT, metavar="N", help=f"its control port ({MQTT_PORT})")
    parser.add_argument("--serial", metavar="SERIAL", help="its serial number (else BAMBU_DEVICE_ID)")
    parser.add_argument("--access-code-file", type=Path, metavar="FILE", help="a file that only you can read")
    parser.add_argument("--tls-trust", choices=TRUST_MODES, default="first-use", help=_TRUST_HELP)
    parser.add_argument("--ttl", type=float, default=5.0, metavar="SECONDS", help="how long a listing counts (5)")
    parser.add_argument("--card-size", default="32G", metavar="SIZE", help=_SIZE_HELP)
    parser.add_argument("--uid", type=int, metavar="N", help="who owns everything in the mount (you)")
    parser.add_argument("--gid", type=int, metavar="N", help="which group owns it (yours)")
    parser.add_argument("--umask", type=lambda text: int(text, 8), metavar="NNN", help="permissions to take away (022)")
    parser.add_argument("--list-control", action="store_true", help="show the folder .bambufs in listings")
    parser.add_argument("--log-file", type=Path, metavar="FILE", help="where to log")
    parser.add_argument("-v", "--verbose", action="count", default=0, help="log every step")
    parser.set_defaults(run=mount.run)


def _add_unmount(commands: _Commands) -> None:
    text = "Unmount MOUNTPOINT, and wait until everything written to it has reached the printer."
    parser = commands.add_parser("unmount", help="unmount a folder", description=text)
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, help="the folder that a printer is mounted on")
    parser.set_defaults(run=unmount.run)


def _add_trust(commands: _Commands) -> None:
    text = (
        "Forget the certificate that is remembered for PRINTER, so that the next mount remembers the one it then "
        "shows. Do this after the printer was reset, repaired or replaced."
    )
    parser = commands.add_parser("trust", help="accept a printer's new certificate", description=text)
    parser.add_argument("printer", metavar="PRINTER", help="its serial or address, as the mount was given it")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="as given to mount (~/.cache/bambufs)")
    parser.set_defaults(run=trust.run)


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
    parser.set_defaults(run=demo.run)


def _add_simulate(commands: _Commands) -> None:
    text = "Run a simulated printer on this computer, for trying things out and for tests."
    parser = commands.add_parser("simulate", help="run a simulated printer", description=text)
    simulate.add_arguments(parser)
    parser.set_defaults(run=simulate.run)
