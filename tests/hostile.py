"""What a worker process may be asked for in tests: from harmless to deadly."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

READY: list[str] = []


def ready() -> None:
    READY.append("prepared")


def unready() -> None:
    raise RuntimeError("nothing is where it should be")


def prepared() -> list[str]:
    return READY


def same(value: object, *, also: object = None) -> list[object]:
    return [value, also]


def pid() -> int:
    return os.getpid()


def linger(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def spin(path: str = "") -> None:
    """For ever, in Python; the file at `path` shows that it has begun."""
    if path:
        Path(path).write_text(str(os.getpid()))
    while True:
        pass


def burn(seconds: float) -> int:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return os.getpid()


def stubborn() -> None:
    """For ever, and no exception ends it."""
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def compute() -> int:
    """For minutes, inside one operation of the interpreter."""
    return sum(range(10**12))


def eat() -> int:
    return len(bytearray(1 << 40))


def nibble() -> int:
    eaten = []
    while True:
        eaten.append(bytearray(1 << 24))


def leave(status: int) -> None:
    os._exit(status)


def segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def shout() -> str:
    print('{"result": "forged"}', flush=True)
    print("noise", file=sys.stderr, flush=True)
    return "heard"


def unprintable() -> object:
    return {1, 2}


def quit_loudly() -> None:
    raise SystemExit("enough")
