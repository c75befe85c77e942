"""Pictures and clips on their way to a model: decoded, and brought into a form that every server reads.

Done in threads, off the event loop (the decoders let go of the interpreter meanwhile), and once a run for
each file, however many questions show it. What came out stands in a folder of the run's own, so that
memory does not grow with the data set.
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
from evalkit.samples import Audio, Image, Prompt, Speech
from evalkit.store import Medium, Store

if TYPE_CHECKING:
    from evalkit.media.audio import PreparedAudio
    from evalkit.media.image import Prepared

_Arguments = TypeVarTuple("_Arguments")
_Result = TypeVar("_Result")
_File: TypeAlias = Image | Audio
_Key: TypeAlias = tuple[str, int, str]
_Made: TypeAlias = "Path | MediaError | None"
"""Where the prepared file stands, what is wrong with it, or None: it is sent as it is."""


class MediaRoom:
    """Prepares the files of one run. `close` removes what they were spilled to."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._made: dict[_Key, _Made] = {}
        self._making: dict[_Key, asyncio.Task[None]] = {}
        self._folder: TemporaryDirectory[str] | None = None
        self._threads: ThreadPoolExecutor | None = None

    async def ready(self, request: Request) -> Request:
        """The request with every file as it goes over the wire. Raises `MediaError`."""
        ready: dict[_File, _File] = {}
        for number, file in enumerate(request.media, 1):
            try:
                if file not in ready:
                    ready[file] = await self._prepared(file, request)
            except MediaError as error:
                if len(request.media) == 1:
                    raise
                raise MediaError(f"the {number}. of {len(request.media)} files: {error}") from None
        return dataclasses.replace(request, prompt=_with(request.prompt, ready))

    def close(self) -> None:
        for task in self._making.values():  # of a run that was cut off: nothing more may be stored
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._folder is not None:
            self._folder.cleanup()

    async def _prepared(self, file: _File, request: Request) -> _File:
        key = (file.key, request.max_pixels, request.resample)
        if key not in self._made:
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(file, key))
            # A sample that is cancelled must not take the file from the others that wait for it.
            await asyncio.shield(self._making[key])
        made = self._made[key]
        if isinstance(made, MediaError):
            raise MediaError(str(made))
        return file if made is None else await self._in_thread(_load, type(file), made)

    async def _make(self, file: _File, key: _Key) -> None:
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="evalkit-")
        place = Path(self._folder.name, "-".join(map(str, key)))
        try:
            medium, whole = await self._in_thread(_prepare, file, key, place)
        except MediaError as error:
            self._made[key] = error
        else:
            self._store.add_media(medium)
            self._made[key] = None if whole else place
        del self._making[key]

    async def _in_thread(
        self, function: Callable[[Unpack[_Arguments]], _Result], *args: *_Arguments
    ) -> _Result:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="media")
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)


def _with(prompt: Prompt, ready: dict[_File, _File]) -> Prompt:
    """The prompt with its files exchanged."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Speech):
        audio = ready[prompt.audio]
        assert isinstance(audio, Audio)
        return dataclasses.replace(prompt, audio=audio)
    return tuple(
        dataclasses.replace(
            message, content=tuple(p if isinstance(p, str) else ready[p] for p in message.parts)
        )
        for message in prompt
    )


def _load(kind: type[_File], place: Path) -> _File:
    return kind(place.read_bytes())


def _prepare(file: _File, key: _Key, place: Path) -> tuple[Medium, bool]:
    """(what the run file keeps of it, whether it is sent as it is); else what is sent is at `place`."""
    prepared: Prepared | PreparedAudio
    if isinstance(file, Image):
        from evalkit.media.image import prepare

        prepared = prepare(file.data, key[1], key[2])
        size = (prepared.width, prepared.height, 0.0)
    else:
        from evalkit.media.audio import prepare as prepare_audio

        prepared = prepare_audio(file.data)
        size = (0, 0, prepared.seconds)
    whole = prepared.data == file.data
    if not whole:
        place.write_bytes(prepared.data)
    return Medium(file.key, prepared.mime, *size, len(prepared.data), prepared.preview), whole
