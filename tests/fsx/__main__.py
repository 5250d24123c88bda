"""`python -m tests.fsx MOUNT CARD SEED COUNT [later]`: random operations; tells the seed and the last steps on failure.

In a process of its own, since a fault in a mapped file ends it, and a broken mount may hold it for ever.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from tests.fsx.machine import Machine
from tests.fsx.operations import OPERATIONS


def main(mount: str, card: str, seed: str, count: str, *ways: str) -> int:
    """Run; 1 when the mount is not what it should be. The way ``later`` is for a mount with --write-back."""
    machine = Machine(Path(mount), Path(card), int(seed), sends_later="later" in ways)
    began = time.monotonic()
    try:
        machine.run(OPERATIONS, int(count))
    except Exception as error:
        sys.stderr.write("\n".join([f"{error!r}", f"seed {seed}; the last operations were:", *machine.log, ""]))
        return 1
    seconds = time.monotonic() - began
    content = {
        path: [bytes(file.content).hex(), file.mtime if file.mtime is not None else -1]
        for path, file in machine.tree.files.items()
    }
    sys.stdout.write(json.dumps({"seconds": round(seconds, 1), "done": dict(machine.done), "files": content}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
