"""A model that answers with texts from a file, by the id of the sample: existing transcripts are scored.

Forms are those of NIST's sclite (SCTK 2.4.10, doc/infmts.htm: trn, stm, ctm), and two others. A text is taken
as it is: alternatives, `{ a / b }`, are refused, because a hypothesis is one text.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import final
from urllib.parse import unquote

import orjson

from evalkit.errors import ProviderError, UsageError
from evalkit.models.base import Capability, Request, Response
from evalkit.models.registry import capabilities_of
from evalkit.samples import JSON

_BRACE, _SLASH = re.compile(r"(?:^|\s)\{\s"), re.compile(r"\s/\s")
_LABEL = re.compile(r"<[^<>\s]*(?:,[^<>\s]*)*>")
_IGNORED = "IGNORE_TIME_SEGMENT_IN_SCORING"
NO_WORDS = ";; no words: "
"""A comment of evalkit's own before an id whose text is empty: a .ctm file has no line for it."""
GZIP = ".gz"


@final
class Hypotheses:
    """The model `replay/FILE.trn`, `.stm`, `.ctm`, `.tsv` or `.jsonl`, also with `.gz` after it.

    Its identity is the digest of the text, the same for a file and its gzip. A sample whose id is not in the
    file fails, and no other sample's text is returned.

    `.trn`: lines `text (id)`; `.stm`: `id channel speaker begin end <label> text`; `.ctm`: a word a line,
    `id channel begin duration word`; `.tsv`: `id<TAB>text`, with or without the heading `id<TAB>text`;
    `.jsonl`: objects with `id` and `text`. In `.stm` and `.ctm` a space in an id is written as `%20`; words
    and segments of one id are put together in the order of their times.
    """

    capabilities: frozenset[Capability] = capabilities_of("replay") - {"logprobs", "echo", "tools", "prefill"}
    parallel: int | None = None

    def __init__(self, path: Path) -> None:
        """Raises `UsageError` for a file that cannot be read, has another form or one id twice."""
        data, text = _decoded(path)
        self.name = f"replay/{path.name}"
        self._path, self._digest = path, hashlib.sha256(data).hexdigest()
        form = form_of(path)
        self._spoken = _in_order(path, text) if form in _TIMED else {}
        joined = {sample: " ".join(said for said, *_ in found) for sample, found in self._spoken.items()}
        self._texts = joined if form in _TIMED else _by_line(path, text)
        if not self._texts:
            raise UsageError(f"{path} has no texts")

    @property
    def identity(self) -> dict[str, JSON]:
        return {"backend": "hypotheses", "sha256": self._digest}

    @property
    def ids(self) -> Collection[str]:
        return self._texts.keys()

    async def answer_of(self, sample: str, *, draw: int = 0) -> Response:
        """The text of a sample. Raises `ProviderError` if there is none."""
        if draw > 0:
            raise ProviderError(f"{self._path} has one text a sample, and draw {draw} needs another one")
        if sample not in self._texts:
            raise ProviderError(f"{self._path} has no text for the id {sample!r} ({len(self._texts)} others)")
        return Response(self._texts[sample], spoken=self._spoken.get(sample, ()))

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        raise ProviderError(f"{self.name} has texts by sample, and here there is none", fatal=True)

    async def aclose(self) -> None:
        return None


def form_of(path: Path) -> str:
    """The ending that says how a file is read, such as `.trn`, without `.gz`; "" if it is none of them."""
    inner = path.with_suffix("") if path.suffix.lower() == GZIP else path
    ending = inner.suffix.lower()
    return ending if ending in _FORMS else ""


def _decoded(path: Path) -> tuple[bytes, str]:
    """(bytes, text) of the file, unpacked. Raises `UsageError`."""
    try:
        data = path.read_bytes()
        if path.suffix.lower() == GZIP:
            data = gzip.decompress(data)
        text = data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read as UTF-8: {error}") from None
    return data, text.replace("\r\n", "\n").replace("\r", "\n")


