"""Writes the manual pages and the shells' completions, from the parsers: .ci/manual.py FOLDER

FOLDER then holds man/man1/bambufs.1 and one page for each command, man/man5/bambufs.toml.5, and completion/bash, zsh
and fish.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from argparse_manpage.manpage import Manpage

from bambufs import __version__, thumbnailer
from bambufs.cli import mounthelper
from bambufs.cli.completion import completion
from bambufs.cli.parser import make_parser
from bambufs.config.example import example

_SEE_ALSO = ".SH SEE ALSO\n.BR bambufs (1),\n.BR bambufs.toml (5),\n.BR mount.bambufs (8)\n"
_CONFIG_NAME = "printers that bambufs knows by name"
_HELPER_NAME = "mount a printer by mount -t bambufs or a line of /etc/fstab"


def main(folder: Path) -> None:
    """Write everything to ``folder``."""
    parser = make_parser()
    for name, page in pages(parser):
        place = folder / "man" / f"man{name[-1]}" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page)
    place = folder / "completion"
    place.mkdir(parents=True, exist_ok=True)
    for shell in ("bash", "zsh", "fish"):
        (place / shell).write_text(completion(shell))


def pages(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Each page's file name and text."""
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    summaries = {action.dest: action.help or "" for action in commands._choices_actions}
    yield "bambufs.1", _overview(parser, summaries)
    for name, command in commands.choices.items():
        yield f"bambufs-{name}.1", _page(command, f"bambufs-{name}", summaries[name])
    yield "bambufs-thumbnailer.1", _page(thumbnailer.make_parser(), "bambufs-thumbnailer", "pictures of sliced files")
    yield "bambufs.toml.5", _verbatim("bambufs.toml", 5, _CONFIG_NAME, example())
    yield "mount.bambufs.8", _verbatim("mount.bambufs", 8, _HELPER_NAME, mounthelper.USAGE)


def _page(parser: argparse.ArgumentParser, name: str, summary: str) -> str:
    """The page of one command; its text is kept as it stands, line by line."""
    about, end = parser.description or "", parser.epilog or ""
    parser.description, parser.epilog = "ABOUT", None
    text = str(Manpage(parser, _data(name, summary), format="pretty"))
    parser.description, parser.epilog = about, end
    text = text.replace("\nABOUT\n", f"\n{_lines(about)}\n", 1)
    text = re.sub(r"^\.TH .*? \"", f'.TH "{name.upper()}" "', text, count=1)
    text = text.replace(f"\n{parser.prog} \\-", f"\n{name} \\-", 1)  # as man -k wants it
    return text + (f".SH NOTES\n{_lines(end)}\n" if end else "") + _SEE_ALSO


def _overview(parser: argparse.ArgumentParser, summaries: dict[str, str]) -> str:
    names = "".join(f".TP\n.BR bambufs\\-{name} (1)\n{_escaped(text)}\n" for name, text in summaries.items())
    head = _head("bambufs", 1, "a Bambu Lab 3D printer's storage as a folder")
    about = f".SH DESCRIPTION\n{_lines(parser.description or '')}\n.SH COMMANDS\n{names}"
    end = f".SH NOTES\n{_lines(parser.epilog or '')}\n{_SEE_ALSO}"
    return f"{head}.SH SYNOPSIS\n.B bambufs\nCOMMAND ...\n{about}{end}"


def _verbatim(name: str, section: int, summary: str, text: str) -> str:
    return f"{_head(name, section, summary)}.SH DESCRIPTION\n{_lines(text)}\n{_SEE_ALSO}"


def _head(name: str, section: int, summary: str) -> str:
    return f'.TH "{name.upper()}" "{section}" "" "bambufs {__version__}"\n.SH NAME\n{name} \\- {_escaped(summary)}\n'


def _data(name: str, summary: str) -> dict[str, object]:
    title = {"project_name": "bambufs", "manual_title": "bambufs", "version": __version__}
    return {"prog": name, "description": summary, **title}


def _lines(text: str) -> str:
    """``text`` as it stands: paragraphs flow, lines that are set in keep their place."""
    blocks = re.split(r"\n\s*\n", text.strip("\n"))
    return "\n.PP\n".join(_block(block) for block in blocks)


def _block(block: str) -> str:
    kept = any(line.startswith((" ", "[", "#")) for line in block.splitlines())
    lines = "\n".join(_escaped(line) for line in block.splitlines())
    return f".nf\n{lines}\n.fi" if kept else lines


def _escaped(line: str) -> str:
    safe = line.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe


if __name__ == "__main__":
    main(Path(sys.argv[1]))
