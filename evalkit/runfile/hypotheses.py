"""A model that answers with texts from a file, by the id of the sample: existing transcripts are scored."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import final

import orjson

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import capabilities_of
from evalkit.samples import JSON

_TRN = re.compile(r"(?:(.*)\s)?\(([^()]+)\)\s*")


@final
class Hypotheses:
    """The model `replay/FILE.trn`, `.tsv` or `.jsonl`. Its identity is the file's digest.

    `.trn`: lines `text (id)`, as NIST's sclite reads them; `.tsv`: `id<TAB>text`; `.jsonl`: objects with
    `id` and `text`. A sample whose id is not in the file fails, and no other sample's text is returned.
    """

    capabilities: frozenset[Capability] = capabilities_of("replay") - {"logprobs", "echo", "tools", "prefill"}
    parallel: int | None = None

    def __init__(self, path: Path) -> None:
        """Raises `UsageError` for a file that cannot be read, has another form or one id twice."""
        try:
            data = path.read_bytes()
            text = data.decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read as UTF-8: {error}") from None
        self.name = f"replay/{path.name}"
        self._path, self._digest = path, hashlib.sha256(data).hexdigest()
        self._texts: dict[str, str] = {}
        for number, (sample, said) in _entries(path, text):
            if sample in self._texts:
                raise UsageError(f"{path}, line {number}: the id {sample!r} has a text already")
            self._texts[sample] = said
        if not self._texts:
            raise UsageError(f"{path} has no texts")

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "hypotheses", "sha256": self._digest}

    def said(self, sample: str, draw: int) -> Response:
        """The text of a sample. Raises `ProviderError` if there is none."""
        if draw:
            raise ProviderError(f"{self._path} has one text a sample, and draw {draw} needs another one")
        if sample not in self._texts:
            raise ProviderError(f"{self._path} has no text for the id {sample!r} ({len(self._texts)} others)")
        return Response(self._texts[sample])

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        raise ProviderError(f"{self.name} has texts by sample, and here there is none", fatal=True)

    async def aclose(self) -> None:
        return None


def _entries(path: Path, text: str) -> Iterator[tuple[int, tuple[str, str]]]:
    read = READERS[path.suffix]
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or (path.suffix == ".trn" and line.startswith(";;")):
            continue
        try:
            yield number, read(line.rstrip("\r"))
        except (ValueError, KeyError, TypeError):
            raise UsageError(
                f"{path}, line {number}: must be {_FORMS[path.suffix]}, not {line:.60}"
            ) from None


def _trn(line: str) -> tuple[str, str]:
    found = _TRN.fullmatch(line)
    if found is None:
        raise ValueError(line)
    return found[2], (found[1] or "").strip()


def _tsv(line: str) -> tuple[str, str]:
    sample, said = line.split("\t")
    return sample, said


def _json(line: str) -> tuple[str, str]:
    row = orjson.loads(line)
    if not isinstance(row["text"], str):
        raise ValueError(line)
    return str(row["id"]), row["text"]


READERS: dict[str, Callable[[str], tuple[str, str]]] = {".trn": _trn, ".tsv": _tsv, ".jsonl": _json}
"""By the file's ending."""
_FORMS = {
    ".trn": "a text and its id, text (id)",
    ".tsv": "an id and its text with a tab between them",
    ".jsonl": 'an object such as {"id": "a", "text": "b"}',
}
