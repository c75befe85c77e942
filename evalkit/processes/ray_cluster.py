"""The connection to a Ray cluster (https://docs.ray.io), which runs processes on several machines."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from typing import Any

from evalkit.errors import UsageError, one_line
from evalkit.needs import load

FIX = "pip install 'evalkit[ray]'"
_LOCAL = ("", "auto", "local")
_REACH = 10.0
"""Seconds in which the head node of a cluster must accept a connection: Ray itself tries for two minutes,
and ends the process then."""


def connect(address: str | None = None) -> Any:
    """Connects this process to a Ray cluster, unless it is connected, and returns the module `ray`.

    `address`: `HOST:PORT` of the cluster's head node, `auto` for one that runs on this machine, or `local`
    for a new one. None or "": what the variable RAY_ADDRESS says, else one that runs on this machine, else a
    new one, which ends with this process. Ray writes nothing to standard output, sends no usage statistics
    and starts no dashboard. Raises `UsageError` if Ray is not installed or the cluster cannot be reached, or
    has another version of Ray or Python.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = load("ray", "Ray", FIX)
    if ray.is_initialized():
        return ray
    wanted = address or os.environ.get("RAY_ADDRESS", "")
    if wanted not in _LOCAL and "://" not in wanted:
        _reach(wanted)
    try:
        with _own_signals():
            ray.init(
                address=wanted or None, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
            )
    except (Exception, SystemExit) as error:  # noqa: BLE001 — Ray raises many kinds
        where = f"the Ray cluster {wanted}" if wanted else "Ray on this machine"
        raise UsageError(f"{where} cannot be used: {one_line(error, 400)}") from None
    worker = getattr(getattr(ray, "_private", None), "worker", None)
    if worker is not None:  # what the nodes report of processes that end is written to standard output
        worker._worker_logs_enabled = False
    return ray


def _reach(address: str) -> None:
    """Raises `UsageError` if nothing accepts connections at `address`."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UsageError(f"{address!r} is no address of a Ray cluster: write HOST:PORT, auto or local")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACH).close()
    except OSError as error:
        raise UsageError(
            f"the Ray cluster {address} cannot be reached: {one_line(error, 200)}. Is its head node up (ray "
            "status), and is this its port?"
        ) from None


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keeps this process's reaction to SIGTERM, which Ray replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
