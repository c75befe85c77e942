"""Fences: evalkit's code has nothing that runs data, and what the threat model names is tested."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

import evalkit
from evalkit.identity.source import tree_of
from evalkit.models.base import Request, Response
from evalkit.models.fake import Hints
from evalkit.runfile.store import Store
from evalkit.samples import JSON
from tests.cli.conftest import Cli, cli
from tests.made import sums

__all__ = ["cli"]

ROOT = Path(__file__).parent.parent
FOLDERS = ("evalkit", "tasks", "reports")
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "ctypes"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.fork", "tempfile.mktemp",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "pd.read_pickle", "pandas.read_pickle",
    "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell", "runpy.run_path", "runpy.run_module",
}  # fmt: skip
BEGINNINGS = ("subprocess.", "os.exec", "os.spawn", "os.posix_spawn")
METHODS = {"extractall", "unpack_archive", "load_state_dict_from_url"}
KEYWORDS = {
    "shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False, "verify": False,
    "check_hostname": False, "verify_ssl": False, "ssl": False, "autoescape": False,
}  # fmt: skip
ALLOWED = {
    ("evalkit/sandbox/program.py", "compile"): "a model's program, inside the sandbox",
    ("evalkit/sandbox/program.py", "exec"): "a model's program, inside the sandbox",
    ("evalkit/sandbox/checker.py", "compile"): "the tests of a benchmark, inside the sandbox",
    ("evalkit/sandbox/checker.py", "exec"): "the tests of a benchmark, inside the sandbox",
    ("evalkit/sandbox/command_server.py", "os.execve"): "a command that a model wrote, inside the sandbox",
    ("evalkit/sandbox/command_server.py", "os.fork"): "starts such a command",
    ("evalkit/sandbox/confine.py", "os.fork"): "one process for each program, inside the sandbox",
    ("evalkit/sandbox/confine.py", "import ctypes"): "calls of the kernel that take rights away",
    ("evalkit/sandbox/tools.py", "subprocess.run"): "g++, asked which files it needs",
    ("evalkit/processes/lines.py", "subprocess.Popen"): "the user's program for `command:`, without a shell",
    ("evalkit/processes/guard.py", "os.fork"): "starts that program",
    ("evalkit/processes/guard.py", "os.execvp"): "becomes that program",
    ("evalkit/processes/guard.py", "import ctypes"): "calls of the kernel by which nothing of it is left",
    ("evalkit/processes/workers.py", "os.fork"): "copies of a prepared worker",
    ("evalkit/processes/pool.py", "subprocess.Popen"): "workers, whose environment has no keys",
    ("evalkit/copies/opening.py", "subprocess.run"): "nvidia-smi, with fixed arguments",
    ("evalkit/models/weights.py", "subprocess.run"): "pip, for weights whose SHA-256 is checked",
    ("evalkit/imports/staged.py", "import pickle"): "a database without a file, written by this process",
    ("evalkit/copies/child.py", "import pickle"): "messages with a process that runs the user's own model",
    ("evalkit/runfile/seals.py", "import marshal"): "only writes, for checksums",
    ("evalkit/data/exemplars.py", "yaml.load"): "a subclass of SafeLoader",
}
"""(file, what) → why it may be there."""


def found(tree: ast.AST) -> Iterator[str]:
    """What of the above is in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names if one.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield f"import {node.module}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS or name.startswith(BEGINNINGS):
                yield name
            if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
                yield node.func.attr
            if name == "torch.load" and not any(word.arg == "weights_only" for word in node.keywords):
                yield "torch.load without weights_only"
            for word in node.keywords:
                value = word.value
                if (
                    word.arg in KEYWORDS
                    and isinstance(value, ast.Constant)
                    and value.value is KEYWORDS[word.arg]
                ):
                    yield f"{word.arg}={value.value}"


def test_no_code_of_evalkits_runs_data() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    assert len(paths) > 300
    there = {(path.relative_to(ROOT).as_posix(), what) for path in paths for what in found(tree_of(path))}
    assert there == set(ALLOWED)


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from marshal import loads", "def f():\n import dill.source", "eval(x)", "exec(x)",
        "subprocess.run(x, shell=True)", "subprocess.Popen(x)", "os.system(x)", "yaml.load(x)",
        "torch.load(x)", "torch.load(x, weights_only=False)", "np.load(x, allow_pickle=True)",
        "pd.read_pickle(x)", "load(x, trust_remote_code=True)", "archive.extractall(x)", "import ctypes.util",
        "get(x, verify=False)", "get(x, ssl=False)", "asyncio.create_subprocess_shell(x)", "os.execve(x)",
        "__import__(x)", "tempfile.mktemp()", "Environment(autoescape=False)",
    ],
)  # fmt: skip
def test_the_fence_sees(code: str) -> None:
    assert [*found(ast.parse(code))]


def test_the_fence_lets_the_rest_through() -> None:
    harmless = (
        "model.eval()\nre.compile(x)\ntorch.load(x, weights_only=True)\nyaml.safe_load(x)\nf(shell=False)"
    )
    assert not [*found(ast.parse(harmless))]


def names_of_tests() -> set[str]:
    named = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)
    return {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in named.findall(path.read_text("utf-8"))
    }


