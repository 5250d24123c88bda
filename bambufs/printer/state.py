"""What a printer says of itself: `PrinterState`, an immutable view of its merged reports.

Pure: reports and clock readings in, values out; no network, no lock needed. Answers to commands are never
merged: a printer echoes whatever it was asked, also what it then refuses (bambu-rs docs/protocol.md).
Times are readings of the caller's monotonic clock in seconds; temperatures are in degrees Celsius.

The keys of `as_status` and `as_job` are part of what users rely on (`.bambufs/status.json`, `.bambufs/job`).
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from functools import cached_property

from bambufs.printer import codes
from bambufs.printer.models import Model, find_model
from bambufs.printer.reports import (
    Tree,
    at,
    hexadecimal,
    is_sane,
    items,
    merged,
    number,
    pruned,
    text,
    tree,
    whole,
)

STALE_AFTER = 30.0
"""P1 and A1 send a delta about every 2 s (bambu-rs docs/protocol.md)."""

READY_STATES = frozenset({"IDLE", "FINISH", "FAILED"})
ACTIVE_STATES = frozenset({"PREPARE", "SLICING", "RUNNING", "PAUSE"})

_SIGNATURE_REQUIRED = 0x2000_0000
_NO_CHAMBER_SENSOR = 5
"""What P1 and A1, which have no such sensor, report as `chamber_temper`."""
_PLATE = re.compile(r"plate_(\d{1,4})\.gcode")


@dataclass(frozen=True)
class Temperature:
    """A reading and what it is heading for; ``target`` is None where the printer names none."""

    now: float | None
    target: float | None


@dataclass(frozen=True)
class Tray:
    """One AMS tray with filament in it; ``index`` is the number that `ams_mapping` takes.

    ``remaining`` is in percent, None when the printer cannot tell; ``color`` is "#RRGGBB".
    """

    index: int
    name: str
    material: str
    color: str
    remaining: int | None


@dataclass(frozen=True)
class Fault:
    """An error that the printer reports, and what it means."""

    code: str
    severity: str
    meaning: str


@dataclass(frozen=True)
class PrinterState:
    """The printer as its reports so far describe it; `with_report` gives the next state.

    ``last_report`` is when the latest report came, None before the first.
    """

    report: Tree = field(default_factory=dict)
    version: Tree = field(default_factory=dict)
    last_report: float | None = None

    def __repr__(self) -> str:
        return f"<PrinterState {self.gcode_state or 'unknown'} {self.subtask_name!r}>"

    def with_report(self, message: Tree, now: float) -> PrinterState:
        """The state after one message of the report topic; the same object if it held no report."""
        status, info = tree(message.get("print")), tree(message.get("info"))
        if _is_status(status):
            return self._with_status(tree(pruned(status)), now)
        if info.get("command") == "get_version" and isinstance(info.get("module"), list):
            return dataclasses.replace(self, version=tree(pruned(info)), last_report=now)
        return self

    def _with_status(self, status: Tree, now: float) -> PrinterState:
        # A full report (msg 0) replaces what is nested, so that a tray taken away does not stay.
        full = whole(status.get("msg")) == 0
        kept = {key: value for key, value in self.report.items() if not (full and key in status)}
        report = merged(kept, status)
        return dataclasses.replace(self, report=report if is_sane(report) else status, last_report=now)

    # -- the job ---------------------------------------------------------------------------------

    @property
    def gcode_state(self) -> str:
        """IDLE, PREPARE, SLICING, RUNNING, PAUSE, FINISH, FAILED, or "" before the first report."""
        return text(self.report.get("gcode_state")).upper()

    @property
    def subtask_name(self) -> str:
        """The name of the current or last job."""
        return text(self.report.get("subtask_name"))

    @property
    def gcode_file(self) -> str:
        """P1 and A1: the file's name; X1, P2S and H2: /data/Metadata/plate_N.gcode."""
        return text(self.report.get("gcode_file"))

    @property
    def task_ids(self) -> frozenset[str]:
        """The ids under which the printer knows the job, without empty ones."""
        found = {text(self.report.get(key)) for key in ("task_id", "subtask_id")}
        return frozenset(found - {"", "0"})

    @property
    def plate(self) -> int | None:
        """The plate being printed, where the printer tells it."""
        match = _PLATE.search(self.gcode_file)
        return int(match.group(1)) if match else whole(self.report.get("plate_idx"))

    @property
    def percent(self) -> int | None:
        """How much of the job is done, 0 to 100."""
        return _within(whole(self.report.get("mc_percent")), 0, 100)

    @property
    def prepare_percent(self) -> int | None:
        """How much of the file has been taken in before printing; some P1 stop at 99."""
        return _within(whole(self.report.get("gcode_file_prepare_percent")), 0, 100)

    @property
    def layer(self) -> int | None:
        """The layer being printed."""
        return whole(self.report.get("layer_num"))

    @property
    def total_layers(self) -> int | None:
        """How many layers the job has."""
        return whole(self.report.get("total_layer_num"))

    @property
    def minutes_left(self) -> int | None:
        """The printer's own estimate, in minutes."""
        return whole(self.report.get("mc_remaining_time"))

    @property
    def is_active(self) -> bool:
        """Whether a job is in the printer: preparing, printing or paused."""
        return self.gcode_state in ACTIVE_STATES

    @property
    def is_ready_to_print(self) -> bool:
        """Whether a job may be sent: sent to a busy A1 mini it cancels the running one (bambuddy#2598)."""
        return self.gcode_state in READY_STATES

    # -- faults ----------------------------------------------------------------------------------

    @property
    def print_error(self) -> int:
        """The number of the current print error, 0 when there is none."""
        return max(0, whole(self.report.get("print_error")) or 0)

    @property
    def print_fault(self) -> Fault | None:
        """The current print error with its meaning."""
        error = self.print_error
        return (
            Fault(codes.print_error_code(error), "serious", codes.print_error_text(error)) if error else None
        )

    @cached_property
    def hms(self) -> tuple[Fault, ...]:
        """The printer's health messages with their meaning."""
        pairs = [
            (whole(entry.get("attr")) or 0, whole(entry.get("code")) or 0)
            for entry in items(self.report.get("hms"))
        ]
        return tuple(
            Fault(codes.hms_code(attr, code), codes.hms_severity(code), codes.hms_text(attr, code))
            for attr, code in pairs
            if attr or code
        )

    # -- the machine -----------------------------------------------------------------------------

    @property
    def nozzles(self) -> tuple[Temperature, ...]:
        """The nozzles, the first one always; H2D and H2C report two, packed (ha-bambulab models.py)."""
        packed = [whole(entry.get("temp")) for entry in items(at(self.report, "device", "extruder", "info"))]
        if len(packed) > 1:
            return tuple(_unpacked(value) for value in packed)
        return (self._temperature("nozzle_temper", "nozzle_target_temper"),)

    @property
    def bed(self) -> Temperature:
        """The heated bed."""
        plain = self._temperature("bed_temper", "bed_target_temper")
        return (
            plain
            if plain.now is not None
            else _unpacked(whole(at(self.report, "device", "bed", "info", "temp")))
        )

    @property
    def chamber(self) -> Temperature:
        """The chamber; ``now`` is None for models without a sensor."""
        packed = whole(at(self.report, "device", "ctc", "info", "temp"))
        if packed is not None:
            return _unpacked(packed)
        now = number(self.report.get("chamber_temper"))
        return Temperature(None if now == _NO_CHAMBER_SENSOR else now, None)

    def _temperature(self, now: str, target: str) -> Temperature:
        return Temperature(number(self.report.get(now)), number(self.report.get(target)))

    @cached_property
    def trays(self) -> tuple[Tray, ...]:
        """The AMS trays that hold filament, by their index."""
        found = [
            _tray(unit_id, slot, tray_report)
            for unit in items(at(self.report, "ams", "ams"))
            if (unit_id := whole(unit.get("id"))) is not None and 0 <= unit_id < 254
            for tray_report in items(unit.get("tray"))
            if (slot := whole(tray_report.get("id"))) is not None and 0 <= slot < 4
        ]
        return tuple(sorted((tray for tray in found if tray), key=lambda tray: tray.index))

    @property
    def has_ams(self) -> bool | None:
        """Whether an AMS is connected; None before the printer has told."""
        if "ams" not in self.report:
            return None
        return bool(items(at(self.report, "ams", "ams")))

    @property
    def tray_in_use(self) -> int | None:
        """The index of the tray that feeds the nozzle, None for none or an external spool."""
        return _within(whole(at(self.report, "ams", "tray_now")), 0, 253)

    @property
    def wifi_signal(self) -> str:
        """Such as "-45dBm"."""
        return text(self.report.get("wifi_signal"))

    @property
    def firmware(self) -> str:
        """The firmware's version, such as "01.05.00.00", or an empty string."""
        return next((text(m.get("sw_ver")) for m in self._modules if m.get("name") == "ota"), "")

    @property
    def model(self) -> Model | None:
        """The model, where the version report tells it."""
        names = [text(m.get(key)) for key in ("product_name", "project_name") for m in self._modules]
        return next((found for found in map(find_model, names) if found), None)

    @property
    def _modules(self) -> list[Tree]:
        return items(self.version.get("module"))

    @property
    def storage(self) -> str:
        """The card or USB stick: "ok", "missing", "faulty", or "unknown"."""
        flags, card = whole(self.report.get("home_flag")), self.report.get("sdcard")
        level = None if flags is None else flags >> 8 & 3
        if level is not None and level & 2:
            return "faulty"
        present = card if isinstance(card, bool) else level
        return "unknown" if present is None else "ok" if present else "missing"

    @property
    def developer_mode(self) -> bool | None:
        """False when the printer takes signed commands only; None when it does not tell (P1, A1)."""
        flags = hexadecimal(self.report.get("fun"))
        return None if flags is None else not flags & _SIGNATURE_REQUIRED

    # -- for users -------------------------------------------------------------------------------

    def is_stale(self, now: float, after: float = STALE_AFTER) -> bool:
        """Whether nothing has been heard for ``after`` seconds (or ever)."""
        return self.last_report is None or now - self.last_report > after

    def age(self, now: float) -> float | None:
        """Seconds since the last report, None before the first."""
        return None if self.last_report is None else round(max(0.0, now - self.last_report), 1)

    def as_job(self, now: float) -> dict[str, object]:
        """The current or last job, ready for JSON.

        Keys: state, name, file, plate, percent, layer, total_layers, minutes_left, error (a sentence
        or null), stale, report_age_seconds. What the printer has not told is null.
        """
        fault = self.print_fault
        return {
            "state": self.gcode_state or None,
            "name": self.subtask_name or None,
            "file": self.gcode_file or None,
            "plate": self.plate,
            "percent": self.percent,
            "layer": self.layer,
            "total_layers": self.total_layers,
            "minutes_left": self.minutes_left,
            "error": f"{fault.code}: {fault.meaning}" if fault else None,
            "stale": self.is_stale(now),
            "report_age_seconds": self.age(now),
        }

    def as_status(self, now: float) -> dict[str, object]:
        """Everything of use, ready for JSON.

        Keys: gcode_state, ready_to_print, job (as `as_job`), temperatures {nozzles [{now, target}], bed,
        chamber}, ams [{tray, name, material, color, remaining_percent, in_use}], print_error and hms
        [{code, severity, meaning}], wifi_signal, firmware, model, storage, developer_mode, stale,
        report_age_seconds. What the printer has not told is null.
        """
        fault = self.print_fault
        return {
            "gcode_state": self.gcode_state or None,
            "ready_to_print": self.is_ready_to_print,
            "job": self.as_job(now),
            "temperatures": {
                "nozzles": [dataclasses.asdict(nozzle) for nozzle in self.nozzles],
                "bed": dataclasses.asdict(self.bed),
                "chamber": dataclasses.asdict(self.chamber),
            },
            "ams": [self._tray_as_json(tray) for tray in self.trays],
            "print_error": dataclasses.asdict(fault) if fault else None,
            "hms": [dataclasses.asdict(entry) for entry in self.hms],
            "wifi_signal": self.wifi_signal or None,
            "firmware": self.firmware or None,
            "model": self.model.name if self.model else None,
            "storage": self.storage,
            "developer_mode": self.developer_mode,
            "stale": self.is_stale(now),
            "report_age_seconds": self.age(now),
        }

    def _tray_as_json(self, tray: Tray) -> dict[str, object]:
        return {
            "tray": tray.index,
            "name": tray.name,
            "material": tray.material,
            "color": tray.color or None,
            "remaining_percent": tray.remaining,
            "in_use": tray.index == self.tray_in_use,
        }


