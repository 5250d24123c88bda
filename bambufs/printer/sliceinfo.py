"""The XML inside a sliced 3MF: `Metadata/slice_info.config` and the title in `3D/3dmodel.model`.

Pure: bytes in, frozen values out. Any document type declaration is refused, since no slicer writes one
and entities are how XML bombs are built; numbers that are not numbers are taken as unknown.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field, replace
from xml.parsers import expat

from bambufs.errors import InvalidJob

_MAX_PLATES = 1000
_MAX_ITEMS = 5000
"""Objects or filaments of one plate that are kept; a real plate has a few dozen."""
_MAX_TEXT = 1024


@dataclass(frozen=True)
class Filament:
    """One filament that a plate uses; ``number`` counts the project's filaments from 1."""

    number: int
    material: str
    color: str
    grams: float = 0.0
    tray_info_idx: str = ""


@dataclass(frozen=True)
class Plate:
    """One plate: ``seconds`` and ``grams`` are the slicer's forecast, 0 when it gave none."""

    number: int
    has_gcode: bool = False
    gcode_size: int = 0
    seconds: int = 0
    grams: float = 0.0
    printer_model_id: str = ""
    nozzle_diameters: tuple[float, ...] = ()
    objects: tuple[str, ...] = ()
    filaments: tuple[Filament, ...] = ()

    def with_gcode(self, size: int) -> Plate:
        """This plate, once its gcode of ``size`` bytes (unpacked) has been found."""
        return replace(self, has_gcode=True, gcode_size=size)


@dataclass(frozen=True)
class SliceInfo:
    """What the slicer noted, by plate."""

    plates: tuple[Plate, ...] = ()


@dataclass
class _Draft:
    """A plate while its elements come in."""

    notes: dict[str, str] = field(default_factory=dict)
    objects: list[str] = field(default_factory=list)
    filaments: list[Filament] = field(default_factory=list)

    def plate(self, position: int) -> Plate:
        notes = self.notes
        return Plate(
            number=_whole(notes.get("index", ""), position),
            seconds=_whole(notes.get("prediction", "")),
            grams=_number(notes.get("weight", "")),
            printer_model_id=notes.get("printer_model_id", "").strip(),
            nozzle_diameters=_diameters(notes.get("nozzle_diameters", "")),
            objects=tuple(self.objects),
            filaments=tuple(sorted(self.filaments, key=lambda filament: filament.number)),
        )


class _SliceInfoReader:
    """Collects plates from expat's events."""

    def __init__(self) -> None:
        self.drafts: list[_Draft] = []
        self._inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "plate" and len(self.drafts) < _MAX_PLATES:
            self.drafts.append(_Draft())
            self._inside = True
        elif self._inside:
            self._element(
                self.drafts[-1], name, {key: value[:_MAX_TEXT] for key, value in attributes.items()}
            )

    def end(self, name: str) -> None:
        if name == "plate":
            self._inside = False

    @staticmethod
    def _element(draft: _Draft, name: str, attributes: dict[str, str]) -> None:
        if name == "metadata" and len(draft.notes) < _MAX_ITEMS:
            draft.notes[attributes.get("key", "")] = attributes.get("value", "")
        elif name == "object" and len(draft.objects) < _MAX_ITEMS:
            draft.objects.append(attributes.get("name", ""))
        elif name == "filament" and len(draft.filaments) < _MAX_ITEMS:
            draft.filaments.append(_filament(attributes, len(draft.filaments) + 1))


class _TitleReader:
    """Collects the text of ``<metadata name="Title">``."""

    def __init__(self) -> None:
        self.title = ""
        self._inside = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._inside = name.rpartition(":")[2] == "metadata" and attributes.get("name") == "Title"

    def end(self, _name: str) -> None:
        self._inside = False

    def text(self, data: str) -> None:
        if self._inside and len(self.title) < _MAX_TEXT:
            self.title += data


class _Doctype(Exception):
    """A document type declaration was met."""


_UNREADABLE = (_Doctype, expat.ExpatError, ValueError, LookupError)
"""What a parser may raise; the last one for an encoding that nobody knows."""


def parse_slice_info(data: bytes, path: str) -> SliceInfo:
    """The plates described in ``data``; none when it is empty.

    Raises `InvalidJob` about ``path`` when it is not well-formed or declares a document type.
    """
    if not data:
        return SliceInfo()
    reader = _SliceInfoReader()
    parser = _parser()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    try:
        parser.Parse(data, True)
    except _UNREADABLE as error:
        raise InvalidJob(
            "What the slicer noted in it (slice_info.config) cannot be read; export it from the slicer again.",
            path,
        ) from error
    return SliceInfo(tuple(draft.plate(position) for position, draft in enumerate(reader.drafts, 1)))


def parse_title(head: bytes) -> str:
    """The title in the first bytes of a 3dmodel.model, or an empty string.

    The head may break off anywhere, and a file whose model is strange can still be printed, so this
    never raises.
    """
    reader = _TitleReader()
    parser = _parser()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    with contextlib.suppress(*_UNREADABLE):
        parser.Parse(head, False)
    return " ".join(reader.title.split())


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _refuse_doctype(*_declaration: object) -> None:
    raise _Doctype


def _filament(attributes: dict[str, str], position: int) -> Filament:
    return Filament(
        number=_whole(attributes.get("id", ""), position),
        material=attributes.get("type", ""),
        color=attributes.get("color", ""),
        grams=_number(attributes.get("used_g", "")),
        tray_info_idx=attributes.get("tray_info_idx", ""),
    )


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value >= 0 else 0.0


def _whole(text: str, otherwise: int = 0) -> int:
    value = _number(text)
    return int(value) if 0 < value < 1 << 31 else otherwise


def _diameters(text: str) -> tuple[float, ...]:
    return tuple(value for value in map(_number, text.replace(",", " ").split()) if value)
