"""BLEURT: how well a text says what a reference says, by a model that was trained on people's ratings.

Sellam et al. 2020 (arXiv 2004.04696); BLEURT-20 and its distilled forms: Pu et al. 2021 (arXiv 2110.06341).
The input and the model are those of google-research/bleurt at cebe7e6 (`evalkit.scoring.bleurt_model`), and
the weights those that lucadiliello/bleurt-pytorch converted. Each checkpoint is a metric of its own: figures
of two must not be compared.

A score may be below 0 or above 1. Before its first score, a checkpoint must give the scores that its
publisher prints for two pairs (`PUBLISHED`); if it does not, nothing is reported. A checkpoint of another
name needs scores of its own, in a file `bleurt_check.json` in its folder:

    {"max_tokens": 512, "pairs": [{"reference": "a cat", "candidate": "one cat", "score": 0.81}]}

GELU is computed as the checkpoint's config says: exactly for "gelu", as the published scores are. Google's
own code has the approximation by tanh under that name, so its scores may differ in the third decimal place.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.data.reach import reach
from evalkit.errors import UsageError
from evalkit.identity.declared import Declared
from evalkit.needs import installed
from evalkit.samples import JSON, Sample, Verdict
from evalkit.scoring.bleurt_model import CONFIG, PIECES, SETTINGS, TOLERANCES, WEIGHTS, WORDS, load, score
from evalkit.scoring.learned import Learned

VALUE = "bleurt"
"""The score's name in a verdict's values."""
CHECK = "bleurt_check.json"
FIX = "pip install 'evalkit[bleurt]'"
OWNER = "lucadiliello"
PACKAGES = ("torch", "safetensors", "sentencepiece", "tokenizers")
PAIRS = (
    ("a bird chirps by the window", "a bird chirps by the window"),
    ("this is a random sentence", "this looks like a random sentence"),
)
"""(reference, candidate) of the published scores."""
_BATCH = 64
_OWN = "own"


@dataclass(frozen=True, slots=True)
class Published:
    """The scores that a checkpoint's card has for `PAIRS`, and the most tokens of a pair."""

    scores: tuple[float, float]
    tokens: int = 512


PUBLISHED = {
    "BLEURT-20": Published((0.99905, 0.79302)),
    "BLEURT-20-D12": Published((0.96044, 0.80801)),
    "BLEURT-20-D6": Published((0.96369, 0.78955)),
    "BLEURT-20-D3": Published((0.95149, 0.80094)),
    "bleurt-base-128": Published((1.04745, 0.71052), 128),
    "bleurt-large-128": Published((1.08883, 0.83418), 128),
    "bleurt-large-512": Published((1.07212, 0.80369)),
}
"""By name, from the cards of the checkpoints on the Hub."""
_NAMES = {re.sub(r"\W+", "_", name).lower(): name for name in PUBLISHED}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a checkpoint must give: (reference, candidate, score) of pairs of at most `tokens` tokens."""

    tokens: int
    pairs: tuple[tuple[str, str, float], ...]


class Bleurt:
    """A scorer of a task: the verdict's value `bleurt` is the score of the best of the references.

    Only a reference itself, in any normal form, is right. The model runs in a worker process, on the GPU if
    there is one. Its identity is the checkpoint's name, the SHA-256 of its files, and the precision.
    """

    def __init__(self, given: str, precision: str = "float32") -> None:
        """`given`: the folder of a checkpoint, or its name on the Hub (`PUBLISHED`), from which it is read.

        Raises `UsageError` if it is neither, and for an unknown precision.
        """
        if precision not in TOLERANCES:
            raise UsageError(f"bleurt_precision must be one of {', '.join(TOLERANCES)}, not {precision!r}")
        self._given, self._precision = given, precision
        self._path = Path(given).expanduser()
        here = self._path.is_dir()
        name = _NAMES.get(_plain(_called(self._path) if here else given.rpartition("/")[2]), "")
        if not here and (not name or not re.fullmatch(r"(?:\w[\w.-]*/)?\w[\w.-]*", given)):
            raise UsageError(
                f"bleurt={given}: there is no such folder, and the checkpoints on the Hub are "
                f"{', '.join(PUBLISHED)}"
            )
        self._published = name
        self.name = _plain(name) if name else f"{_OWN}_{_plain(_called(self._path))}"
        """The metric's name, such as bleurt_20_d12; own_… for a checkpoint without published scores."""

    @property
    def __evalkit_identity__(self) -> Declared:
        try:
            folder = self._folder(download=False)
            splits = "sentencepiece" if _is_pieces(folder) else "tokenizers"
            packages, given = (splits,), f"model={self.name},weights=sha256:{self._digest}"
            given += "" if self._published else f",tokens={self._expected.tokens}"
        except UsageError:  # `needs` raises it again
            packages, given = PACKAGES[2:3], f"model={self.name},weights=none"
        given += "" if self._precision == "float32" else f",precision={self._precision}"
        return Declared("bleurt", 1, packages, given)

    def needs(self) -> None:
        """Raises `UsageError` if the packages or the weights are missing, or nothing is expected of these."""
        if missing := [package for package in PACKAGES if not installed(package)]:
            raise UsageError(f"BLEURT needs packages that are not installed ({', '.join(missing)}): {FIX}")
        self._folder()
        _ = self._expected

    async def __call__(self, answer: str, sample: Sample) -> Verdict:
        scores = await asyncio.gather(*(self._learned(answer, reference) for reference in sample.target))
        best = max(scores)
        same = _normal(answer) in map(_normal, sample.target)
        return Verdict(same, f"BLEURT {100 * best:.2f}", values={VALUE: best})

    def close(self) -> None:
        """Ends the worker process."""
        self._learned.close()

    @functools.cached_property
    def _learned(self) -> Learned:
        expected: list[JSON] = [list(pair) for pair in self._expected.pairs]
        return Learned(
            load,
            score,
            model=f"{self.name}@{self._digest[:12]}",
            given=(str(self._folder()), self._precision, self._expected.tokens, expected),
            batch=_BATCH,
        )

    @functools.cached_property
    def _digest(self) -> str:
        """The SHA-256 of the names and contents of the files that are used."""
        state = hashlib.sha256()
        for path in _files(self._folder(), self._given):
            with path.open("rb") as file:
                state.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        return state.hexdigest()

    @functools.cached_property
    def _expected(self) -> Expected:
        if self._published:
            held = PUBLISHED[self._published]
            pairs = zip(PAIRS, held.scores, strict=True)
            return Expected(held.tokens, tuple((*pair, value) for pair, value in pairs))
        return _own_expected(self._folder(), self._given)

    def _folder(self, *, download: bool = True) -> Path:
        """The folder with the checkpoint's files. Raises `UsageError` if one is missing."""
        folder = self._path if self._path.is_dir() else _from_hub(self._given, self._published, download)
        _files(folder, self._given)
        return folder


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_").lower()


