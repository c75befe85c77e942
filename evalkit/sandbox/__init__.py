"""Runs programs that nobody trusts."""

from evalkit.sandbox.pool import (
    Limits,
    Outcome,
    Program,
    Sandbox,
    allow_unsafe,
    check_sandbox,
    run_programs,
    unsafe_allowed,
)

__all__ = [
    "Limits", "Outcome", "Program", "Sandbox", "allow_unsafe", "check_sandbox", "run_programs",
    "unsafe_allowed",
]  # fmt: skip
