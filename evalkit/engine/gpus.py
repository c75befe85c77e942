"""How busy the GPUs are on which a model in this process computes, for the line of progress."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence

_EVERY = 1.0
"""Seconds between two looks. NVML's own figures are means of up to a second."""


def _busy(gpu: int) -> int:
    """The percentage of the last moments in which a GPU computed, by its number for CUDA.

    It needs nvidia-ml-py beside PyTorch, and raises whatever these raise without it or without a GPU.
    """
    return int(sys.modules["torch"].cuda.utilization(gpu))


class Gpus:
    """Looks at most once a second, in a thread, because a look takes time. Nothing to see is no error.

    `model`: one with the attribute `gpus`, the numbers of its GPUs, which is empty before it is loaded.
    """

    def __init__(self, model: object, busy: Callable[[int], int] = _busy, every: float = _EVERY) -> None:
        self._model, self._busy, self._every = model, busy, every
        self._next = 0.0
        self._looking: threading.Thread | None = None
        self._found: list[int] = []
        self._blind = not hasattr(model, "gpus")

    def look(self) -> None:
        """Begins to look, unless it just did."""
        now = time.monotonic()
        if self._blind or now < self._next or (self._looking is not None and self._looking.is_alive()):
            return
        gpus: Sequence[int] = getattr(self._model, "gpus", ())
        if not gpus or "torch" not in sys.modules:
            return
        self._next = now + self._every
        self._looking = threading.Thread(target=self._look, args=(gpus,), name="gpus", daemon=True)
        self._looking.start()

    def told(self) -> str:
        """`GPU 97 %`, or `GPUs 91–98 %` for several, as last seen; "" if nothing was."""
        if not self._found:
            return ""
        least, most = min(self._found), max(self._found)
        share = f"{least} %" if least == most else f"{least}–{most} %"
        return f"GPU{'s' if len(self._found) > 1 else ''} {share}"

    def _look(self, gpus: Sequence[int]) -> None:
        try:
            self._found = [self._busy(gpu) for gpu in gpus]
        except Exception:  # noqa: BLE001 — no package, no driver, no GPU: PyTorch and NVML name it differently
            self._found, self._blind = [], True
