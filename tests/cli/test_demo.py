"""The quick start, with the real model, cut to what a test may take; and what a person sees on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import evalkit.demo
from evalkit.demo import PARTS, DemoTask
from tests.cli.conftest import Cli
from tests.processes import shown_on


@pytest.mark.slow
def test_demo(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {part.task for part in PARTS} == {"humaneval:0-shot", "gsm8k:8-shot-cot"}
    short = tuple(DemoTask(part.task, 1, 8, part.small_sets) for part in PARTS)
    monkeypatch.setattr(evalkit.demo, "PARTS", short)
    monkeypatch.setattr(evalkit.demo, "MODEL", f"{evalkit.demo.MODEL}?threads=1")
    for _ in range(2):  # the second time afresh, over what the first left
        code, out, err = cli("demo", "-o", tmp_path / "out")
        assert code == 0
        assert out.startswith(
            "llama-cpp/SmolLM2-135M-Instruct?threads=1 on humaneval, gsm8k (gsm8k: evalkit's"
        )
        told = " ".join(out.split())
        assert "humaneval: a part: 1 of 164 samples (--limit 1)" in told
        assert "gsm8k: a part: 1 of 16 samples (--limit 1)" in told
        assert "done before" not in err
    page = (tmp_path / "out" / "demo.html").read_text("utf-8")
    assert "<table>" in page
    assert "<svg" in page
    assert 'id="index"' in page
    assert "| humaneval:0-shot" in (tmp_path / "out" / "demo.md").read_text("utf-8")


@pytest.mark.slow
def test_a_terminal_gets_a_live_bar_and_colour(tmp_path: Path) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "evalkit", "run", "-m", "fake/gold?delay=0.05", "-t", "gsm8k:8-shot-cot"]
    process = subprocess.Popen(
        [*command, "--data", "builtin", "--concurrency", "2", "-o", str(tmp_path / "r.db")],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(terminal)
    text = shown_on(controller)
    assert process.wait(timeout=120) == 0
    assert "━" in text
    assert "16/16" in text
    assert "accuracy 100.0 · correct 16" in text
    assert "\x1b[1m" in text  # the title in bold
    assert "|sig:" in text