def _lines(path: Path, text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines that are neither empty nor comments."""
    comments, ctm = form_of(path) in (".trn", *_TIMED), form_of(path) == ".ctm"
    for number, line in enumerate(text.split("\n"), 1):
        if ctm and line.startswith(NO_WORDS):
            yield number, f"{line.removeprefix(NO_WORDS)} 1 0 0 @"
        elif line.strip() and not (comments and line.startswith(";;")):
            yield number, line


def _by_line(path: Path, text: str) -> dict[str, str]:
    form = form_of(path)
    texts: dict[str, str] = {}
    for number, line in _lines(path, text):
        if number == 1 and form == ".tsv" and line.strip().casefold() == "id\ttext":
            continue
        try:
            sample, said = _READERS[form](line)
        except (ValueError, KeyError, TypeError):
            raise _other_form(path, number, line) from None
        if sample in texts:
            raise UsageError(f"{path}, line {number}: the id {sample!r} has a text already")
        texts[sample] = _one_text(path, number, said) if form == ".trn" else said
    return texts


def _in_order(path: Path, text: str) -> dict[str, tuple[tuple[str, float, float], ...]]:
    """The words or segments with their times, by id, as in `Response.spoken`."""
    read = _TIMED[form_of(path)]
    pieces: dict[str, list[tuple[str, float, float]]] = {}
    for number, line in _lines(path, text):
        try:
            sample, began, ended, said = read(line)
        except ValueError:
            raise _other_form(path, number, line) from None
        if said != _IGNORED:
            pieces.setdefault(unquote(sample), []).append((_one_text(path, number, said), began, ended))
    ordered = {sample: sorted(found, key=lambda piece: piece[1]) for sample, found in pieces.items()}
    return {sample: tuple(piece for piece in found if piece[0]) for sample, found in ordered.items()}


def _other_form(path: Path, number: int, line: str) -> UsageError:
    return UsageError(f"{path}, line {number}: must be {_FORMS[form_of(path)]}, not {line:.60}")


def _one_text(path: Path, number: int, said: str) -> str:
    """Raises `UsageError` for sclite's alternatives, of which each word would be scored."""
    if (_BRACE.search(said) and _SLASH.search(said)) or said.startswith("<ALT"):
        raise UsageError(f"{path}, line {number}: has alternatives, and an answer is one text: {said:.60}")
    return said


def _trn(line: str) -> tuple[str, str]:
    """The id stands in the last parentheses, and may itself have some."""
    line, depth = line.rstrip(), 0
    for place in range(len(line) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(line[place], 0)
        if depth <= 0:
            break
    else:
        raise ValueError(line)
    sample, before = line[place + 1 : -1], line[:place]
    if depth or not line.endswith(")") or not sample.strip() or (before and not before[-1].isspace()):
        raise ValueError(line)
    return sample, before.strip()


def _tsv(line: str) -> tuple[str, str]:
    sample, said = line.split("\t")
    return sample, said


def _json(line: str) -> tuple[str, str]:
    row = orjson.loads(line)
    if not isinstance(row["text"], str) or not isinstance(row["id"], str | int):
        raise ValueError(line)
    return str(row["id"]), row["text"]


def _stm(line: str) -> tuple[str, float, float, str]:
    sample, _, _, began, ended, *rest = line.split(None, 5)
    label = _LABEL.match(rest[0]) if rest else None
    said = rest[0][label.end() if label else 0 :].strip() if rest else ""
    return sample, float(began), float(ended), said


def _ctm(line: str) -> tuple[str, float, float, str]:
    sample, _, began, duration, word, *_ = line.split()
    if began == duration == "*":
        return sample, 0.0, 0.0, word  # sclite's marks of alternatives, which are refused
    return sample, float(began), float(began) + float(duration), "" if word == "@" else word


_READERS: dict[str, Callable[[str], tuple[str, str]]] = {".trn": _trn, ".tsv": _tsv, ".jsonl": _json}
_TIMED: dict[str, Callable[[str], tuple[str, float, float, str]]] = {".stm": _stm, ".ctm": _ctm}
_FORMS = {
    ".trn": "a text and its id, text (id)",
    ".tsv": "an id and its text with a tab between them",
    ".jsonl": 'an object such as {"id": "a", "text": "b"}',
    ".stm": "an id, a channel, a speaker, two times and a text",
    ".ctm": "an id, a channel, a time, a duration and a word",
}
