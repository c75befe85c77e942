"""The wire between a program and its checker: a stream socket that carries whole messages.

A message is sent as its length, 4 bytes in big-endian order, followed by its bytes.
"""

from __future__ import annotations

import os

LONGEST = 16 << 20
"""The most bytes of one message; a longer one is not read."""


class Gone(Exception):
    """The other side hung up, or, if there is a text, sent something that is not a message."""


class Wire:
    """One end of the wire. Each message of one side is answered by one message of the other."""

    def __init__(self, descriptor: int) -> None:
        # Not a socket object: making one takes as long as everything else that a fork does at its start.
        self._descriptor = descriptor
        self._arrived = b""

    def send(self, message: bytes) -> None:
        """Sends one message. Raises `Gone`."""
        left = len(message).to_bytes(4) + message
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            raise Gone from None

    def receive(self) -> bytes:
        """The next message. Raises `Gone`."""
        head = self._take(4)
        length = int.from_bytes(head)
        if length > LONGEST:
            raise Gone(f"{length} bytes are too long for an answer")
        return self._take(length)

    def _take(self, n: int) -> bytes:
        if len(self._arrived) < n:
            parts, size = [self._arrived], len(self._arrived)
            while size < n:
                try:
                    part = os.read(self._descriptor, max(1 << 16, n - size))
                except OSError:
                    part = b""
                if not part:
                    raise Gone
                parts.append(part)
                size += len(part)
            self._arrived = b"".join(parts)
        taken, self._arrived = self._arrived[:n], self._arrived[n:]
        return taken
