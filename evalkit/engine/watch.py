"""Keeps what is sent for each sample, as it is sent, for `evalkit run --only ID -v`."""

from __future__ import annotations

import re
from typing import Any

from evalkit.engine.client import Asker
from evalkit.engine.progress import Progress
from evalkit.models.base import Model, Request
from evalkit.samples import JSON

_DATA = re.compile(r"(data:[\w/.+-]*;base64,)?[A-Za-z0-9+/]{200,}={0,2}")


class Watching:
    """A progress that passes everything on to `progress`, and keeps the requests.

    `sent`: by (number of the cell, the sample's id), each request with how often it was sent, in order.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.sent: dict[tuple[int, str], list[tuple[JSON, int]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._progress, name)

    def on_sent(self, model: Model, request: Request, asker: Asker) -> None:
        """A request was sent. It is kept as the model's `wire` shows it, else as the run file has it."""
        wire = getattr(model, "wire", None)
        shown = without_media(request.body() if wire is None else wire(request))
        found = self.sent.setdefault((asker.cell.id, asker.sample), [])
        for at, (before, count) in enumerate(found):
            if before == shown:
                found[at] = before, count + 1
                return
        found.append((shown, 1))


def without_media(value: JSON) -> JSON:
    """`value` with the size of each picture and clip in place of its base64."""
    if isinstance(value, dict):
        return {key: without_media(one) for key, one in value.items()}
    if isinstance(value, list):
        return [*map(without_media, value)]
    if isinstance(value, str) and (found := _DATA.fullmatch(value)):
        start = found[1] or ""
        return f"{start}… ({(len(value) - len(start)) * 3 // 4:,} bytes)"
    return value
