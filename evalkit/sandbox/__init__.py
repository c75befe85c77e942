"""Runs untrusted programs.

A name's module is imported when the name is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers; at run time `__getattr__` finds them
    from evalkit.sandbox.codec import Opaque as Opaque
    from evalkit.sandbox.limits import Limits as Limits
    from evalkit.sandbox.limits import Raised as Raised
    from evalkit.sandbox.limits import Ran as Ran
    from evalkit.sandbox.limits import Value as Value
    from evalkit.sandbox.programs import Outcome as Outcome
    from evalkit.sandbox.programs import Program as Program
    from evalkit.sandbox.programs import Sandbox as Sandbox
    from evalkit.sandbox.programs import allow_unsafe as allow_unsafe
    from evalkit.sandbox.programs import check_sandbox as check_sandbox
    from evalkit.sandbox.programs import run_programs as run_programs
    from evalkit.sandbox.programs import unsafe_allowed as unsafe_allowed
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
    "Outcome": "programs",
    "Program": "programs",
    "Raised": "limits",
    "Ran": "limits",
    "Sandbox": "programs",
    "Session": "shell",
    "Value": "limits",
    "allow_unsafe": "programs",
    "build": "running",
    "call": "running",
    "check_sandbox": "programs",
    "execute": "running",
    "run_programs": "programs",
    "session": "running",
    "unsafe_allowed": "programs",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit.sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(f"evalkit.sandbox.{_HOMES[name]}"), name)
