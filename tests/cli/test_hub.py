"""`evalkit run` reading from a Hub on loopback, through its own processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from evalkit.data.folder import SMALL_SETS
from tests.hub_server import HubServer


class Ran(NamedTuple):
    code: int
    out: str
    err: str


def evalkit(home: Path, url: str, *arguments: object, offline: bool = False) -> Ran:
    environment = {
        **os.environ,
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": str(int(offline)),
    }
    command = [sys.executable, "-m", "evalkit", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.slow
def test_run_from_the_hub(tmp_path: Path) -> None:
    home = tmp_path / "home"
    task = ("-t", "gsm8k:8-shot-cot")
    with HubServer(SMALL_SETS) as hub:
        pinned = evalkit(home, hub.url, "run", "-m", "fake/gold", *task, "-o", tmp_path / "pinned.db")
        assert pinned.code == 2
        assert len(pinned.err.splitlines()) == 1
        assert "cc7b047b6e5bb11b4f1af84efc572db110a51b3c" in pinned.err
        assert "--set revision=main" in pinned.err

        command = ("run", "-m", "fake/gold", *task, "--set", "revision=main", "--json")
        online = evalkit(home, hub.url, *command, "-o", tmp_path / "online.db")
        assert online.code == 0, online.err
        cell, *_ = json.loads(online.out)["cells"]
        assert (cell["value"], cell["n"], cell["data"]["kind"]) == (100.0, 16, "hub")
        sha = cell["data"]["revision"]
        assert len(sha) == 40

    # The Hub is gone; what was read is cached, at that very revision.
    again = ("run", "-m", "fake/gold", *task, "--set", f"revision={sha}", "--json")
    offline = evalkit(home, hub.url, *again, "-o", tmp_path / "offline.db", offline=True)
    assert offline.code == 0, offline.err
    same, *_ = json.loads(offline.out)["cells"]
    assert same["signature"] == cell["signature"]

    folder = ("run", "-m", "fake/gold", *task, "--data", SMALL_SETS, "--json")
    local = evalkit(home, hub.url, *folder, "-o", tmp_path / "folder.db")
    same, *_ = json.loads(local.out)["cells"]
    assert same["signature"] == cell["signature"]

    gone = evalkit(tmp_path / "other", hub.url, "run", "-m", "fake/gold", *task, "-o", tmp_path / "gone.db")
    assert gone.code == 2
    assert len(gone.err.splitlines()) == 1
    assert "--data builtin" in gone.err


@pytest.mark.slow
def test_clips_from_the_hub(tmp_path: Path) -> None:
    """As they are stored there: none of evalkit's extras brings what `datasets` would decode them with."""
    command = ("run", "-m", "fake/gold", "--json", "--set")
    with HubServer(SMALL_SETS) as hub:
        own = evalkit(
            tmp_path / "home", hub.url, *command, "dataset=evalkit/speech", "--set", "language=language",
            "-t", "asr", "-o", tmp_path / "own.db",
        )  # fmt: skip
        several = evalkit(
            tmp_path / "home", hub.url, *command, "languages=fr_fr,ja_jp", "--set", "revision=main",
            "-t", "fleurs", "-o", tmp_path / "several.db",
        )  # fmt: skip
    for done, samples, languages in ((own, 8, {"en"}), (several, 3, {"fr_fr", "ja_jp"})):
        assert done.code == 0, done.err
        cell, *_ = json.loads(done.out)["cells"]
        assert (cell["value"], cell["n"], cell["data"]["kind"]) == (0.0, samples, "hub")
        assert set(cell["group_values"]) == languages
        assert cell["seconds"] > samples / 2
