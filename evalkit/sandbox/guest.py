"""What the servers inside the sandbox have in common: how they start, and how they answer the host.

`evalkit.sandbox.process` starts them with a socket as standard input. On it they receive the settings, then
one request after another, and send one answer to each.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from typing import Any

from evalkit.processes.framing import from_host, to_host
from evalkit.sandbox import confine

READY, REPORT, TROUBLE, WAITED = b"+", b"=", b"!", b"?"
"""The first byte of a message to the host; after `TROUBLE` comes its text. `WAITED` asks for seconds."""


def run(start: Callable[[socket.socket, Any], Callable[[], None]]) -> None:
    """Serves until the host hangs up.

    `start` gets the host's socket and the settings, and returns a function that answers one request.
    """
    host = socket.socket(fileno=os.dup(0))
    try:
        settings = json.loads(from_host(host))
        confine.settle(host.fileno())
        serve = start(host, settings)
        confine.hide()
    except OSError as error:
        say_trouble(host, error)
        return
    to_host(host, READY)
    while host.recv(1, socket.MSG_PEEK):
        serve()


def waited(host: socket.socket) -> float:
    """Asks the host for the seconds that this server's programs have waited for a CPU: here is no /proc."""
    to_host(host, WAITED)
    return float(from_host(host))


def say_trouble(host: socket.socket, error: OSError) -> None:
    """Tells the host that nothing can run here, and why."""
    to_host(host, TROUBLE + str(error).encode(errors="replace"))
