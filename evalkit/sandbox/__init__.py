"""Runs programs that nobody trusts."""

from evalkit.sandbox.bwrap import Limits, Outcome, Sandbox, check_sandbox

__all__ = ["Limits", "Outcome", "Sandbox", "check_sandbox"]