def _is_status(status: Tree) -> bool:
    """Whether a `print` section is a report of the printer's state, and not the echo of a command."""
    return bool(status) and "result" not in status and status.get("command", "push_status") == "push_status"


def tray_name(unit: int, slot: int) -> str:
    """A tray as the printer's screen names it: A1 to D4; a one-tray AMS HT (from 128 on) is HT1, HT2, ..."""
    if unit >= 128:
        return f"HT{unit - 127}"
    return f"{chr(ord('A') + unit)}{slot + 1}" if unit < 26 else f"{unit}-{slot + 1}"


def _tray(unit: int, slot: int, report: Tree) -> Tray | None:
    material = text(report.get("tray_type"))
    if not material:
        return None
    color = text(report.get("tray_color")).upper()
    return Tray(
        index=unit if unit >= 128 else unit * 4 + slot,
        name=tray_name(unit, slot),
        material=material,
        color=f"#{color[:6]}" if re.fullmatch(r"[0-9A-F]{6,8}", color) else "",
        remaining=_within(whole(report.get("remain")), 0, 100),
    )


def _unpacked(value: int | None) -> Temperature:
    """H2's form: the reading in the low 16 bits, the target in the high ones (ha-bambulab models.py)."""
    return (
        Temperature(None, None)
        if value is None
        else Temperature(float(value & 0xFFFF), float(value >> 16 & 0xFFFF))
    )


def _within(value: int | None, lowest: int, highest: int) -> int | None:
    return value if value is not None and lowest <= value <= highest else None
