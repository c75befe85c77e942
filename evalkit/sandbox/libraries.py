"""Finds the shared libraries that ELF programs need, in the places where the system's loader finds them."""

from __future__ import annotations

import mmap
import os
import struct
import sysconfig
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# From <elf.h>, for 64 bits and little-endian, as on both machines that the sandbox supports.
_IDENT = b"\x7fELF\x02\x01"
_HEADER = struct.Struct("<16sHHIQQQIHHH")
"""The ELF header up to e_phnum."""
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ENTRY = struct.Struct("<qQ")
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 15, 29


@dataclass(frozen=True, slots=True)
class _Object:
    """What an ELF file tells the loader."""

    machine: int
    interpreter: str = ""
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    """Folders to search for the libraries that this file needs, and for those that they need in turn."""
    runpath: tuple[str, ...] = ()
    """Folders to search only for the libraries that this file needs; if there are any, `rpath` is ignored."""


def libraries(program: str, others: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The loader that `program` names, and the paths by name of the libraries that it and `others` need.

    `others`: paths of extension modules, and names of libraries that are loaded by name. If two libraries
    have the same name, the first one counts. A library that is not found is left out: a file that needs it
    does not load outside the sandbox either.
    """
    start = _read(program)
    if start is None:
        return "", {}
    found: dict[str, str] = {}
    waiting: deque[tuple[str, tuple[str, ...]]] = deque([(program, ())])
    for other in others:
        path = other if "/" in other else _find(other, (), start.machine)
        if path and "/" not in other:
            found[other] = path
        if path:
            waiting.append((path, ()))
    seen = set(waiting)
    while waiting:
        path, inherited = waiting.popleft()
        this = _read(path)
        if this is None:
            continue
        searched = this.runpath or (*this.rpath, *inherited)
        for name in this.needed:
            library = _find(name, searched, start.machine)
            if library:
                found.setdefault(name, library)
                # The RPATH of a file without RUNPATH also applies to the libraries of its libraries.
                more = library, () if this.runpath else searched
                if more not in seen:
                    seen.add(more)
                    waiting.append(more)
    return start.interpreter, found


@cache
def _find(name: str, folders: tuple[str, ...], machine: int) -> str:
    """The path of library `name`, or "". Like the loader, it skips libraries of other machines."""
    for folder in (*folders, *_system_folders()):
        path = f"{folder}/{name}"
        this = _read(path)
        if this is not None and this.machine == machine:
            return path
    return ""


@cache
def _system_folders() -> tuple[str, ...]:
    """The folders where the loader looks for a library if no file gives its folder."""
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    for file in sorted(Path("/etc").glob("ld*.conf.d/*.conf")) + [Path("/etc/ld.so.conf")]:
        with suppress(OSError):
            folders += file.read_text(errors="replace").splitlines()
    multiarch = sysconfig.get_config_var("MULTIARCH")
    for root in ("/lib", "/usr/lib", "/usr/local/lib"):
        folders += [f"{root}/{multiarch}", f"{root}64", root]
    return tuple(dict.fromkeys(folder for folder in folders if folder.startswith("/")))


@cache
def _read(path: str) -> _Object | None:
    """The ELF file at `path`; None if there is none."""
    try:
        with Path(path).open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # ValueError: an empty file
        return None
    with data:
        try:
            return _parse(data, str(Path(path).parent))
        except (struct.error, UnicodeDecodeError):
            return None


def _parse(data: mmap.mmap, origin: str) -> _Object | None:
    if data[: len(_IDENT)] != _IDENT:
        return None
    _, _, machine, _, _, segments_at, _, _, _, size, count = _HEADER.unpack_from(data)
    segments = [_SEGMENT.unpack_from(data, segments_at + n * size) for n in range(count)]
    interpreter, entries = "", list[tuple[int, int]]()
    for kind, _, at, _, _, length, _, _ in segments:
        if kind == _PT_INTERP:
            interpreter = data[at : at + length].rstrip(b"\0").decode()
        elif kind == _PT_DYNAMIC:
            entries = list(_ENTRY.iter_unpack(data[at : at + length - length % _ENTRY.size]))
    tags = dict(entries)
    strings = 0
    for kind, _, at, address, _, length, _, _ in segments:
        if kind == _PT_LOAD and address <= tags.get(_DT_STRTAB, -1) < address + length:
            strings = at + tags[_DT_STRTAB] - address

    def text(offset: int) -> str:
        start = strings + offset
        return data[start : data.find(b"\0", start)].decode()

    def folders(tag: int) -> tuple[str, ...]:
        words = (
            text(tags[tag]).replace("${ORIGIN}", "$ORIGIN").replace("$ORIGIN", origin) if tag in tags else ""
        )
        return tuple(filter(None, words.split(":")))

    ends = [n for n, (tag, _) in enumerate(entries) if tag == _DT_NULL]
    needed = [text(value) for tag, value in entries[: min(ends, default=None)] if tag == _DT_NEEDED]
    return _Object(machine, interpreter, tuple(needed), folders(_DT_RPATH), folders(_DT_RUNPATH))
