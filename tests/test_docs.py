"""The documentation's commands and code run, and the reference is what the commands say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.reference import TARGET, render
from tests.openai_server import OpenAIServer, arithmetic

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/guide.md",
    "docs/models.md",
    "docs/tables.md",
    "docs/adding-a-task.md",
    "docs/solvers.md",
    "docs/metrics.md",
    "docs/data.md",
    "docs/pictures.md",
    "docs/video.md",
    "docs/speech.md",
    "docs/ci.md",
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
    with OpenAIServer(arithmetic) as server:
        for kind, file, text in _FENCE.findall((ROOT / page).read_text("utf-8")):
            if file:
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / file).write_text(text, encoding="utf-8")
            elif kind == "python":
                subprocess.run([sys.executable, "-c", text], cwd=tmp_path, check=True)
                ran += 1
            elif kind == "console":
                for line in text.splitlines():
                    if line.startswith("$ evalkit ") and not line.removeprefix("$ ").startswith(NOT_HERE):
                        words = shlex.split(
                            line.removeprefix("$ evalkit ").replace(_ENDPOINT, server.url), comments=True
                        )
                        subprocess.run([sys.executable, "-m", "evalkit", *words], cwd=tmp_path, check=True)
                        ran += 1
    assert ran >= 3


def test_links_lead_somewhere() -> None:
    for page in (*PAGES, "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / page).read_text("utf-8")):
            if not target.startswith("https://"):
                assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_the_reference_is_what_the_commands_say() -> None:
    assert TARGET.read_text("utf-8") == render(), "make docs"


def test_what_the_pages_show_to_authors_is_public() -> None:
    """Benchmarks, metrics and models in the pages and examples import nothing but what is meant for them."""
    public = ("evalkit", "evalkit.api", "evalkit.scoring", "evalkit.pytest_plugin")
    texts = [path.read_text("utf-8") for path in (ROOT / "examples").rglob("*.py")]
    for page in PAGES:
        if page != "docs/tables.md":  # which is about the rooms of reports
            texts += [
                text for kind, _, text in _FENCE.findall((ROOT / page).read_text("utf-8")) if kind == "python"
            ]
    imported = {
        name for text in texts for name in re.findall(r"^(?:from|import) (evalkit[\w.]*)", text, re.MULTILINE)
    }
    assert imported <= {*public}
