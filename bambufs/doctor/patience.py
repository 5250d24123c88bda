"""Looking at something that may never answer, such as the folder of a mount whose process is stopped."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_PATIENCE = 2.0


def within_moments(look: Callable[[], Result], seconds: float = _PATIENCE) -> Result | None:
    """What ``look`` returns, or None when it takes longer than ``seconds``; it must not raise."""
    answers: list[Result] = []
    thread = threading.Thread(target=lambda: answers.append(look()), daemon=True, name="bambufs-look")
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
