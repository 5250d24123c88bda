"""The commands for everyday jobs without a mount, and their options."""

from __future__ import annotations

import argparse

from .parsing import CONNECTION_OPTIONS, Commands, add_connection, add_printer, later

_LS_HELP = """\
Show what is in a folder of PRINTER's card: size, date, name; folders with a slash. * and ? in the last name of a path
stand for any letters; put such a path in quotes.
"""
_GET_HELP = """\
Copy files from PRINTER to this computer: bambufs get garage /timelapse/video.avi ~/Videos. The last name is the
destination when there is more than one, else it is the folder you are in. A file appears there when it is whole. What
was fetched of one that broke off is kept in a hidden file beside it, and the same command goes on from there (P1 and
A1 printers cannot do that: they begin anew). * and ? in the last name of a path stand for any letters.
"""
_PUT_HELP = """\
Copy files of this computer to PRINTER: bambufs put garage benchy.gcode.3mf /cache. The last name is the destination, a
folder or a new name. A file appears on the printer when it is whole; what was there before stays until then.
"""
_RM_HELP = """\
Delete files on PRINTER, with -r folders and all that is in them. There is no way back. * and ? in the last name of a
path stand for any letters; put such a path in quotes.
"""
_TIMELAPSE_HELP = """\
Copy PRINTER's timelapse videos to the folder DEST: those that are finished (the printer has made a picture of them),
and that were not fetched before. --latest, --all and --since choose among them; without these all are copied.
"""
_CLEAN_HELP = """\
Delete old timelapse videos (with their pictures) on PRINTER, or with --cache old print files in its folder /cache. Say
which may go: --older-than, --keep, or both, and then those go that both allow. --dry-run only shows them. Ages are by
the printer's clock, which may be wrong on P1 and A1 printers that are not in the internet. A video that is still being
recorded and a file that is being printed are left alone.
"""
_INFO_HELP = """\
Show what is in FILE, a sliced 3MF: plates, time, filament, weight, and for which printer. FILE is on this computer (or
in a mount), or on a printer, as in garage:/cache/benchy.gcode.3mf.
"""


def add_jobs(commands: Commands) -> None:

    def begin(name: str, summary: str, text: str, *, has_printer: bool = True) -> argparse.ArgumentParser:
        parser = commands.add_parser(
            name,
            help=summary,
            description=text,
            epilog=CONNECTION_OPTIONS,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if has_printer:
            add_printer(parser)
        parser.set_defaults(run=later(name))
        return parser

    made = [
        _ls(begin("ls", "list files on a printer", _LS_HELP)),
        _get(begin("get", "copy files from a printer", _GET_HELP)),
        _put(begin("put", "copy files to a printer", _PUT_HELP)),
        _rm(begin("rm", "delete files on a printer", _RM_HELP)),
        _mkdir(begin("mkdir", "make folders on a printer", "Make folders on PRINTER, with -p also those above them.")),
        _mv(begin("mv", "rename or move files on a printer", "Rename or move files and folders on PRINTER.")),
        _timelapse(begin("timelapse", "fetch timelapse videos", _TIMELAPSE_HELP)),
        _clean(begin("clean", "delete old videos or print files", _CLEAN_HELP)),
        _info(begin("info", "show what is in a sliced file", _INFO_HELP, has_printer=False)),
    ]
    for parser in made:
        parser.add_argument("--json", action="store_true", help="tell it as JSON")
        add_connection(parser)


def _ls(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("paths", metavar="PATH", nargs="*", default=["/"], help="folders or files (the top folder)")
    return parser


def _get(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="files on the printer, then the destination")
    parser.add_argument("-r", "--recursive", action="store_true", help="folders, too")
    return parser


def _put(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("files", metavar="FILE", nargs="+", help="files of this computer")
    parser.add_argument("target", metavar="DEST", help="a folder on the printer, or a new name")
    parser.add_argument("-r", "--recursive", action="store_true", help="folders, too")
    parser.add_argument("-n", "--no-clobber", action="store_true", help="replace nothing that is there")
    return parser


def _rm(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="what to delete")
    parser.add_argument("-r", "--recursive", action="store_true", help="folders and all that is in them, too")
    parser.add_argument("-f", "--force", action="store_true", help="no complaint about what is not there")
    return parser


def _mkdir(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="the new folders")
    parser.add_argument("-p", "--parents", action="store_true", help="those above, too; no complaint if it is there")
    return parser


def _mv(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("paths", metavar="PATH", nargs="+", help="what to rename or move")
    parser.add_argument("target", metavar="DEST", help="the new name, or a folder to move it to")
    parser.add_argument("-n", "--no-clobber", action="store_true", help="replace nothing that is there")
    return parser


def _timelapse(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("target", metavar="DEST", help="a folder of this computer, made if need be")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--latest", action="store_true", help="the newest one only")
    which.add_argument("--all", action="store_true", help="all, also those that were fetched before")
    which.add_argument("--since", metavar="DATE", help="those from then on: 2025-06-15, or an age such as 7d")
    return parser


def _clean(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("--cache", action="store_true", help="print files in /cache, instead of timelapse videos")
    parser.add_argument("--older-than", metavar="AGE", help="what is older: 12h, 30d, 4w, 1y, or than a date")
    parser.add_argument("--keep", type=int, metavar="N", help="all but the newest N")
    parser.add_argument("--dry-run", action="store_true", help="delete nothing, show what would go")
    return parser


def _info(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("file", metavar="FILE", help="a sliced 3MF, or PRINTER:PATH")
    parser.add_argument("--thumbnail", metavar="FILE", help="write the first plate's picture (PNG) to FILE")
    return parser
