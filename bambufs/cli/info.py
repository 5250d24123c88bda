"""`bambufs info`: what is in a sliced 3MF file."""

from __future__ import annotations

import argparse
import io
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import UsageError
from ..printer.models import find_model
from ..printer.sliceinfo import Filament, Plate
from ..printer.threemf import ThreeMF
from .client import bar, connected, tell

_PICTURE_COLUMNS = 32


def run(args: argparse.Namespace) -> int:
    """Show it; returns the exit code. Raises `InvalidJob` for what is no 3MF."""
    with _opened(args) as file:
        threemf = ThreeMF(file, args.file)
        title, plates = threemf.title(), threemf.plates
        picture = threemf.thumbnail(plates[0] if plates else Plate(1))
        tell(args, _as_json(threemf, title, plates))
    if args.thumbnail:
        _save(args, picture)
    if not args.json:
        _show(Console(), threemf, title, plates, picture)
    return 0


@contextmanager
def _opened(args: argparse.Namespace) -> Iterator[BinaryIO]:
    """The file of this computer, or the printer's where a name and a colon stand before it."""
    local = Path(args.file).expanduser()
    remote = re.fullmatch(r"([^/:]+|\[[0-9A-Fa-f:.]+\]):(.+)", args.file)
    if local.exists() or remote is None:
        if local.is_dir():
            raise UsageError(f"{args.file} is a folder; name a sliced file (.gcode.3mf)")
        with open(local, "rb") as file:
            yield file
        return
    args.printer = remote[1].strip("[]")
    with connected(args) as printer:
        info = printer.stat(remote[2])
        is_whole = not printer.can_resume  # then all of it comes
        reading = bar(args, f"Reading {info.name}", info.size) if is_whole else nullcontext(None)
        with reading as progress, printer.open(info.path, progress=progress) as file:
            yield file


def _save(args: argparse.Namespace, picture: bytes | None) -> None:
    if picture is None:
        raise UsageError(f"{args.file} holds no picture", 1)
    Path(args.thumbnail).expanduser().write_bytes(picture)


def _as_json(threemf: ThreeMF, title: str, plates: tuple[Plate, ...]) -> dict[str, object]:
    model = find_model(threemf.printer_model_id)
    return {
        "title": title or None,
        "model": model.name if model else threemf.printer_model_id or None,
        "nozzle_mm": threemf.nozzle,
        "plates": [_plate_json(plate) for plate in plates],
    }


def _plate_json(plate: Plate) -> dict[str, object]:
    return {
        "plate": plate.number,
        "sliced": plate.has_gcode,
        "seconds": plate.seconds or None,
        "grams": plate.grams or None,
        "objects": list(plate.objects),
        "filaments": [
            {"number": one.number, "material": one.material, "color": one.color, "grams": one.grams}
            for one in plate.filaments
        ],
    }


def _show(
    console: Console, threemf: ThreeMF, title: str, plates: tuple[Plate, ...], picture: bytes | None
) -> None:
    model = find_model(threemf.printer_model_id)
    sliced_for = model.name if model else threemf.printer_model_id
    nozzle = f", nozzle {threemf.nozzle:g} mm" if threemf.nozzle else ""
    console.print(Text(title or Path(threemf.path).name, style="bold"))
    if sliced_for:
        console.print(Text(f"sliced for the {sliced_for}{nozzle}"))
    _show_picture(console, picture)
    if not any(plate.has_gcode for plate in plates):
        console.print("Not sliced yet: open it in the slicer, slice it, and export the plate as a sliced file.")
    if plates:
        console.print(_table(plates))


def _table(plates: tuple[Plate, ...]) -> Table:
    table = Table("plate", "time", "weight", "filament", "objects", box=None, padding=(0, 2, 0, 0))
    for plate in plates:
        objects = ", ".join(plate.objects[:4]) + (" ..." if len(plate.objects) > 4 else "")
        filaments = Text("\n").join(_filament(one) for one in plate.filaments)
        table.add_row(str(plate.number), duration(plate.seconds), _grams(plate.grams), filaments, Text(objects))
    return table


def _filament(filament: Filament) -> Text:
    swatch = Text("██ ", style=filament.color[:7]) if re.fullmatch(r"#[0-9A-Fa-f]{6,8}", filament.color) else Text()
    return swatch + Text(f"{filament.material or '?'} {_grams(filament.grams)}", style="default")


def _grams(grams: float) -> str:
    return f"{grams:.1f} g" if grams else "-"


def duration(seconds: int) -> str:
    """Seconds as a person says them: 2 h 05 min."""
    if not seconds:
        return "-"
    hours, minutes = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"


def _show_picture(console: Console, picture: bytes | None) -> None:
    """Show the plate where the terminal can, by kitty's or sixel graphics or by half blocks (extra ``pictures``)."""
    if picture is None or not console.is_terminal:
        return
    try:
        from PIL import Image as Pillow
        from textual_image.renderable import Image
    except ImportError:
        return
    logging.getLogger("textual_image").setLevel(logging.CRITICAL)
    with suppress(Exception):  # a picture that is none, or a terminal that tells no size: it goes without
        image = Pillow.open(io.BytesIO(picture))
        console.print(Image(image, width=min(_PICTURE_COLUMNS, console.width), height="auto"))
