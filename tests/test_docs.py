"""The documentation's commands and code run, and the reference is what the commands say."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.reference import TARGET, render
from evalkit.benchmark.task import load_task
from evalkit.data import Hub
from evalkit.data.folder import SMALL_SETS
from evalkit.identity.source import parsed
from tests.hub_server import HubServer
from tests.needs import with_node
from tests.openai_server import OpenAIServer, arithmetic

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/guide.md",
    "docs/python.md",
    "docs/endpoints.md",
    "docs/faults.md",
    "docs/machines.md",
    "docs/models.md",
    "docs/command.md",
    "docs/cost.md",
    "docs/tables.md",
    "docs/site.md",
    "docs/adding-a-task.md",
    "docs/solvers.md",
    "docs/metrics.md",
    "docs/code.md",
    "docs/data.md",
    "docs/letters.md",
    "docs/lm-eval.md",
    "docs/text.md",
    "docs/long-context.md",
    "docs/pictures.md",
    "docs/short-answers.md",
    "docs/video.md",
    "docs/speech.md",
    "docs/summaries.md",
    "docs/by-position.md",
    "docs/ci.md",
    "docs/import.md",
    "docs/export.md",
)
_FENCE = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ENDPOINT = "http://localhost:8000/v1"
NOT_HERE = ("evalkit demo",)
"""Commands of the documentation that `make demo` tries instead: they take minutes."""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_what_the_page_shows_works(page: str, tmp_path: Path) -> None:
    ran = 0
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with OpenAIServer(arithmetic) as server, HubServer() as hub:
        environment = {**with_node(), **(_hub_of_pages(hub, tmp_path) if page == "docs/data.md" else {})}
        if page in ("docs/endpoints.md", "docs/site.md"):  # a later test may have a server at the same port
            environment["EVALKIT_CACHE"] = str(tmp_path / "cache")
        for kind, file, text in _FENCE.findall((ROOT / page).read_text("utf-8")):
            if file:
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).write_text(text, encoding="utf-8")
            elif kind == "python":
                subprocess.run([sys.executable, "-c", text], cwd=tmp_path, check=True, env=environment)
                ran += 1
            elif kind == "console":
                for line in text.splitlines():
                    if line.startswith("$ evalkit ") and not line.removeprefix("$ ").startswith(NOT_HERE):
                        words = shlex.split(
                            line.removeprefix("$ evalkit ").replace(_ENDPOINT, server.url), comments=True
                        )
                        command = [sys.executable, "-m", "evalkit", *words]
                        done = subprocess.run(command, cwd=tmp_path, check=False, env=environment)
                        code = re.search(r"# exit code (\d)$", line)
                        assert done.returncode == (int(code[1]) if code else 0), line
                        ran += 1
    assert ran >= 3


def _hub_of_pages(hub: HubServer, folder: Path) -> dict[str, str]:
    """Publishes the data that a page locks, at the commit that the task pins, and returns how to find it."""
    task = load_task("gsm8k")
    assert isinstance(task.data, Hub)
    root = SMALL_SETS / task.data.name
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")}
    hub.publish(task.data.name, files, commit=task.data.revision)
    return {"HF_ENDPOINT": hub.url, "HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "0"}


def test_links_lead_somewhere() -> None:
    more = ("batch", "plugins", "providers", "security", "licences", "ways", "viewers")
    for page in (*PAGES, *(f"docs/{name}.md" for name in more), "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
            if not target.startswith("https://"):
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_the_reference_is_what_the_commands_say() -> None:
    assert TARGET.read_text("utf-8") == render(), "make docs"


def shown() -> Iterator[tuple[str, ast.AST]]:
    """(page or file, node) of all Python that pages and examples show."""
    texts = [(path.name, path.read_text("utf-8")) for path in (ROOT / "examples").rglob("*.py")]
    for page in ("README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))):
        fences = _FENCE.findall((ROOT / page).read_text("utf-8"))
        texts += [(page, text) for kind, _, text in fences if kind == "python"]
    yield from ((where, node) for where, text in texts for node in ast.walk(parsed(text)))


def test_what_the_pages_show_is_public() -> None:
    """Pages and examples import nothing but public modules, and of these what is in `__all__`."""
    public = {
        name: {*importlib.import_module(name).__all__}
        for name in ("evalkit", "evalkit.api", "evalkit.scoring", "evalkit.pytest_plugin")
    }
    private, imported = [], 0
    for where, node in shown():
        named: list[tuple[str, str]] = []
        if isinstance(node, ast.Import):
            named = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            named = [(node.module or "", alias.name) for alias in node.names]
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "evalkit":
            named = [("evalkit", node.attr)]
        for module, name in named:
            if module.partition(".")[0] == "evalkit":
                imported += 1
                inside = f"{module}.{name}" in public  # from evalkit import api
                if module not in public or not (inside or name in {"", *public[module]}):
                    private.append(f"{where}: {module} {name}")
    assert not private
    assert imported > 40
