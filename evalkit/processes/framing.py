"""Whole messages between a child process and the process that started it, its host: the child's end.

A message is sent as its length, 8 bytes in big-endian order, followed by its bytes. Some children run in the
sandbox, so this module imports little, and only from the standard library.
"""

from __future__ import annotations

import os
import socket
import struct

LENGTH = struct.Struct("!Q")


def from_host(host: socket.socket) -> bytes:
    """Reads one message of the host, and no byte of the next. Ends this process if the host hangs up."""
    message = received(host)
    if message is None:
        os._exit(0)
    return message


def received(peer: socket.socket) -> bytes | None:
    """Reads one message, and no byte of the next; None if the other end hangs up. Raises `OSError`."""
    message, left = bytearray(), LENGTH.size
    while left:
        try:
            part = peer.recv(min(left, 1 << 20))
        except ConnectionResetError:  # it ended before it had read all that was sent to it
            return None
        if not part:
            return None
        message += part
        left -= len(part)
        if len(message) == LENGTH.size:
            (left,) = LENGTH.unpack(message)
    return bytes(message[LENGTH.size :])


def to_host(host: socket.socket, head: bytes, rest: bytes | memoryview = b"") -> None:
    """Sends `head` and `rest` as one message, without a copy of `rest`. Raises `OSError`."""
    host.sendall(LENGTH.pack(len(head) + len(rest)) + head)
    host.sendall(rest)
