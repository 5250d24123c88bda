"""Whether a project_file request can be printed, checked as printers check it: url, file, zip, plate, md5."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bambufs.simulator.card_store import Card
from bambufs.simulator.print_run import Job
from bambufs.simulator.quirk_table import MODELS
from bambufs.simulator.quirks import Quirks

CANNOT_PARSE = 0x05004003
NO_AMS_MAPPING = 0x07008012

_SWITCHES = ("use_ams", "bed_leveling", "bed_levelling", "flow_cali", "vibration_cali", "layer_inspect", "timelapse")
_PLATE = re.compile(r"Metadata/plate_(\d+)\.gcode")
_EXTERNAL_SPOOL = (254, 255)


class JobRefused(Exception):
    """The printer does not print this. ``code`` is its print_error."""

    def __init__(self, code: int) -> None:
        super().__init__(f"print_error {code:08X}")
        self.code = code


def has_proper_switches(request: Mapping[str, Any]) -> bool:
    """Whether every switch in the request is a JSON boolean (maziggy/bambuddy#1478)."""
    return all(isinstance(request.get(name, False), bool) for name in _SWITCHES)


def checked_job(request: Mapping[str, Any], *, card: Card, quirks: Quirks) -> Job:
    """The job that a request describes. Raises `JobRefused`."""
    mapping = request.get("ams_mapping") or []
    if request.get("use_ams") and any(slot in _EXTERNAL_SPOOL for slot in mapping):
        raise JobRefused(NO_AMS_MAPPING)
    try:
        path = _card_path(str(request.get("url", "")), quirks.model)
        plate = _plate_number(str(request.get("param", "")))
        place = card.existing(path)
        _check_md5(place, str(request.get("md5", "")))
        seconds, layers = _read_plate(place, plate, check_md5=quirks.flag("gcode_md5"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise JobRefused(CANNOT_PARSE) from error
    return Job(
        name=str(request.get("subtask_name", "")),
        file=place.name,
        plate=plate,
        seconds=seconds,
        layers=layers,
        task_id=str(request.get("task_id", "0")),
        subtask_id=str(request.get("subtask_id", "0")),
        timelapse=request.get("timelapse") is True,
    )


def _card_path(url: str, model: str) -> str:
    """The path on the card; `ValueError` for a form of url that the model does not take."""
    fitting = sorted((form for form in MODELS[model].urls if url.startswith(form.prefix)), key=lambda f: -len(f.prefix))
    for form in fitting:
        path = url.removeprefix(form.prefix)
        is_in_root = "/" not in path
        if path and not path.startswith("/") and (form.where == "anywhere" or (form.where == "root") == is_in_root):
            return "/" + path
    raise ValueError(f"unsupported print file path or name: {url}")


def _plate_number(param: str) -> int:
    match = _PLATE.fullmatch(param)
    if match is None:
        raise ValueError(f"no plate in {param!r}")
    return int(match[1])


def _check_md5(place: Path, wanted: str) -> None:
    if not wanted:
        return
    with place.open("rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if found != wanted.lower():
        raise ValueError("the file's md5 differs")


def _read_plate(place: Path, plate: int, *, check_md5: bool) -> tuple[float, int]:
    """Seconds and layers of a plate; `KeyError` when it is not there."""
    with zipfile.ZipFile(place) as archive:
        gcode = archive.read(f"Metadata/plate_{plate}.gcode")
        if check_md5:
            wanted = archive.read(f"Metadata/plate_{plate}.gcode.md5").decode().strip()
            if hashlib.md5(gcode, usedforsecurity=False).hexdigest() != wanted.lower():
                raise ValueError("the gcode's md5 differs")
        return _seconds(archive, plate), _layers(gcode)


def _seconds(archive: zipfile.ZipFile, plate: int) -> float:
    try:
        text = archive.read("Metadata/slice_info.config").decode()
    except KeyError:
        return 900.0
    for part in text.split("<plate>")[1:]:
        facts = dict(re.findall(r'key="([^"]*)" value="([^"]*)"', part))
        if facts.get("index") == str(plate):
            return float(facts.get("prediction", 900))
    return 900.0


def _layers(gcode: bytes) -> int:
    match = re.search(rb"; total layer number: (\d+)", gcode)
    return int(match[1]) if match else 0
