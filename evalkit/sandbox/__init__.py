"""Runs programs that nobody trusts.

What is used is loaded when it is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers; at run time `__getattr__` finds them
    from evalkit.sandbox.codec import Opaque as Opaque
    from evalkit.sandbox.limits import Limits as Limits
    from evalkit.sandbox.limits import Raised as Raised
    from evalkit.sandbox.limits import Value as Value
    from evalkit.sandbox.pool import Outcome as Outcome
    from evalkit.sandbox.pool import Program as Program
    from evalkit.sandbox.pool import Sandbox as Sandbox
    from evalkit.sandbox.pool import allow_unsafe as allow_unsafe
    from evalkit.sandbox.pool import check_sandbox as check_sandbox
    from evalkit.sandbox.pool import run_programs as run_programs
    from evalkit.sandbox.pool import unsafe_allowed as unsafe_allowed

_HOMES = {
    "Limits": "limits",
    "Opaque": "codec",
    "Outcome": "pool",
    "Program": "pool",
    "Raised": "limits",
    "Sandbox": "pool",
    "Value": "limits",
    "allow_unsafe": "pool",
    "check_sandbox": "pool",
    "run_programs": "pool",
    "unsafe_allowed": "pool",
}
__all__ = [*_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit.sandbox' has no attribute {name!r}")
    return getattr(importlib.import_module(f"evalkit.sandbox.{_HOMES[name]}"), name)
