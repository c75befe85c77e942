"""What `hf/PATH-or-NAME?option=value` says, and which files it means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.data.reach import reach
from evalkit.errors import UsageError, one_line
from evalkit.models.registry import Named
from evalkit.models.weights import sha256
from evalkit.needs import installed
from evalkit.samples import JSON

DTYPES = ("auto", "float32", "bfloat16", "float16")
BOS = ("auto", "on", "off")
_WEIGHTS = ("*.safetensors", "*.bin", "*.gguf")
_READ = (*_WEIGHTS, "*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken")
_CODE = "*.py"
_NUMBERS = {"batch": 256, "rows": 256, "tokens": 16_384, "bits": 0}


@dataclass(frozen=True)
class Options:
    """`path`: the folder of the weights, or a GGUF file; of the Hub's, at the asked revision.

    `batch`: how many requests are taken at once. `rows`: how many texts are generated at once. `tokens`: the
    most tokens of one call of the model that generates nothing. `bits`: 4 or 8 for weights that bitsandbytes
    shrinks, else 0. `device`: auto is the first GPU, else the CPU; spread puts the layers on all GPUs.
    `compile`: whether PyTorch compiles the layers for what generates nothing. `code`: with
    `trust_remote_code`, the repositories that the model's files name as those of its Python files, with the
    folder of each; its own files need no naming.
    """

    path: Path
    dtype: str = "auto"
    device: str = "auto"
    attention: str = "sdpa"
    adapter: str = ""
    template: str = ""
    bos: str = "auto"
    bits: int = 0
    batch: int = 256
    rows: int = 256
    tokens: int = 16_384
    compile: bool = False
    trust_remote_code: bool = False
    code: tuple[tuple[str, Path], ...] = ()

    @property
    def folder(self) -> Path:
        return self.path.parent if self.is_gguf else self.path

    @property
    def is_gguf(self) -> bool:
        return self.path.suffix == ".gguf"

    @cached_property
    def identity(self) -> dict[str, JSON]:
        """What decides the responses. How many are computed at once is not in it (see docs/models.md)."""
        decides: dict[str, JSON] = {
            "backend": "hf",
            "weights": digest(self.path, self.trust_remote_code, self.code),
            "dtype": self.dtype,
            "attention": self.attention,
            "transformers": version("transformers"),
            "torch": version("torch"),
        }
        if self.adapter:
            decides["adapter"] = digest(Path(self.adapter))
        if self.template:
            decides["template"] = sha256(Path(self.template))
        if self.bos != "auto":
            decides["bos"] = self.bos
        if self.compile:
            decides["compile"] = True  # other kernels round differently
        if self.bits:
            decides["bits"] = self.bits
        return decides


def digest(path: Path, is_code_run: bool = False, code: Sequence[tuple[str, Path]] = ()) -> str:
    """SHA-256 of the files of a model: of one file, or of the names and digests of a folder's files.

    `is_code_run`: whether they include Python files, those in folders inside too, and those of `code`.
    """
    if path.is_file():
        return sha256(path)
    named = {file.name: file for pattern in _READ for file in path.glob(pattern) if file.is_file()}
    if is_code_run:
        for prefix, folder in (("", path), *((f"{name}/", folder) for name, folder in code)):
            named |= {prefix + file.relative_to(folder).as_posix(): file for file in folder.rglob(_CODE)}
    names = sorted(named)
    with ThreadPoolExecutor() as threads:  # hashing a large file lets other threads run
        digests = list(threads.map(sha256, (named[name] for name in names)))
    lines = "".join(f"{name} {found}\n" for name, found in zip(names, digests, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def read_options(named: Named) -> Options:
    """The options of `hf/…`. Raises `UsageError` if one is not known, or the model cannot be found."""
    given: dict[str, Any] = dict(named.options)
    for key, known in (("dtype", DTYPES), ("bos", BOS)):
        if given.get(key, known[0]) not in known:
            raise UsageError(f"{named.typed}: {key} must be one of {', '.join(known)}, not {given[key]!r}")
    for key, default in _NUMBERS.items():
        if given.get(key, default) < (key != "bits"):
            raise UsageError(f"{named.typed}: {key} must be at least 1, not {given[key]}")
    if given.get("bits", 0) not in (0, 4, 8):
        raise UsageError(f"{named.typed}: bits must be 4 or 8, not {given['bits']}")
    for key, package in (("adapter", "peft"), ("bits", "bitsandbytes")):
        if given.get(key) and not installed(package):
            raise UsageError(f"{named.typed}: {key} needs {package}: pip install {package}")
    for key, exists in (("adapter", Path.is_dir), ("template", Path.is_file)):
        there(named, key, given.get(key, ""), exists)
    is_code_run = bool(given.get("trust_remote_code"))
    path = find(named, given.pop("revision", ""), is_code_run)
    if is_code_run:
        given["code"] = tuple((name, _from_hub(named, name, "", [_CODE])) for name in _elsewhere(path))
    if path.suffix == ".gguf" and not installed("gguf"):
        raise UsageError(f"{named.typed}: a GGUF file needs gguf: pip install gguf")
    return Options(path, **given)


def there(named: Named, key: str, path: str, exists: Callable[[Path], bool]) -> None:
    """Raises `UsageError` if an option names a file or folder that does not exist."""
    if path and not exists(Path(path)):
        raise UsageError(f"{named.typed}: {key}: there is no {path!r}")


def find(named: Named, revision: str, is_code_run: bool = False) -> Path:
    """The folder or the GGUF file. What is not on this machine is downloaded from the Hub.

    `is_code_run`: whether its Python files are needed too. Raises `UsageError`.
    """
    path = Path(named.name).expanduser()
    if path.is_file() and path.suffix == ".gguf":
        return path
    if path.is_dir():
        if not (path / "config.json").is_file() or not any(any(path.glob(one)) for one in _WEIGHTS):
            raise UsageError(
                f"{named.typed}: the folder has no config.json with weights ({', '.join(_WEIGHTS)}) beside it"
            )
        if revision:
            raise UsageError(f"{named.typed}: revision is for models of the Hub, and this is a folder")
        return path
    if named.name.startswith((".", "/", "~")) or path.suffix == ".gguf" or named.name.count("/") > 1:
        raise UsageError(f"{named.typed}: there is no such folder or GGUF file")
    return _from_hub(named, named.name, revision, [*_READ, *([_CODE] if is_code_run else [])])


def _from_hub(named: Named, repository: str, revision: str, patterns: list[str]) -> Path:
    """The folder with the files of a repository. Raises `UsageError`."""
    from huggingface_hub import snapshot_download

    reason, _ = reach()
    given: dict[str, Any] = {"revision": revision or None, "allow_patterns": patterns}
    try:
        return Path(snapshot_download(repository, local_files_only=bool(reason), **given))
    except Exception as error:  # noqa: BLE001 — its exceptions differ by version
        why = reason or one_line(error, 200)
        what = "there is no such folder, and it" if repository == named.name else f"its code in {repository}"
        raise UsageError(f"{named.typed}: {what} is not had from the Hub ({why})") from None


def _elsewhere(path: Path) -> list[str]:
    """The repositories of code that a model names as `owner/name--module.Class` in its `auto_map`."""
    found: set[str] = set()
    for file in path.glob("*.json"):
        with suppress(OSError, ValueError):  # the files that matter are read by transformers, which says so
            read = json.loads(file.read_text("utf-8"))
            named = read.get("auto_map") if isinstance(read, dict) else None
            for value in named.values() if isinstance(named, dict) else ():
                values = value if isinstance(value, list) else [value]
                found |= {one.partition("--")[0] for one in values if isinstance(one, str) and "--" in one}
    return sorted(found)
