"""Pictures on their way to a model: decoded, brought into a form that every server reads, encoded.

Done in threads, off the event loop (Pillow lets go of the interpreter meanwhile), and once a run for each
picture, however many questions show it. What came out stands in a folder of the run's own, so that memory
does not grow with the data set.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeAlias, TypeVar, TypeVarTuple, Unpack

from evalkit.errors import MediaError
from evalkit.models.base import Request
from evalkit.samples import Image, Message
from evalkit.store import Store

if TYPE_CHECKING:
    from evalkit.media.image import Prepared

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_Key: TypeAlias = tuple[str, int, str]
_Made: TypeAlias = "Path | MediaError | None"
"""Where the prepared picture stands, what is wrong with it, or None: it is sent as it is."""


class Pictures:
    """Prepares pictures for one run. `close` removes what they were spilled to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[_Key, _Made] = {}
        self._making: dict[_Key, asyncio.Task[_Made]] = {}
        self._folder: TemporaryDirectory[str] | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def ready(self, request: Request) -> Request:
        """The request with every picture as it goes over the wire. Raises `MediaError`."""
        assert not isinstance(request.prompt, str)  # a text shows no pictures
        ready = {image: await self._prepared(image, request) for image in dict.fromkeys(request.images)}
        prompt = tuple(
            Message(message.role, tuple(ready[p] if isinstance(p, Image) else p for p in message.parts))
            for message in request.prompt
        )
        return dataclasses.replace(request, prompt=prompt)

    def close(self) -> None:
        for task in self._making.values():  # of a run that was cut off: nothing more may be stored
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    async def _prepared(self, image: Image, request: Request) -> Image:
        key = (image.key, request.max_pixels, request.resample)
        if key not in self._made:
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(image, key))
            # A sample that is cancelled must not take the picture from the others that wait for it.
            await asyncio.shield(self._making[key])
        made = self._made[key]
        if isinstance(made, MediaError):
            raise MediaError(str(made))
        return image if made is None else await self._in_thread(_load, made)

    async def _in_thread(
        self, function: Callable[[Unpack[_Arguments]], _Result], *args: *_Arguments
    ) -> _Result:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="pictures")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    async def _make(self, image: Image, key: _Key) -> _Made:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="evalkit-")
        place = Path(self._folder.name, f"{len(self._making)}-{image.key}")
        made: _Made
        try:
            prepared, made = await self._in_thread(_prepare, image, key, place)
            self._store.add_media(
                image.key,
                prepared.mime,
                prepared.width,
                prepared.height,
                len(prepared.data),
                prepared.preview,
            )
        except MediaError as error:
            made = error
        self._made[key] = made
        del self._making[key]
        return made


def _load(place: Path) -> Image:
    return Image(place.read_bytes())


def _prepare(image: Image, key: _Key, place: Path) -> tuple[Prepared, Path | None]:
    from evalkit.media.image import prepare

    prepared = prepare(image.data, key[1], key[2])
    if prepared.data == image.data:
        return prepared, None
    place.write_bytes(prepared.data)
    return prepared, place
