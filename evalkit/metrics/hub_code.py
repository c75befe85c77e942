"""The code of a metric of the `evaluate` library: finds it in a folder or in a Space of the Hub, and runs it.

Nothing is imported or downloaded before a function here is called. The Hub is read with `huggingface_hub`,
so a Space is cached, read offline and pinned like a data set; `evaluate` gets the script in its folder. Its
copy of the script is in a folder that is removed when the process ends, and it keeps all items in memory, so
that two processes at once, or a home folder that is read-only, do not matter.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import hashlib
import importlib
import io
import logging
import os
import re
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.data.base import DataOptions
from evalkit.data.hub_errors import explained
from evalkit.data.hub_files import hub_source
from evalkit.data.inventory import note_files
from evalkit.errors import UsageError
from evalkit.identity.declared import version_of
from evalkit.identity.source import parsed
from evalkit.scratch import Scratch

OWNERS = ("evaluate-metric", "evaluate-measurement")
"""The owners of the Spaces with the metrics that `evaluate` names without an owner, in its order."""
_NO_PART = frozenset(("datasets", "evaluate", "numpy", "pandas"))
"""Packages of a script whose versions its identity leaves out; that of `evaluate` is stated beside them."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEEDED = re.compile(r"dependencies\[(.+?)\] using 'pip install (.+?)' for instance")
"""The end of evaluate's message about packages that are not installed: their modules, and how to install
them, or another comment that the script has beside the import."""
_NLTK = re.compile(r"Resource '?([\w.]+)'? not found")
_SHOWN = 200
_LOCK = threading.RLock()
"""Modules of `evaluate` keep what they compute from, and change the random state of the whole process."""
_log = logging.getLogger("evalkit")


@dataclass(frozen=True, slots=True)
class Code:
    """A metric's script. `digest`: of it and of the files beside it that it imports.

    `packages`: the installed distributions that they import, with versions.
    """

    name: str
    script: Path
    digest: str
    packages: tuple[str, ...]
    files: tuple[str, ...]
    """The names of the script and of the files beside it."""
    repository: str = ""
    """The Space, `owner/name`; "" for a folder."""
    asked: str = ""
    """The revision of the Space that was asked for."""

    def note(self, options: DataOptions) -> None:
        """Lists the files in the inventory, and compares them with the lock. Raises `DataError`."""
        folder = self.script.parent
        if not self.repository:
            note_files(options, folder, [folder / name for name in self.files])
            return
        if options.inventory is not None:
            with explained(self.repository, self.asked, "HubMetric takes the path of a folder"):
                source = hub_source("space", self.repository, self.asked, folder.name, self.files)
            options.inventory.add(source)
        if options.lock is not None:
            locked = options.lock.find("space", self.repository, self.asked)
            if locked.revision != folder.name:
                fix = f'pin it with HubMetric(…, revision="{locked.revision}")'
                options.lock.refuse(locked, f"{self.asked} is {folder.name[:12]} now: {fix}")
            options.lock.check(locked, {name: folder / name for name in self.files})


def code_of(name: str, revision: str = "", local: bool = False) -> Code:
    """The code of the metric `name`: a folder, a script, `owner/space`, or a name as `evaluate.load` has it.

    `local`: never look on the Hub. Raises `UsageError`.
    """
    path = Path(name).expanduser()
    script = path if path.suffix == ".py" else path / f"{path.resolve().name}.py"
    if script.is_file():
        if revision:
            raise UsageError(f"HubMetric {name!r} is in a folder, which has no revisions: leave out revision")
        return _code(script, lambda file: script.parent / file)
    if local or name.startswith((".", "/", "~")) or path.suffix == ".py" or not 0 <= name.count("/") <= 1:
        raise UsageError(f"HubMetric {name!r}: there is no {script} in {Path.cwd()}")
    return _from_hub(name, revision or "main")


@functools.cache
def _from_hub(name: str, revision: str) -> Code:
    """The code of a Space: a commit that is in the cache needs no connection, and a branch is looked up."""
    repositories = [name] if "/" in name else [f"{owner}/{name}" for owner in OWNERS]
    file = f"{name.rpartition('/')[2]}.py"
    lost = ""
    found = _found(name, repositories, file, revision, True) if _COMMIT.fullmatch(revision) else None
    if found is None:
        lost = _lost()
        found = _found(name, repositories, file, revision, bool(lost))
    if found is None:
        raise UsageError(_missing(name, file, repositories, revision, lost))
    return found


def _found(name: str, repositories: Sequence[str], file: str, revision: str, cached: bool) -> Code | None:
    """The code in the first of `repositories` that has it, from the cache alone if `cached`."""
    from huggingface_hub import errors

    for repository in repositories:
        try:
            script = _fetched(repository, file, revision, cached)
            fetch = functools.partial(_fetched, repository, revision=script.parent.name, cached=cached)
            return dataclasses.replace(_code(script, fetch), repository=repository, asked=revision)
        except errors.GatedRepoError as error:
            raise UsageError(
                f"HubMetric {name!r}: accept the terms of its Space, and set HF_TOKEN"
            ) from error
        except errors.RevisionNotFoundError as error:
            raise UsageError(f"HubMetric {name!r}: {repository} has no revision {revision!r}") from error
        except (errors.RepositoryNotFoundError, errors.EntryNotFoundError) as error:
            if isinstance(error, errors.LocalEntryNotFoundError) and not cached:  # the connection failed
                raise UsageError(
                    f"HubMetric {name!r} cannot be downloaded ({said(error.__cause__ or error)})"
                ) from error
        except UsageError:
            raise
        except Exception as error:  # huggingface_hub's exceptions differ by version
            raise UsageError(f"HubMetric {name!r} cannot be downloaded ({said(error)})") from error
    return None


