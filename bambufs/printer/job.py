"""What a user asks for, and how it is said to a printer: `PrintRequest` -> `PrintJob` -> payload.

Pure: no file is opened and nothing is sent here. A request is what a line of text says; a job is a request
joined with what the file holds; `payload` puts the job into the dialect of the printer's series.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bambufs.errors import InvalidJob
from bambufs.printer.dialect import Dialect, dialect_of
from bambufs.printer.models import Model
from bambufs.printer.request import PrintRequest, Switches
from bambufs.printer.sliceinfo import Filament, Plate
from bambufs.printer.state import Tray

__all__ = ["PrintJob", "build_job", "command_payload", "map_filaments", "new_task_id", "parse_command"]

COMMANDS = ("pause", "resume", "stop")

NextTaskId = Callable[[], int]


def new_task_id() -> int:
    """A task id that no other job has: random, above 0, below 2**31.

    A P1S clamps larger ones to 2**31-1 (bambuddy#1042), and takes a repeated one for the same job (#1011).
    """
    return random.SystemRandom().randrange(1_000_000, 2**31 - 1)


@dataclass(frozen=True)
class PrintJob:
    """One print, ready to be asked for.

    ``path`` is absolute on the card; ``md5`` is that of the whole file in upper-case hex ("" lets the
    printer skip the check); ``ams_mapping`` has one global tray for each filament of the project,
    -1 where none is used.
    """

    path: str
    plate: int
    md5: str
    task_id: int
    model: Model | None
    use_ams: bool
    ams_mapping: tuple[int, ...]
    bed_type: str
    switches: Switches
    url_template: str = ""

    @property
    def file_name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def subtask_name(self) -> str:
        """The name that the printer shows and reports: the file's without its endings."""
        name = self.file_name
        for ending in (".3mf", ".gcode"):
            if name.lower().endswith(ending) and len(name) > len(ending):
                name = name[: -len(ending)]
        return name

    @property
    def dialect(self) -> Dialect:
        """How this printer's series wants to be asked."""
        return dialect_of(self.model)

    @property
    def url(self) -> str:
        """Where the printer finds the file, in the form that its series understands."""
        return self.dialect.url(self.path, self.url_template)

    def payload(self, sequence_id: str = "0") -> dict[str, object]:
        """The message that starts this print (BambuStudio; open-bambu-networking 6.8.2; bambu-rs; bambuddy).

        All switches are JSON booleans: an H2S skips the calibration when they are numbers (bambuddy#1478).
        Both spellings of bed levelling are sent: OpenBambuAPI has one, BambuStudio the other.
        """
        switches = self.switches
        task_id = str(self.task_id)
        request: dict[str, object] = {
            "sequence_id": sequence_id,
            "command": "project_file",
            "param": f"Metadata/plate_{self.plate}.gcode",
            "url": self.url,
            "file": self.file_name,
            "md5": self.md5,
            "subtask_name": self.subtask_name,
            "project_id": "0",
            "profile_id": "0",
            "task_id": task_id,
            "subtask_id": task_id,
            "bed_type": self.bed_type,
            "bed_leveling": switches.bed_leveling,
            "bed_levelling": switches.bed_leveling,
            "flow_cali": switches.flow_cali,
            "vibration_cali": switches.vibration_cali and self.dialect.vibration_cali,
            "layer_inspect": switches.layer_inspect,
            "timelapse": switches.timelapse,
            "use_ams": self.use_ams,
            "ams_mapping": list(self.ams_mapping),
        }
        return {"print": request | (self._newer() if self.dialect.newer_keys else {})}

    def _newer(self) -> dict[str, object]:
        """What the firmware of P2S, X2D and H2 also takes: the tray of each filament in two parts, and the
        calibrations as numbers (0 never, 1 always) beside the booleans (bambuddy bambu_mqtt.py)."""
        return {
            "ams_mapping2": [_in_two_parts(tray, external=not self.use_ams) for tray in self.ams_mapping],
            "auto_bed_leveling": int(self.switches.bed_leveling),
            "extrude_cali_flag": int(self.switches.flow_cali),
            "nozzle_offset_cali": int(self.switches.flow_cali and bool(self.model and self.model.nozzles > 1)),
            "cfg": "0",
        }


def build_job(
    request: PrintRequest,
    plate: Plate,
    *,
    md5: str,
    model: Model | None,
    trays: Sequence[Tray] | None = None,
    url_template: str = "",
    next_task_id: NextTaskId = new_task_id,
) -> PrintJob:
    """Join a request with the plate that it names.

    ``trays`` are the filled AMS trays as the printer reports them, empty without an AMS, None when it has
    not told. Where the request does not say, the AMS is used when it has trays, and each filament gets
    the tray of its material whose colour is nearest.

    Raises `InvalidJob` when the AMS cannot supply a filament, or `ams_mapping` leaves one out.
    """
    use_ams = bool(trays) if request.use_ams is None else request.use_ams
    use_ams = use_ams or (request.use_ams is None and request.ams_mapping is not None)
    mapping = _mapping(request, plate, trays, use_ams)
    return PrintJob(
        path=request.path,
        plate=plate.number,
        md5=md5.upper(),
        task_id=next_task_id(),
        model=model,
        use_ams=use_ams,
        ams_mapping=mapping,
        bed_type=request.bed_type,
        switches=request.switches,
        url_template=url_template,
    )


def _mapping(request: PrintRequest, plate: Plate, trays: Sequence[Tray] | None, use_ams: bool) -> tuple[int, ...]:
    count = max([filament.number for filament in plate.filaments], default=1)
    if not use_ams:
        # An external spool is no tray: 254 and 255 in here end in 0700_8012 (bambuddy).
        return (-1,) * count
    if request.ams_mapping is None:
        return map_filaments(plate.filaments, trays, request.path)
    missing = [f.number for f in plate.filaments if request.ams_mapping[f.number - 1 : f.number] in ((), (-1,))]
    if missing:
        raise InvalidJob(
            f"ams_mapping= gives no tray for filament {missing[0]} of plate {plate.number}. It needs one entry "
            f"for each of the project's filaments, in order ({count} at least); '-' stands for an unused one.",
            request.path,
        )
    return request.ams_mapping


def map_filaments(filaments: Sequence[Filament], trays: Sequence[Tray] | None, path: str) -> tuple[int, ...]:
    """A tray for each filament: same material, nearest colour; -1 for filaments that are not used.

    When the printer has not told its trays (None), filament N gets tray N-1.

    Raises `InvalidJob` when no tray holds a filament's material.
    """
    count = max([filament.number for filament in filaments], default=1)
    mapping = [-1] * count
    for filament in filaments:
        tray = filament.number - 1 if trays is None else _best_tray(filament, trays, path).index
        mapping[filament.number - 1] = tray
    return tuple(mapping) if filaments else (0,)


def _best_tray(filament: Filament, trays: Sequence[Tray], path: str) -> Tray:
    fitting = [tray for tray in trays if tray.material.casefold() == filament.material.casefold()]
    if not fitting:
        held = ", ".join(f"{tray.name} {tray.material}" for tray in trays) or "nothing"
        raise InvalidJob(
            f"The AMS holds no {filament.material or 'filament'} for filament {filament.number} (it holds "
            f"{held}). Load it, or say which tray to use: ams_mapping=A1,A2, or use_ams=no for the external spool.",
            path,
        )
    return min(fitting, key=lambda tray: (_distance(tray.color, filament.color), tray.index))


def _distance(one: str, other: str) -> int:
    """How far two colours (#RRGGBB) are apart; far when one is not known."""
    try:
        pairs = [(int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5)]
    except ValueError:
        return 1 << 20
    return sum((a - b) ** 2 for a, b in pairs)


def _in_two_parts(tray: int, *, external: bool) -> dict[str, int]:
    """A global tray as unit and slot; a one-tray AMS HT has its unit's number (from 128 on)."""
    if tray < 0:
        return {"ams_id": 255, "slot_id": 0 if external else 255}
    if tray >= 128:
        return {"ams_id": tray, "slot_id": 0}
    return {"ams_id": tray // 4, "slot_id": tray % 4}


# -- the running job -----------------------------------------------------------------------------------


def parse_command(text: str) -> str:
    """One of pause, resume, stop. Raises `InvalidJob` for anything else."""
    word = text.strip().lower()
    if word not in COMMANDS:
        raise InvalidJob(f"'{text.strip()[:40]}' is not understood; write one of: {', '.join(COMMANDS)}.")
    return word


def command_payload(command: str, sequence_id: str = "0") -> dict[str, object]:
    """The message for pause, resume or stop (OpenBambuAPI mqtt.md)."""
    return {"print": {"sequence_id": sequence_id, "command": parse_command(command), "param": ""}}
