"""Prepares pictures, clips and videos for a model: decodes them and writes a format that every server reads.

The work is done in threads, outside the event loop (the decoders release the interpreter lock), for videos in
processes, and only once per run and file, whatever the number of questions with that file. The results are
kept in a temporary folder of the run, so that memory does not grow with the data set. `evalkit.media.kinds`
defines what is done with each kind.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ParamSpec, Protocol, TypeAlias, TypeVar

from evalkit.errors import MediaError
from evalkit.media.kinds import KINDS, Sent, ShowSettings, video_workers
from evalkit.media.sent import SentFile
from evalkit.models.base import Request
from evalkit.processes.workers import Workers
from evalkit.samples import Audio, Image, Prompt, Shown, Speech
from evalkit.scratch import Scratch

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Key: TypeAlias = tuple[object, ...]


class MediaStore(Protocol):
    """What notes the files that are sent: a run file (`evalkit.runfile.store.Store`)."""

    def add_media(self, medium: SentFile) -> None: ...


class MediaCache:
    """Prepares the files of one run. `close` removes the temporary folder."""

    def __init__(self, store: MediaStore) -> None:
        self._store = store
        self._made: dict[_Key, Sent | MediaError] = {}
        self._making: dict[_Key, asyncio.Task[None]] = {}
        self._folder: Scratch | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._workers: Workers | None = None

    async def ready(self, request: Request) -> Request:
        """Returns the request with its files as they are sent, videos as pictures. Raises `MediaError`."""
        ready: dict[Shown, tuple[Image | Audio, ...]] = {}
        for number, file in enumerate(request.media, 1):
            try:
                if file not in ready:
                    ready[file] = await self._prepared(file, request)
            except MediaError as error:
                if len(request.media) == 1:
                    raise
                raise MediaError(f"file {number} of {len(request.media)}: {error}") from None
        return dataclasses.replace(request, prompt=_with(request.prompt, ready))

    async def keep(self, made: Iterable[Image | Audio]) -> None:
        """Stores small copies of files that a model made; without a copy if a file cannot be decoded."""
        for file in made:
            medium = SentFile(file.key, file.mime, 0, 0, 0.0, file.size, b"")
            with contextlib.suppress(MediaError):
                found, _ = await KINDS[file.kind].prepare(
                    file, ShowSettings(), self._place((file.key,)), self
                )
                medium = dataclasses.replace(found, mime=file.mime, size=file.size)
            self._store.add_media(medium)

    def _place(self, key: _Key) -> Path:
        if self._folder is None:
            self._folder = Scratch()
        return Path(self._folder.path, "-".join(map(str, key)))

    def close(self) -> None:
        for task in self._making.values():  # after an interrupted run nothing more may be stored
            task.cancel()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        if self._workers is not None:
            self._workers.close()
        if self._folder is not None:
            self._folder.close()

    async def _prepared(self, file: Shown, request: Request) -> tuple[Image | Audio, ...]:
        if file.problem:
            raise MediaError(file.problem)
        kind = KINDS[file.kind]
        look = ShowSettings(request.max_pixels, request.resample, request.frames, request.frame_rule)
        key = (file.kind, file.key, *kind.look(look))
        if key not in self._made:
            if key not in self._making:
                self._making[key] = asyncio.create_task(self._make(file, look, key))
            # If one sample is cancelled, the others that wait for the file must still get it.
            await asyncio.shield(self._making[key])
        made = self._made[key]
        if isinstance(made, MediaError):
            raise MediaError(f"{file.name[-200:]!r}: {made}" if file.name else str(made))
        if made is None:
            assert isinstance(file, Image | Audio)  # a video is never sent as it is
            return (file,)
        return await self.in_thread(_load, kind.sent, made)

    async def _make(self, file: Shown, look: ShowSettings, key: _Key) -> None:
        try:
            medium, sent = await KINDS[file.kind].prepare(file, look, self._place(key), self)
        except MediaError as error:
            self._made[key] = error
        else:
            self._store.add_media(medium)
            self._made[key] = sent
        del self._making[key]

    async def in_thread(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="media")
        work = partial(function, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def apart(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        if self._workers is None:
            self._workers = video_workers()
        return await self._workers.call(function, *args, **kwargs)


def _with(prompt: Prompt, ready: Mapping[Shown, tuple[Image | Audio, ...]]) -> Prompt:
    """Returns the prompt with its files replaced."""
    if isinstance(prompt, str):
        return prompt
    if isinstance(prompt, Speech):
        (audio,) = ready[prompt.audio]
        assert isinstance(audio, Audio)
        return dataclasses.replace(prompt, audio=audio)
    return tuple(
        dataclasses.replace(
            message,
            content=tuple(
                sent for part in message.parts for sent in ([part] if isinstance(part, str) else ready[part])
            ),
        )
        for message in prompt
    )


def _load(kind: type[Image] | type[Audio], places: tuple[Path, ...]) -> tuple[Image | Audio, ...]:
    read = {place: kind(place.read_bytes()) for place in dict.fromkeys(places)}
    return tuple(read[place] for place in places)
