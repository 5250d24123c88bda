"""The commands and their options, with help for the owner of a printer."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import __version__
from ..printer.request import BED_TYPES
from . import mount, parser_home, parser_jobs, simulate, trust, unmount
from .parsing import CONNECTION_OPTIONS, Commands, Parser, add_connection, add_printer, add_settings, later, show_help

_OVERVIEW = """\
Mounts the storage of a Bambu Lab 3D printer as a folder: browse it in a file manager, copy to and from it, open a 3MF
or a timelapse in place, and start a print by writing its name into a file.
"""

_EXAMPLE = """\
example:
  bambufs setup                     (finds your printer, asks for its access code, gives it a name: garage, say)
  bambufs mount garage
  cp benchy.gcode.3mf ~/printer/cache/
  echo cache/benchy.gcode.3mf > ~/printer/.bambufs/print
  bambufs unmount garage

Something does not work? bambufs check garage
No printer at hand? bambufs demo
"""


def make_parser(*, with_simulator: bool = True) -> argparse.ArgumentParser:
    """The whole command line. ``with_simulator`` loads the simulated printer for the options of its command."""
    parser = Parser(
        prog="bambufs",
        description=_OVERVIEW,
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"bambufs {__version__}")
    parser.set_defaults(run=lambda args: show_help(parser))
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    parser_home.add_setup(commands)
    _add_mount(commands)
    _add_unmount(commands)
    _add_print(commands)
    _add_status(commands)
    parser_jobs.add_jobs(commands)
    _add_recover(commands)
    parser_home.add_check(commands)
    parser_home.add_discover(commands)
    parser_home.add_config(commands)
    _add_trust(commands)
    _add_completion(commands)
    _add_demo(commands)
    _add_simulate(commands, with_simulator)
    return parser


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
  write_back=SECONDS the same as --write-back
  sessions=N         how many connections to the printer at most (3; P1 and A1 models take one)
  careful            ask the printer one thing at a time, and nothing before it is needed: slower, for one that trips
  cache_size=SIZE    how much of what was read to keep on this computer (2G)
  spool_size=SIZE    how much room files may take here that are being written, or have to be sent yet (all that is free)
  listing_entries=N  how many files of the card's folders to remember (200000)
  log_size=SIZE      when the log begins anew; the last two are kept (2M)
  nonempty           mount over a folder that is not empty
  fuse=2, fuse=3     which libfuse to use (3 where it is installed)
  _netdev, x-... and the like, as in /etc/fstab, are accepted and have no effect

exit codes:
  0 mounted   1 something else   2 wrong usage   3 wrong access code   4 printer unreachable
  5 bad mount point   6 no FUSE   7 certificate refused   8 printer busy   9 a fault in bambufs itself
"""


def _add_mount(commands: Commands) -> None:
    parser = commands.add_parser(
        "mount",
        help="mount a printer on a folder",
        description=_MOUNT_HELP,
        epilog=_MOUNT_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_printer(parser)
    where = "an empty folder (the printer's mountpoint in config.toml)"
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, nargs="?", help=where)
    parser.add_argument("--foreground", action="store_true", help="stay in the foreground, and log to the terminal")
    add_settings(parser, for_mounts=True)
    add_connection(parser)
    parser.set_defaults(run=mount.run)


def _add_unmount(commands: Commands) -> None:
    text = "Unmount MOUNTPOINT, and wait until everything written to it has reached the printer."
    parser = commands.add_parser("unmount", help="unmount a folder", description=text)
    what = "the folder that a printer is mounted on, or the printer's name in config.toml"
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, help=what)
    parser.set_defaults(run=unmount.run)


_RECOVER_HELP = """\
What was written to a mount of PRINTER and has not reached it is kept on this computer: files that wait to be sent
(after a crash, or with --write-back), and files that could not be sent (lost+found). Without further options this lists
them. It needs no mount, and refuses while there is one: there, .bambufs/transfers tells.
"""


