"""Runs programs that nobody trusts.

What is used is loaded when it is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers; at run time `__getattr__` finds them
    from evalkit.sandbox.codec import Opaque as Opaque
    from evalkit.sandbox.limits import Limits as Limits
    from evalkit.sandbox.limits import Raised as Raised
    from evalkit.sandbox.limits import Ran as Ran
    from evalkit.sandbox.limits import Value as Value
    from evalkit.sandbox.pool import Outcome as Outcome
    from evalkit.sandbox.pool import Program as Program
    from evalkit.sandbox.pool import Sandbox as Sandbox
    from evalkit.sandbox.pool import allow_unsafe as allow_unsafe
    from evalkit.sandbox.pool import check_sandbox as check_sandbox
    from evalkit.sandbox.pool import run_programs as run_programs
    from evalkit.sandbox.pool import unsafe_allowed as unsafe_allowed
    from evalkit.sandbox.running import Executable as Executable
    from evalkit.sandbox.running import build as build
    from evalkit.sandbox.running import call as call
    from evalkit.sandbox.running import execute as execute
    from evalkit.sandbox.running import session as session
    from evalkit.sandbox.shell import Session as Session

_HOMES = {
    "Executable": "running",
    "Limits": "limits",
    "Opaque": "codec",
    "Outcome": "pool",
    "Program": "pool",
    "Raised": "limits",
    "Ran": "limits",
    "Sandbox": "pool",
    "Session": "shell",
    "Value": "limits",
    "allow_unsafe": "pool",
    "build": "running",
    "call": "running",
    "check_sandbox": "pool",
    "execute": "running",
    "run_programs": "pool",
    "session": "running",
    "unsafe_allowed": "pool",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit.sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(f"evalkit.sandbox.{_HOMES[name]}"), name)