def test_every_test_that_the_threat_model_names_is_there() -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs/security.md").read_text("utf-8"))
    assert sorted(set(named) - names_of_tests()) == []
    assert len(named) > 60


def test_every_row_of_the_threat_model_has_a_test() -> None:
    rows = [
        line.split(" | ")
        for line in (ROOT / "docs/security.md").read_text("utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("|---", "| threat"))
    ]
    assert len(rows) > 30
    assert [row for row in rows if len(row) != 3 or "`test_" not in row[2]] == []


def marking(folder: Path) -> tuple[str, Path]:
    """Code that leaves a file where it was run, and that file."""
    mark = folder / "was run"
    return f"open({str(mark)!r}, 'w').close()\n", mark


def test_a_run_file_cannot_name_code_that_is_then_run(cli: Cli, tmp_path: Path) -> None:
    task = sums(tmp_path, 4)
    assert cli("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "r.db").code == 0
    code, mark = marking(tmp_path)
    hostile = tmp_path / "hostile.py"
    hostile.write_text(code, encoding="utf-8")
    with Store.open(tmp_path / "r.db", to_write=True) as store:
        (spec,) = store.connection.execute("SELECT spec FROM cell").fetchone()
        changed = spec.replace(str(Path(task).resolve()), str(hostile))
        assert changed != spec
        store.connection.execute("UPDATE cell SET spec = ?", (changed,))
        store.commit()
    before = {path.name for path in tmp_path.iterdir()}
    commands: tuple[tuple[object, ...], ...] = (
        ("report", tmp_path / "r.db"),
        ("report", tmp_path / "r.db", "-o", tmp_path / "page.html"),
        ("compare", tmp_path / "r.db", tmp_path / "r.db"),
        ("export", tmp_path / "r.db", "-o", tmp_path / "e.jsonl"),
        ("rescore", tmp_path / "r.db", "-o", tmp_path / "n.db"),
        ("run", "-m", f"replay/{tmp_path / 'r.db'}", "-t", task, "-o", tmp_path / "again.db"),
    )
    for command in commands:
        cli(*command)
        assert not mark.exists(), command
    assert "page.html" in {path.name for path in tmp_path.iterdir()} - before
    cli("rescore", tmp_path / "r.db", "-o", tmp_path / "m.db", "--task-file", hostile)
    assert mark.exists()  # otherwise this test could not fail


@pytest.mark.parametrize("name", ["gsm8k.py", "__init__.py", "conftest.py", "main.py"])
def test_code_of_a_data_set_is_not_run(name: str, cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "openai" / "gsm8k"
    shutil.copytree(ROOT / "evalkit/data/small_sets/openai/gsm8k", folder)
    code, mark = marking(tmp_path)
    for place in (folder, tmp_path / "openai", tmp_path):
        (place / name).write_text(code, encoding="utf-8")
    said = cli("preview", "gsm8k:8-shot-cot", "--data", tmp_path)
    assert not mark.exists()
    assert said.code == 0 or "Dataset scripts are no longer supported" in said.err


def pickled(folder: Path) -> bytes:
    import pickle

    class Marks:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
            return open, (str(folder / "was run"), "w")

    return pickle.dumps({"weights": Marks()}, protocol=2)


@pytest.mark.slow
def test_weights_cannot_run_code(tmp_path: Path) -> None:
    from evalkit.scoring.bleurt_model import Shape, read_weights

    (tmp_path / "pytorch_model.bin").write_bytes(pickled(tmp_path))
    with pytest.raises(Exception, match="Weights only load failed"):
        read_weights(tmp_path, Shape(1, 1, 1, 0, 1, 1, 1, 1, 1e-12, "none"))
    assert not (tmp_path / "was run").exists()


class Listening:
    """A user's model with the method by which the fake one is told references. It keeps all that it gets."""

    name = "listening"
    capabilities = frozenset({"chat", "completion"})
    parallel = None
    identity: ClassVar[dict[str, JSON]] = {"backend": "python"}

    def __init__(self) -> None:
        self.given: list[object] = []

    async def generate(self, request: Request, *, draw: int = 0) -> Response:
        self.given.append(request)
        return Response("7")

    async def generate_hinted(self, request: Request, hints: Hints, *, draw: int = 0) -> Response:
        self.given.append(hints.gold())
        return Response("7")

    async def aclose(self) -> None:
        return None


def test_no_model_but_the_fake_one_sees_a_reference(tmp_path: Path) -> None:
    task = Path(sums(tmp_path, 4))
    marked = task.read_text("utf-8").replace('target=(record["a"],)', 'target=("REFERENCE " + record["a"],)')
    task.write_text(marked, encoding="utf-8")
    heard: list[object] = []

    def plain(prompt: object) -> str:
        heard.append(prompt)
        return "7"

    async def later(prompt: object) -> str:
        heard.append(prompt)
        return "7"

    listening = Listening()
    models: tuple[Any, ...] = (plain, later, listening)
    for number, model in enumerate(models):
        evalkit.run(model, str(task), output=tmp_path / f"{number}.db")
    assert len(heard) == 8
    assert len(listening.given) == 4
    assert not [one for one in (*heard, *listening.given) if "REFERENCE" in repr(one)]
    with Store.open(tmp_path / "0.db") as store:
        assert "REFERENCE 6" in str([*store.samples(store.cells()[0])])