def _add_recover(commands: Commands) -> None:
    parser = commands.add_parser(
        "recover",
        help="list, send, copy or delete what has not reached a printer",
        description=_RECOVER_HELP,
        epilog=CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_printer(parser)
    parser.add_argument("which", metavar="FILE", nargs="*", help="a number of the list, or a path (all of them)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list them (the default)")
    retry = "send them now; a file that has changed on the printer is kept beside yours"
    what.add_argument("--retry", dest="send", action="store_true", help=retry)
    what.add_argument("--export", metavar="DIR", type=Path, help="copy them into a folder")
    discard = "delete them for good: those that are named, or all with --all"
    what.add_argument("--discard", action="store_true", help=discard)
    parser.add_argument("--all", action="store_true", help="with --discard: all of them")
    parser.add_argument("--json", action="store_true", help="tell it as JSON")
    add_connection(parser)
    parser.set_defaults(run=later("recover"))


_PRINT_HELP = """\
Print FILE, a sliced 3MF (.gcode.3mf), without mounting anything. A file of this computer is checked, copied into the
printer's folder /cache, and printed. A file on the printer's card is checked and printed where it is: write its path
with printer: before it, as in printer:/cache/benchy.gcode.3mf; a path that begins with / and is not there on this
computer is taken for one on the card, too. Returns once the print has started, or with --watch once it has ended.
"""

def _add_print(commands: Commands) -> None:
    parser = commands.add_parser(
        "print",
        help="print a file",
        description=_PRINT_HELP,
        epilog=CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_printer(parser)
    parser.add_argument("file", metavar="FILE", help="a sliced file of this computer, or printer:PATH")
    parser.add_argument("--plate", type=int, metavar="N", help="which plate (the first that is sliced)")
    ams = "auto (by material and colour, the default), yes, no, or a tray for each filament, as in A1,B2,-"
    parser.add_argument("--ams", default="auto", metavar="auto|yes|no|TRAYS", help=ams)
    parser.add_argument("--timelapse", action="store_true", help="record a timelapse")
    parser.add_argument("--bed-type", choices=BED_TYPES, default="auto", metavar="TYPE", help=", ".join(BED_TYPES))
    parser.add_argument("--watch", action="store_true", help="follow the print to its end")
    add_connection(parser)
    parser.set_defaults(run=later("print"))


def _add_status(commands: Commands) -> None:
    parser = commands.add_parser(
        "status",
        help="show what a printer is doing",
        description="Show what PRINTER is doing: its job, temperatures, filaments and errors.",
        epilog=CONNECTION_OPTIONS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_printer(parser)
    parser.add_argument("--watch", action="store_true", help="go on showing it until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="as JSON; with --watch one line for each change")
    add_connection(parser)
    parser.set_defaults(run=later("status"))


def _add_trust(commands: Commands) -> None:
    text = (
        "Forget the certificate that is remembered for PRINTER, so that the next mount remembers the one it then "
        "shows. Do this after the printer was reset, repaired or replaced."
    )
    parser = commands.add_parser("trust", help="accept a printer's new certificate", description=text)
    parser.add_argument("printer", metavar="PRINTER", help="its name, serial or address")
    parser.add_argument("--cache-dir", type=Path, metavar="DIR", help="as given to mount (~/.cache/bambufs)")
    parser.set_defaults(run=trust.run)


_COMPLETION_HELP = """\
Print what makes a shell complete bambufs' commands and options when you press Tab. The Debian package brings it; else:
  bash   bambufs completion bash > ~/.local/share/bash-completion/completions/bambufs
  fish   bambufs completion fish > ~/.config/fish/completions/bambufs.fish
  zsh    bambufs completion zsh > a file named _bambufs in a folder of $fpath
"""


def _add_completion(commands: Commands) -> None:
    parser = commands.add_parser(
        "completion",
        help="let a shell complete commands and options",
        description=_COMPLETION_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="which shell")
    parser.set_defaults(run=later("completion"))


def _add_demo(commands: Commands) -> None:
    text = (
        "Try bambufs without a printer: starts a simulated one on this computer, mounts it, says what to try, and "
        "cleans everything up on Ctrl-C."
    )
    parser = commands.add_parser("demo", help="try it on a simulated printer", description=text)
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", type=Path, nargs="?", help="a folder (a temporary one)")
    kinds = "vsftpd behaves like an X1, P2S or H2 (the default), esp32 like a P1 or A1"
    parser.add_argument("--family", choices=("vsftpd", "esp32"), default="vsftpd", help=kinds)
    parser.add_argument("--once", action="store_true", help="do not wait: copy, list, compare, and clean up")
    parser.set_defaults(run=later("demo"))


def _add_simulate(commands: Commands, with_simulator: bool) -> None:
    text = "Run a simulated printer on this computer, for trying things out and for tests."
    parser = commands.add_parser("simulate", help="run a simulated printer", description=text)
    if with_simulator:
        simulate.add_arguments(parser)
    parser.set_defaults(run=simulate.run)
