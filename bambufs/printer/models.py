"""Which printer is which: model names, the codes that printers and slicers use for them, serial numbers.

Data only. The codes are those of BambuStudio's resources/printers/*.json, which also stand in a sliced
file as `printer_model_id` and in a discovery notice as `DevModel`; the first three characters of a serial
number tell the model too (ha-bambulab's scripts/update_error_text.py; X1 and X1C share theirs).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Model:
    """One printer model; ``series`` picks the dialect in which a print is asked for (see `job`)."""

    name: str
    series: str
    codes: tuple[str, ...]
    serial_prefixes: tuple[str, ...] = ()
    nozzles: int = 1


MODELS: tuple[Model, ...] = (
    Model("X1C", "X1", ("BL-P001", "3DPrinter-X1-Carbon", "X1-Carbon", "X1 Carbon"), ("00M",)),
    Model("X1", "X1", ("BL-P002", "3DPrinter-X1")),
    Model("X1E", "X1", ("C13",), ("03W",)),
    Model("P1P", "P1", ("C11",), ("01S",)),
    Model("P1S", "P1", ("C12",), ("01P",)),
    Model("A1 mini", "A1", ("N1",), ("030",)),
    Model("A1", "A1", ("N2S",), ("039",)),
    Model("A2L", "A1", ("N9",)),
    Model("P2S", "P2", ("N7",), ("22E",)),
    Model("X2D", "P2", ("N6",), nozzles=2),
    Model("H2S", "H2", ("O1S",), ("093",)),
    Model("H2D", "H2", ("O1D",), ("094",), nozzles=2),
    Model("H2D Pro", "H2", ("O1E", "O2D"), nozzles=2),
    Model("H2C", "H2", ("O1C", "O1C2"), nozzles=2),
)


def _plain(text: str) -> str:
    """Lower case without blanks, dashes and the maker's name: "Bambu Lab A1 mini" -> "a1mini"."""
    return re.sub(r"^bambulab|[\s_-]+", "", re.sub(r"[\s_-]+", "", text.lower()))


_BY_NAME: dict[str, Model] = {
    _plain(alias): model for model in MODELS for alias in (model.name, *model.codes)
}


def find_model(text: str | None) -> Model | None:
    """The model meant by a name or a code ("P1S", "Bambu Lab P1S", "C12"), or None if it is unknown."""
    return _BY_NAME.get(_plain(text)) if text else None


def model_of_serial(serial: str) -> Model | None:
    """The model that a serial number belongs to, by its first three characters, or None."""
    prefix = serial[:3].upper()
    return next((model for model in MODELS if prefix in model.serial_prefixes), None)
