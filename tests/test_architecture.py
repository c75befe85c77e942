"""Fences: imports run one way, importing costs little, files and functions stay small."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.identity.source import tree_of
from tools import house

ROOT = Path(__file__).parent.parent
# A room may import itself and rooms of a lower layer.
LAYERS = (
    ("errors", "reports", "scratch"),
    ("keys", "needs", "plugins"),
    ("samples",),
    ("identity", "convert"),
    ("processes",),
    ("scoring",),
    ("metrics",),
    ("stats", "sandbox"),
    ("data", "media", "scoring.learned", "scoring.bleurt", "metrics.hub", "metrics.hub_code"),
    ("models",),
    ("benchmark", "hf", "copies", "probing"),
    ("runfile", "lmeval", "offline"),
    ("engine", "compare", "imports"),
    ("report",),
    ("api",),
    ("tasks",),
    ("session", "doctor", "demo", "evaluate_modules", "exports", "skeletons"),
    ("site",),
    ("view",),
    ("pytest_plugin", "cli"),
)
"""Whole rooms, but for a few modules: a scorer that is a model needs worker processes, and weights and a
metric's code come from the Hub."""
LEVEL = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
HEAVY = (
    "datasets",
    "pandas",
    "pyarrow",
    "numpy",
    "aiohttp",
    "lm_eval",
    "huggingface_hub",
    "rich",
    "jinja2",
    "yaml",
)


def level(module: str) -> int | None:
    room = module.removeprefix("evalkit.")
    while room:
        if room in LEVEL:
            return LEVEL[room]
        room = room.rpartition(".")[0]
    return None


def test_imports_run_one_way() -> None:
    """At the top of a file, in functions, and for type checking."""
    wrong = []
    for name, path in house.modules():
        mine = level(name)
        for other in house.imported(name, path):
            theirs = level(other)
            if mine is not None and theirs is not None and theirs > mine:
                wrong.append(f"{name} → {other}")
    assert not wrong


def test_benchmarks_import_what_a_users_own_would() -> None:
    wrong = [
        f"{name} → {other}"
        for name, path in house.modules()
        if house.room_of(name) == "tasks"
        for other in house.imported(name, path)
        if house.room_of(other) not in ("api", "scoring", "tasks")
    ]
    assert not wrong


@pytest.mark.parametrize("folder", ["tasks", "reports"])
def test_a_folder_at_the_top_knows_its_own_modules_by_relative_imports(folder: str) -> None:
    absolute = [
        f"{path.name}: {ast.unparse(node)}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        if f"evalkit.{folder}" in ast.unparse(node) or f"evalkit import {folder}" in ast.unparse(node)
    ]
    assert not absolute


def test_the_fence_sees_every_import(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(
        "import os, evalkit.cli.main\n"
        "from evalkit import tables, cli\n"
        "from . import two\n"
        "from .three import four\n"
        "from .. import report\n"
        "from ..engine.run import evaluate\n"
        "import evalkits\n"
        "if TYPE_CHECKING:\n    from evalkit.session import run\n"
        "def late():\n    from evalkit.stats import paired\n    import evalkit.data.hub\n"
    )
    assert set(house.imported("evalkit.tasks.one", file)) == {
        "evalkit.cli",
        "evalkit.cli.main",
        "evalkit.data.hub",
        "evalkit.engine.run",
        "evalkit.report",
        "evalkit.session",
        "evalkit.stats",
        "evalkit.tables",
        "evalkit.tasks",
        "evalkit.tasks.three",
    }


def test_every_module_has_a_room() -> None:
    rootless = {"evalkit", "evalkit.__main__"}
    assert not [name for name, _ in house.modules() if level(name) is None and name not in rootless]


@pytest.mark.slow
def test_files_and_functions_stay_small() -> None:
    big = []
    for name, path in house.modules():
        text = path.read_text("utf-8")
        if len(text.splitlines()) > 400:
            big.append(name)
        big += [
            f"{name}.{node.name}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and (node.end_lineno or 0) - node.lineno > 62
        ]
    assert not big


def loaded_after(statement: str) -> set[str]:
    """Top-level names in sys.modules after `statement` in a fresh interpreter."""
    code = f"{statement}\nimport sys; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    return set(out.stdout.split())


@pytest.mark.parametrize(
    ("statement", "also_heavy"),
    [
        ("import evalkit", ("click", "orjson", "asyncio")),
        ("import evalkit.cli.main", ("orjson", "asyncio", "evalkit.benchmark.task")),
        ("from evalkit.benchmark.task import all_tasks; all_tasks()", ()),
    ],
)
def test_importing_is_cheap(statement: str, also_heavy: tuple[str, ...]) -> None:
    loaded = loaded_after(statement)
    assert not loaded & {*HEAVY, *also_heavy}


def test_loading_one_task_imports_no_other() -> None:
    loaded = loaded_after("from evalkit.benchmark.task import load_task; load_task('gsm8k')")
    assert "evalkit.tasks.gsm8k" in loaded
    assert "evalkit.tasks.humaneval" not in loaded


def test_the_repository_speaks_of_evalkit_alone() -> None:
    tracked = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True
    ).stdout.split("\0")
    needles = ("/" + "root/", "/" + "home/", "files.pythonhosted" + ".org", "pypi" + ".org/simple")
    found = []
    for name in filter(None, tracked):
        path = ROOT / name
        if path.suffix in (".png", ".flac", ".parquet", ".gz", ".webm", ".eval") or not path.is_file():
            continue
        text = path.read_text("utf-8")
        found += [f"{name}: {needle}" for needle in needles if needle in text]
    assert not found


def test_what_type_checkers_see_is_what_there_is() -> None:
    import evalkit

    source = tree_of(Path(evalkit.__file__))
    (guarded,) = (node for node in source.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == evalkit._HOMES
    assert all(getattr(evalkit, name) is not None for name in seen)


def test_the_page_shows_the_house_as_it_is() -> None:
    assert house.PAGE.read_text("utf-8") == house.page(), "python -m tools.house --page"


def test_the_pages_name_files_that_are_there() -> None:
    pages = house.PAGE.read_text("utf-8") + (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = set(re.findall(r"`((?:evalkit|reports|tests|tools)/[\w./]*)`", pages))
    assert len(named) > 40
    assert not [name for name in named if not (ROOT / name).exists()]


def test_words_that_were_given_up_do_not_come_back() -> None:
    """The field has names for these: variant, branch, scorer, wrong responses, provenance, fix."""
    given_up = re.compile(
        r"\b(referee|spoiled|exchanges|circumstances|duels?|mend(s|ed|ing)?|ViewSpec|judge_by_\w+)\b", re.I
    )
    places = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    places += [
        path for room in ("evalkit", "tasks", "reports", "examples") for path in ROOT.glob(f"{room}/**/*.py")
    ]
    known = {ROOT / "CHANGELOG.md", ROOT / "evalkit" / "runfile" / "migrate.py"}  # which says the old ones
    found = [path.name for path in places if path not in known and given_up.search(path.read_text("utf-8"))]
    assert not found
