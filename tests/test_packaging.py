"""The wheel, built and installed into a clean environment, away from the source tree."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_the_wheel_runs_a_task_from_another_folder(tmp_path: Path) -> None:
    # From a copy of what git has, so that a file left in the tree cannot stand in for a missing one.
    source = tmp_path / "source"
    files = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, check=True, text=True
    ).stdout.split("\0")
    for name in filter(None, files):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert "evalkit/tasks/gsm8k.py" in names
    assert "evalkit/reports/__init__.py" in names
    assert "evalkit/runfile/schema.sql" in names
    assert "evalkit/skeletons/task.py.txt" in names
    for ending in ("page.html.j2", "parts.html.j2", "page.css", "data.js", "sample.js", "list.js", "page.js"):
        assert f"evalkit/report/html/{ending}" in names
    assert "evalkit/reports/gemini-1.0/table-2.toml" in names
    assert "evalkit/data/small_sets/openai/gsm8k/main/test.jsonl" in names
    wmt23 = "evalkit/data/small_sets/wmt-conference/wmt23-news-systems"
    assert f"{wmt23}/txt/sources/generaltest2023.en-de.src.en" in names
    assert not [name for name in names if name.startswith(("tasks/", "reports/", "tests/"))]

    clean = tmp_path / "venv"
    venv.create(clean, with_pip=False)
    python = clean / "bin" / "python"
    # evalkit itself from the wheel; its dependencies from this environment, which a .pth file lends.
    install = ["pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", *install], check=True, capture_output=True)
    (site,) = clean.glob("lib/python*/site-packages")
    lent = [path for path in sys.path if path.endswith("site-packages")]
    (site / "lent.pth").write_text("\n".join(lent))

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [
        str(python),
        "-m",
        "evalkit",
        "run",
        "-m",
        "fake/gold",
        "-t",
        "gsm8k:8-shot-cot",
        "--data",
        "samples",
    ]
    ran = subprocess.run(
        [*command, "-o", "r.db"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert ran.returncode == 0, ran.stderr
    assert "100 %  81–100" in ran.stdout
    code = "import evalkit.tasks.gsm8k as g, evalkit.reports as r; print(g.__file__, r.__file__)"
    where = subprocess.run(
        [str(python), "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(site)) for path in where.stdout.split())


def test_the_editable_install_maps_tasks_and_reports() -> None:
    reports, tasks = (importlib.import_module(f"evalkit.{name}") for name in ("reports", "tasks"))
    assert tasks.__file__ == str(ROOT / "tasks" / "__init__.py")
    assert reports.__file__ == str(ROOT / "reports" / "__init__.py")


def test_every_package_is_packed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    there = {path.parent.relative_to(ROOT) for path in (ROOT / "evalkit").rglob("__init__.py")}
    names = {".".join(path.parts) for path in there} | {"evalkit.tasks", "evalkit.reports"}
    assert set(listed) == names
