"""A print that runs through its states in time: PREPARE, RUNNING with percent and layers, FINISH.

Pure: it is told how many seconds went by, and says which values of the status change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

BUSY_STATES = frozenset({"PREPARE", "SLICING", "RUNNING", "PAUSE"})
CANCELLED = 0x0300400C

_PREPARE_SECONDS = 12.0
_PRINTING_STAGE = 0
_PREPARING_STAGE = 2


@dataclass(frozen=True, slots=True)
class Job:
    """What is printed: from which file, for how long, in how many layers."""

    name: str
    file: str
    plate: int = 1
    seconds: float = 900.0
    layers: int = 100
    task_id: str = "0"
    subtask_id: str = "0"
    timelapse: bool = False


class PrintRun:
    """The one print that a printer can run. ``prepare_limit`` is the last percent of PREPARE shown."""

    def __init__(self, *, idle_stage: int, reported_file: str = "") -> None:
        self.job: Job | None = None
        self.state = "IDLE"
        self._idle_stage = idle_stage
        self._reported_file = reported_file
        self._delay = 0.0
        self._elapsed = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether another print would be refused."""
        return self.state in BUSY_STATES or self.job is not None

    def start(self, job: Job, *, delay: float = 0.0) -> None:
        """Take a job; it begins after ``delay`` seconds."""
        self.job = job
        self._delay = delay
        self._elapsed = 0.0

    def advance(self, seconds: float, *, real_seconds: float, prepare_limit: int = 100) -> dict[str, Any]:
        """Let time go by, ``real_seconds`` of it for the delay; at most one change of state."""
        if self.job is None or self.state == "PAUSE":
            return {}
        if self.state not in BUSY_STATES:
            return self._wait(self.job, real_seconds)
        self._elapsed += seconds
        if self.state == "PREPARE":
            return self._prepare(prepare_limit)
        return self._print(self.job)

    def pause(self) -> dict[str, Any]:
        """Pause a running print."""
        return self._become("PAUSE") if self.state == "RUNNING" else {}

    def resume(self) -> dict[str, Any]:
        """Go on with a paused print."""
        return self._become("RUNNING") if self.state == "PAUSE" else {}

    def stop(self, error: int = CANCELLED) -> dict[str, Any]:
        """Give the print up."""
        if self.job is None:
            return {}
        self.job = None
        return self._become("FAILED") | self._at_rest() | {"print_error": error}

    def fail(self, name: str, error: int) -> dict[str, Any]:
        """Refuse a job that cannot be read."""
        self.job = None
        return self._become("FAILED") | self._at_rest() | {"subtask_name": name, "print_error": error}

    def force(self, state: str) -> None:
        """Be in a state that somebody set from outside."""
        self.state = state
        if state not in BUSY_STATES:
            self.job = None

    def _wait(self, job: Job, seconds: float) -> dict[str, Any]:
        self._delay -= seconds
        if self._delay > 0:
            return {}
        return self._become("PREPARE") | {
            "subtask_name": job.name,
            "gcode_file": self._reported_file.format(plate=job.plate) or job.file,
            "gcode_file_prepare_percent": "0",
            "mc_percent": 0,
            "mc_remaining_time": round(job.seconds / 60),
            "layer_num": 0,
            "total_layer_num": job.layers,
            "print_error": 0,
            "hms": [],
            "print_type": "local",
            "stg_cur": _PREPARING_STAGE,
            "task_id": job.task_id,
            "subtask_id": job.subtask_id,
            "nozzle_target_temper": 220.0,
            "bed_target_temper": 55.0,
        }

    def _prepare(self, limit: int) -> dict[str, Any]:
        done = min(1.0, self._elapsed / _PREPARE_SECONDS)
        changes: dict[str, Any] = {"gcode_file_prepare_percent": str(min(limit, int(100 * done)))}
        changes |= {"nozzle_temper": 25 + round(195 * done, 1), "bed_temper": 24 + round(31 * done, 1)}
        if done >= 1.0:
            self._elapsed = 0.0
            changes |= self._become("RUNNING") | {"stg_cur": _PRINTING_STAGE, "layer_num": 1}
        return changes

    def _print(self, job: Job) -> dict[str, Any]:
        done = min(1.0, self._elapsed / job.seconds) if job.seconds else 1.0
        changes: dict[str, Any] = {
            "mc_percent": int(100 * done),
            "layer_num": min(job.layers, 1 + int(job.layers * done)),
            "mc_remaining_time": round(job.seconds * (1 - done) / 60),
        }
        if done >= 1.0:
            self.job = None
            changes |= self._become("FINISH") | self._at_rest() | {"layer_num": job.layers}
        return changes

    def _become(self, state: str) -> dict[str, Any]:
        self.state = state
        return {"gcode_state": state}

    def _at_rest(self) -> dict[str, Any]:
        return {
            "stg_cur": self._idle_stage,
            "print_type": "idle",
            "nozzle_target_temper": 0.0,
            "bed_target_temper": 0.0,
        }
