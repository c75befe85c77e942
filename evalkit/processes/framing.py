"""Whole messages between a process and the one that started it, its host, as the former sends and takes them.

A message is 8 bytes that hold its length, most significant first, and then itself. Some of those processes
run in the sandbox, so this imports little, and of the standard library only.
"""

from __future__ import annotations

import os
import socket
import struct

LENGTH = struct.Struct("!Q")


def from_host(host: socket.socket) -> bytes:
    """One message of the host, and no byte of the next. Ends this process when the host hangs up."""
    message, left = bytearray(), LENGTH.size
    while left:
        part = host.recv(min(left, 1 << 20))
        if not part:
            os._exit(0)
        message += part
        left -= len(part)
        if len(message) == LENGTH.size:
            (left,) = LENGTH.unpack(message)
    return bytes(message[LENGTH.size :])


def to_host(host: socket.socket, head: bytes, rest: bytes | memoryview = b"") -> None:
    """Sends `head` and `rest` as one message, without a copy of `rest`. Raises `OSError`."""
    host.sendall(LENGTH.pack(len(head) + len(rest)) + head)
    host.sendall(rest)
