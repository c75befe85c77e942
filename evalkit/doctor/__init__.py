"""Checks what works on this machine and at an endpoint, and says how to fix what does not."""

from __future__ import annotations

from collections.abc import Sequence

from evalkit.doctor.finding import Finding
from evalkit.doctor.installation import installation
from evalkit.doctor.machine import machine

__all__ = ["Finding", "endpoints", "examine"]


def examine() -> list[Finding]:
    """Makes all checks of this machine. It changes and downloads nothing."""
    return [*installation(), *machine()]


async def endpoints(base_urls: Sequence[str], model: str = "", key_env: str = "") -> list[Finding]:
    """Checks endpoints, one after the other. Raises `UsageError` for an invalid address."""
    from evalkit.doctor.endpoint import endpoint

    return [finding for url in base_urls for finding in await endpoint(url, model, key_env)]