def _called(folder: Path) -> str:
    """The folder's name, or that of the repository for a folder in the Hub's cache."""
    whole = folder.resolve()
    if whole.parent.name == "snapshots":
        return whole.parent.parent.name.rpartition("--")[2]
    return whole.name


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _is_pieces(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PIECES)


def _files(folder: Path, given: str) -> list[Path]:
    """The files of a checkpoint: its config, weights and tokeniser. Raises `UsageError` for a missing one."""
    found = []
    for names in ((CONFIG,), WEIGHTS, (*PIECES, WORDS)):
        path = next((path for name in names if (path := folder / name).is_file()), None)
        if path is None:
            hint = ""
            if (folder / "saved_model.pb").is_file():
                hint = f"; it is TensorFlow's form, and evalkit reads PyTorch's, such as {OWNER}/BLEURT-20"
            raise UsageError(f"bleurt={given}: there is no {' or '.join(names)} in {folder}{hint}")
        found.append(path)
    settings = folder / SETTINGS
    return [*found, settings] if found[-1].name == WORDS and settings.is_file() else found


def _own_expected(folder: Path, given: str) -> Expected:
    """Raises `UsageError` if the folder's `CHECK` is missing or has another form."""
    path = folder / CHECK
    if not path.is_file():
        raise UsageError(
            f"bleurt={given}: no scores are published for a checkpoint of the name {_called(folder)}, so it "
            f"cannot be checked; rename the folder if it is one of {', '.join(PUBLISHED)}, or put scores "
            f"that are known to be right into {path} (docs/text.md)"
        )
    try:
        held: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
        pairs = tuple(
            (str(pair["reference"]), str(pair["candidate"]), float(pair["score"])) for pair in held["pairs"]
        )
        tokens = int(held.get("max_tokens", 512))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} does not have the form of docs/text.md ({type(error).__name__}: {error})"
        ) from None
    if not pairs or not all(math.isfinite(value) for *_, value in pairs) or tokens < 4:
        raise UsageError(f"{path} must have at least one pair, finite scores, and max_tokens of at least 4")
    return Expected(tokens, pairs)


def _from_hub(given: str, name: str, download: bool) -> Path:
    """The folder of a checkpoint from the Hub, downloaded once. Raises `UsageError`."""
    repository = given if "/" in given else f"{OWNER}/{name}"
    try:
        folder = _fetched(repository, cached=True)
        _files(folder, given)
    except (OSError, ValueError, UsageError):  # it is not in the cache, or not all of it
        if not download:
            raise UsageError(f"bleurt={given} is not downloaded") from None
    else:
        return folder
    if reason := reach()[0]:
        raise UsageError(
            f"bleurt={given}: the weights are not in the cache, and {reason}; give a folder that has them"
        )
    try:
        return _fetched(repository, cached=False)
    except Exception as error:  # its exceptions differ by version
        said = " ".join(str(error).split())[:160]
        raise UsageError(f"bleurt={given}: {repository} cannot be downloaded ({said})") from error


def _fetched(repository: str, *, cached: bool) -> Path:
    """The folder into which the first file of each kind that the repository has is downloaded."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    folder = Path()
    for names in ((CONFIG,), WEIGHTS, (*PIECES, WORDS), (SETTINGS,)):
        for name in names:
            try:
                folder = Path(hf_hub_download(repository, name, local_files_only=cached)).parent
            except EntryNotFoundError as error:
                if not cached and isinstance(error, LocalEntryNotFoundError):  # the connection failed
                    raise
            else:
                break
    return folder
