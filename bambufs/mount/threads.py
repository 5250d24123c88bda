"""Lets a thread of libfuse stay known to Python from one request to the next.

A callback in a thread that Python did not start makes a state of that thread and destroys it again at its end: some
system calls, and half the time of a small request. Here the state is kept until the thread ends. The C library says
when that is, before it takes away what Python remembers of the thread; where it cannot, nothing is kept.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

_GIL_HELD = 0  # of PyGILState_STATE: the one who let go of the state held the GIL before, and holds it still

_kept = threading.local()

_Destructor = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_at_thread_exit: Any = getattr(ctypes.CDLL(None), "__cxa_thread_atexit_impl", None)
"""Of glibc: takes a destructor, its argument, and an address in the library that is to stay loaded until then."""

if _at_thread_exit is not None:
    _at_thread_exit.argtypes = [_Destructor, ctypes.c_void_p, ctypes.c_void_p]

_here = ctypes.cast(ctypes.pythonapi.PyGILState_Release, ctypes.c_void_p)


def _let_go(_: object) -> None:
    """The thread ends: undo `keep`, so that the end of this very callback destroys the state.

    Python has done so already for a thread that it started itself.
    """
    if hasattr(_kept, "is_kept"):
        ctypes.pythonapi.PyGILState_Release(_GIL_HELD)


_letting_go = _Destructor(_let_go)


def keep() -> None:
    """Keep Python's state of this thread until it ends. To be called in callbacks; after the first it does nothing."""
    if hasattr(_kept, "is_kept"):
        return
    _kept.is_kept = True
    is_outside = threading.get_ident() != threading.main_thread().ident
    if is_outside and _at_thread_exit is not None and _at_thread_exit(_letting_go, None, _here) == 0:
        ctypes.pythonapi.PyGILState_Ensure()
