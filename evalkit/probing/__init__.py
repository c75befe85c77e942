"""Probing: what an endpoint really does with a model's requests, found out by a few small ones."""

from __future__ import annotations

from evalkit.probing.found import Answer, Probe, Verdict

__all__ = ["Answer", "Probe", "Verdict"]