def _missing(name: str, file: str, repositories: Sequence[str], revision: str, lost: str) -> str:
    from huggingface_hub import constants

    spaces = " or ".join(f"spaces/{repository}" for repository in repositories)
    if lost:
        return (
            f"HubMetric {name!r}: {file} of {spaces} at {revision} is not in the cache "
            f"{constants.HF_HUB_CACHE}, and {lost}: connect once, or give the folder of a copy"
        )
    return (
        f"HubMetric {name!r}: {constants.ENDPOINT} has no {file} in {spaces}, or it is private: check the "
        "name, set HF_TOKEN, or give the path of a folder"
    )


def _lost() -> str:
    """Why the Hub cannot be reached, or "". huggingface_hub by itself would try for half a minute."""
    from evalkit.data.reach import reach

    if os.environ.get("HF_EVALUATE_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_EVALUATE_OFFLINE is set"
    return reach()[0]


def _fetched(repository: str, file: str, revision: str, cached: bool) -> Path:
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    from evalkit.data.folder import quiet

    known = try_to_load_from_cache(repository, file, revision=revision, repo_type="space")
    with quiet():
        path = Path(
            hf_hub_download(repository, file, repo_type="space", revision=revision, local_files_only=cached)
        )
    if not isinstance(known, str) and not cached:
        _log.warning("HubMetric runs code of the Space %s: %s", repository, path)
    return path


def _code(script: Path, file: Callable[[str], Path]) -> Code:
    """The script with the files that it imports from beside it, and theirs. `file`: name → path."""
    read, packages = dict[str, bytes](), set[str]()
    waiting = [script.name]
    while waiting:
        name = waiting.pop()
        if name in read:
            continue
        path = script if name == script.name else file(name)
        try:
            read[name] = path.read_bytes()
            tree = parsed(read[name])
        except (OSError, SyntaxError, ValueError) as error:
            raise UsageError(f"HubMetric: {path} cannot be read ({said(error)})") from error
        lines = read[name].decode("utf-8", "replace").splitlines()
        for top, beside in _imports(tree, lines):
            if beside:
                waiting.append(f"{top}.py")
            else:
                packages.add(top)
    state = hashlib.sha256()
    for name, content in sorted(read.items()):
        state.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    digest, names = state.hexdigest()[:12], tuple(sorted(read))
    return Code(script.stem, script, digest, _installed(packages - _NO_PART), names)


def _imports(tree: ast.Module, lines: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """(name, whether it is beside the script) of the imports, without those that `evaluate` downloads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level:
                yield (node.module or "").partition(".")[0], False
            elif "# From:" not in lines[node.lineno - 1]:
                names = [node.module] if node.module else [alias.name for alias in node.names]
                yield from ((name.partition(".")[0], True) for name in names)


def _installed(modules: set[str]) -> tuple[str, ...]:
    from evalkit.identity.reach import distributions  # slow to import

    others = modules - sys.stdlib_module_names
    found = {name for module in others for name in distributions().get(module, ())}
    return tuple(f"{name} {version_of(name)}" for name in sorted(found))


@functools.cache
def _place() -> Scratch:
    return Scratch()


def load(code: Code, config: str) -> Any:
    """The module of `evaluate`, ready to compute. Raises `UsageError` if something it needs is missing."""
    from evaluate.loading import LocalEvaluationModuleFactory, init_dynamic_modules
    from evaluate.module import EvaluationModule

    place = str(_place().path)
    with _explained(code.name, "cannot be loaded"), _LOCK, _quiet():
        folder = init_dynamic_modules("evalkit_metric_code", place)
        made = LocalEvaluationModuleFactory(str(code.script), dynamic_modules_path=folder).get_module()
        script = importlib.import_module(made.module_path)
        kinds = [
            value
            for value in vars(script).values()
            if isinstance(value, type)
            and issubclass(value, EvaluationModule)
            and value.__module__ == script.__name__
        ]
        if not kinds:
            raise UsageError(f"HubMetric: {code.script} has no subclass of evaluate.Metric")
        # What a module downloads, such as a model, belongs into evaluate's cache, where it stays.
        stays = any("_download_and_prepare" in vars(kind) for kind in kinds[0].__mro__[:-1]
                    if kind is not EvaluationModule)  # fmt: skip
        module = kinds[0](
            config_name=config or None,
            cache_dir=None if stays else place,
            keep_in_memory=True,
            seed=0,
            hash=made.hash,
        )
        module.download_and_prepare()
    return module


def compute(module: Any, items: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Any:
    """What the module's `compute` returns for the items' columns; its exceptions are its own."""
    columns = {name: [item[name] for item in items] for name in items[0]}
    with _LOCK, _quiet():
        return module.compute(**columns, **options)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings and without what a module prints at each of hundreds of calls."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _explained(name: str, what: str) -> Iterator[None]:
    """Turns any exception of a metric's code into a `UsageError` of one line."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"HubMetric {name!r} {what}: {said(error)}") from error


def said(error: BaseException) -> str:
    """An exception in one line, with the way to fix it if something is not installed."""
    if found := _NEEDED.search(str(error)):
        modules = " ".join(dict.fromkeys(found[1].replace("'", "").split(", ")))
        fix = found[2]
        plain = "#" not in fix and "noqa" not in fix
        return f"it needs packages that are not installed: pip install {fix if plain else modules}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"it needs the package {error.name.partition('.')[0]!r}, which is not installed"
    if isinstance(error, LookupError) and (resource := _NLTK.search(str(error))):
        return f"it needs data of NLTK: python -m nltk.downloader {resource[1]}"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:_SHOWN]
