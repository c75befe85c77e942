"""The scripts, the workflow and the paper of docs/ways.md, run as they stand."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
FILES = dict(
    re.findall(r"^```\w+ file=(\S+)\n(.*?)^```$", (ROOT / "docs/ways.md").read_text("utf-8"), re.M | re.S)
)
WORSE = "fake/gold?wrong=0.9"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the document's files, where `evalkit` is this one, and `gh` keeps what it is given."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "bin").mkdir()
    programs = {
        "evalkit": f'exec {sys.executable} -m evalkit "$@"',
        "gh": 'echo "$@" > gh.txt; for last; do :; done; cp "$last" posted.md',
    }
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def run(folder: Path, script: str, **settings: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **settings},
    )


@pytest.mark.slow
def test_three_checkpoints_in_a_pull_request(project: Path) -> None:
    steps = yaml.safe_load(FILES[".github/workflows/checkpoints.yml"])["jobs"]["checkpoints"]["steps"]
    evaluate, comment = (step for step in steps if step.get("name") in ("Evaluate", "Comment"))
    done = run(project, evaluate["run"])
    assert done.returncode == 0, done.stderr
    assert run(project, comment["run"], PULL_REQUEST="7").returncode == 0
    assert (project / "gh.txt").read_text().startswith("pr comment 7 ")
    posted = (project / "posted.md").read_text("utf-8")
    assert posted.startswith("### ")
    assert "no regression" in posted.splitlines()[0]
    assert [name in posted for name in ("Gemini Ultra", "100k", "200k", "300k")] == [True] * 4
    page = (project / "checkpoints.html").read_text("utf-8")
    assert 'class="printed">Gemini <wbr>Ultra<' in page
    assert "Content-Security-Policy" in page
    (project / "step-300k.db").unlink()
    left_out = re.compile(r"evalkit report |.* -o step-[12]00k\.db")  # nothing new would come of them
    script = "\n".join(line for line in FILES["checkpoints.sh"].splitlines() if not left_out.match(line))
    done = run(project, script, MODEL=WORSE)
    assert done.returncode == 1, done.stderr
    assert (project / "comment.md").read_text("utf-8").startswith("### ❌ regression")


@pytest.mark.slow
def test_a_table_in_a_paper(project: Path) -> None:
    done = run(project, "sh paper.sh")
    assert done.returncode == 0, done.stdout + done.stderr
    table = (project / "paper" / "results.tex").read_text("utf-8")
    assert r"\caption{Our checkpoints beside Gemini Ultra.}\label{tab:ours}" in table
    assert r"\begin{table}[" in table
    assert (project / "paper" / "paper.pdf").exists() is (shutil.which("pdflatex") is not None)
    if (project / "paper" / "paper.log").exists():
        log = (project / "paper" / "paper.log").read_text("utf-8", errors="replace")
        assert not re.search("Overfull|undefined", log)


@pytest.mark.slow
def test_a_folder_of_nightly_runs(project: Path) -> None:
    nights = [("2026-03-01", "fake/gold", 0), ("2026-03-02", WORSE, 1)]
    for night, model, code in nights:
        done = run(project, "sh nightly.sh", NIGHT=night, MODEL=model)
        assert done.returncode == code, done.stdout + done.stderr
    assert (project / "verdict.md").read_text("utf-8").startswith("### ❌ regression")
    trend = (project / "trend.md").read_text("utf-8")
    assert all(night in trend for night, *_ in nights)
    site = project / "site"
    pages = [f"runs/{night}-*.html" for night, *_ in nights] + [
        "index.html",
        "benchmarks/gsm8k.html",
        "compare/*.html",
    ]
    assert [len(list(site.glob(page))) for page in pages] == [1] * len(pages)
    assert all(night in (site / "index.html").read_text("utf-8") for night, *_ in nights)
    again = run(project, "sh nightly.sh", NIGHT="2026-03-02", MODEL=WORSE)
    assert again.returncode == 1, "a finished night is compared again, and not with itself"
