"""Tries mutants, each in a forked process that imports evalkit's rooms again with one module changed."""

from __future__ import annotations

import asyncio
import importlib.abc
import importlib.machinery
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Literal

from tools.golden.found import modules
from tools.mutate.mutants import Mutant
from tools.mutate.reached import Place, identities

Fate = Literal["caught", "does not import", "never ends", "survived"]
SECONDS = 10
"""The CPU time after which a mutant counts as one that never ends."""
SLOW = {
    "humaneval.scorer": "humaneval",
    "humanevalplus.scorer": "evalplus",
    "math.scorer": "math",
    "math.scorer_math_verify": "math",
    "mbpp.scorer": "mbpp",
    "mbppplus.scorer": "evalplus",
}
"""Identities that run in other processes, with the only module of tasks whose mutants they can detect."""
_KEPT = (
    "errors.",
    "samples.",
    "benchmark.identity.",
    "benchmark.protocol.",
    "benchmark.reach.",
    "benchmark.spec.",
    "convert.",
    "data.",
    "models.",
    "needs.",
    "processes.",
    "sandbox.",
    "workers.",
)
_CODES: dict[int, Fate] = {0: "survived", 1: "caught", 2: "does not import"}


@dataclass(frozen=True, slots=True)
class Result:
    mutant: Mutant
    fate: Fate


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class _Finder(importlib.abc.MetaPathFinder):
    """Finds only the mutated module."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, str(path), code

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        loader = _Loader(self._name, self._path, self._code)
        return spec_from_file_location(self._name, self._path, loader=loader)


def prepare() -> None:
    """Reads the small sets and imports heavy packages, once for all mutants."""
    from tools.golden.cases import cases_of
    from tools.golden.found import identities as declared

    for name in declared():
        cases_of(name)
    for module in (
        "jiwer",
        "math_verify",
        "rapidfuzz.distance",
        "regex",
        "sacrebleu",
        "sympy",
        "sympy.parsing.latex",
    ):
        importlib.import_module(module)
    for module in (
        "whisper_normalizer.basic",
        "whisper_normalizer.english",
        "numpy",
        "sacrebleu.metrics.bleu",
    ):
        importlib.import_module(module)
    from evalkit.metrics.bleu import TOKENISERS, require_tokeniser
    from evalkit.scoring.symbolic import prepare as parsers

    parsers()
    for tokeniser in TOKENISERS:
        require_tokeniser(tokeniser)


def expected() -> dict[str, Mapping[str, str]]:
    """The outputs in the golden files. Raises `FileNotFoundError` if an identity has no file."""
    from tools.golden.files import path_of, read
    from tools.golden.found import identities as declared

    found: dict[str, Mapping[str, str]] = {}
    for name in declared():
        held = read(name)
        if held is None:
            raise FileNotFoundError(path_of(name))
        found[name] = held.outputs
    return found


def tried(mutants: Iterable[Mutant], jobs: int, tests: Mapping[str, str]) -> Iterator[Result]:
    """Yields the fate of each mutant as it ends.

    `tests`: by the names of mutants, a test that must fail instead of the golden cases.
    """
    outputs, paths = expected(), dict(modules())
    running: dict[int, Mutant] = {}
    for mutant in mutants:
        while len(running) >= jobs:
            yield _ended(running)
        sys.stdout.flush()
        process = os.fork()
        if process == 0:
            _child(mutant, paths[mutant.place.module], outputs, tests.get(mutant.name, ""))
        running[process] = mutant
    while running:
        yield _ended(running)


def _ended(running: dict[int, Mutant]) -> Result:
    process, status = os.wait()
    fate: Fate = "never ends" if os.WIFSIGNALED(status) else _CODES[os.waitstatus_to_exitcode(status)]
    return Result(running.pop(process), fate)


def _child(mutant: Mutant, path: Path, outputs: Mapping[str, Mapping[str, str]], test: str) -> None:
    """Ends the process with the mutant's fate."""
    code = 2
    with suppress(BaseException):
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
        signal.alarm(SECONDS * 12)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        compiled = compile(mutant.tree, str(path), "exec")
        sys.meta_path.insert(0, _Finder(mutant.place.module, path, compiled))
        _forget()
        importlib.import_module(mutant.place.module)
        code = int(not test)
        code = int(_fails(test) if test else _differs(mutant.place, outputs))
    os._exit(code)


def _forget() -> None:
    for name in list(sys.modules):
        _, _, room = name.partition(".")
        ours = name.startswith("evalkit.") and not f"{room}.".startswith(_KEPT)
        golden = name == "tools.golden" or name.startswith("tools.golden.")  # a package keeps its modules
        if ours or (golden and name != "tools.golden.records"):
            del sys.modules[name]


def _fails(test: str) -> bool:
    import pytest

    # Plain asserts, because modules that this process has imported cannot be rewritten.
    options = ("-p", "no:cacheprovider", "--assert=plain")
    return pytest.main([test, *options]) == pytest.ExitCode.TESTS_FAILED


def _differs(place: Place, outputs: Mapping[str, Mapping[str, str]]) -> bool:
    cases = importlib.import_module("tools.golden.cases")
    task = place.module.rpartition(".")[2]
    names = sorted(
        identities()[place], key=lambda name: (name in SLOW, not name.startswith(f"{task}."), name)
    )

    async def one(name: str) -> bool:
        for case in cases.generated(name):
            held = outputs[name].get(case.key)
            if held is not None and await case.output() != held:
                return True
        return False

    return any(
        asyncio.run(one(name))
        for name in names
        if name not in SLOW or place.module == f"evalkit.tasks.{SLOW[name]}"
    )
