"""A program that reads lines from standard input and writes lines to standard output, under a guard.

Threads read and write, so that it belongs to no event loop, and so that a program that neither reads nor
writes blocks nobody.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evalkit.scratch import Scratch

_GUARD = Path(__file__).with_name("guard.py")
_KEPT = 4096
"""The last bytes of standard error that are kept."""
_SHOWN_LINES, _SHOWN = 3, 300
_ENDING = 3.0
"""The seconds in which a program ends after its output did, unless it only closed the output."""
_PATIENCE = 5.0
"""The seconds in which the guard has to end the program."""


class LineProgram:
    """`heard` is called with each line, and then `ended` once, with how the program ended; both in a thread.

    `longest`: the most bytes of a line. Of a longer one, `heard` gets more than that but not all, and the
    program is killed. Nothing of it is left after its end, after `kill`, or when this process ends, in
    whatever way.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        longest: int,
        heard: Callable[[bytes], None],
        ended: Callable[[str], None],
    ) -> None:
        """Starts the program. Nothing is read or written before `listen`. Raises `OSError`."""
        self._scratch = Scratch()
        self.folder = self._scratch.path
        """A private folder for files that it is to read; it is removed with the program."""
        self._longest, self._heard, self._ended = longest, heard, ended
        theirs, self._lifeline = os.pipe()
        guarded = [sys.executable, "-I", "-S", str(_GUARD), str(theirs), str(self.folder), *command]
        pipe = subprocess.PIPE
        try:
            self._guard = subprocess.Popen(
                guarded, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, pass_fds=[theirs],
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(self._lifeline)
            self._scratch.close()
            raise
        finally:
            os.close(theirs)
        self._words = b""
        self._closing = threading.Lock()
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._listening = threading.Thread(target=self._keep_words, name="program-errors", daemon=True)

    def listen(self) -> None:
        """Begins to read and to write."""
        self._listening.start()
        for work in (self._write, self._read):
            threading.Thread(target=work, name="program-lines", daemon=True).start()

    def send(self, line: bytes) -> None:
        """Writes `line` and its end as soon as the program reads. After the program's end it is lost."""
        self._lines.put(line)

    def kill(self) -> None:
        """Ends the program and everything that it started."""
        with self._closing:
            if self._lifeline >= 0:
                os.close(self._lifeline)
                self._lifeline = -1
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._guard.wait(_PATIENCE)
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._guard.pid, signal.SIGKILL)
        self._guard.wait()

    def _write(self) -> None:
        assert self._guard.stdin is not None
        with contextlib.suppress(OSError), self._guard.stdin as pipe:
            while (line := self._lines.get()) is not None:
                pipe.write(line + b"\n")
                pipe.flush()

    def _keep_words(self) -> None:
        assert self._guard.stderr is not None
        with self._guard.stderr as pipe:
            while part := os.read(pipe.fileno(), 1 << 16):
                self._words = (self._words + part)[-_KEPT:]

    def _read(self) -> None:
        assert self._guard.stdout is not None
        with self._guard.stdout as pipe:
            while (line := pipe.readline(self._longest + 1)).endswith(b"\n"):
                self._heard(line[:-1])
            if len(line) > self._longest:
                self._heard(line)  # any other line without an end is what a program had written when it ended
        how = "closed its standard output"
        with contextlib.suppress(subprocess.TimeoutExpired):
            how = f"ended ({_name(self._guard.wait(_ENDING))})"
        self.kill()
        self._lines.put(None)
        self._listening.join(1.0)
        words = self._words.decode(errors="replace").splitlines()[-_SHOWN_LINES:]
        said = " | ".join(" ".join(line.split()) for line in words if line.strip())[-_SHOWN:]
        self._ended(f"{how}: {said}" if said else how)


def _name(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    known = {int(one): one.name for one in signal.Signals}
    return known.get(-code, f"signal {-code}")
