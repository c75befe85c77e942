"""Runs with a `HubMetric` whose module `evaluate` really loads: from a folder, and from the Hub over HTTP."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli
from tests.hub_modules import CLOSENESS, SPACE, TASK, write
from tests.hub_server import HubServer

pytestmark = pytest.mark.slow
BOTH = (
    'HubMetric(HERE / "closeness", unit="%", scale=100), '
    'HubMetric(HERE / "closeness", "values", per_sample=True)'
)
WHERE = "from pathlib import Path\n\nHERE = Path(__file__).parent\n"


def ran(*arguments: object, **environment: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of evalkit in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", *map(str, arguments)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def values(cli: Cli, path: Path, *more: object) -> dict[str, Any]:
    """The cells of a run file by metric."""
    shown = cli("report", path, "--format", "json", *more)
    assert shown.code == 0, shown.err
    return {cell["metric"]: cell for cell in json.loads(shown.out)["cells"]}


def test_a_folder_is_measured_reported_rescored_and_compared(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = write(tmp_path, BOTH)
    task.write_text(WHERE + task.read_text("utf-8"), "utf-8")
    monkeypatch.chdir(tmp_path)
    for name, wrong in (("a", "0.6"), ("b", "0")):
        made = cli("run", "-m", f"fake/gold?wrong={wrong}", "-t", task, "-o", f"{name}.db")
        assert made.code == 0, made.err
        assert "not part of evalkit" not in made.out + made.err
    found = values(cli, tmp_path / "b.db")
    assert found["closeness"]["value"] == pytest.approx(80), "Oslo is read as no answer"
    assert found["closeness values"]["value"] == pytest.approx(0.8)
    assert found["closeness"]["unit"] == "%"
    assert found["closeness"]["low"] < 80 < found["closeness"]["high"]
    (tmp_path / "closeness").rename(tmp_path / "away")
    assert values(cli, tmp_path / "b.db") == found, "a run file is read without the code"
    (tmp_path / "away").rename(tmp_path / "closeness")
    again = cli("rescore", "a.db", "-o", "again.db", "--task-file", task)
    assert again.code == 0, again.err
    assert values(cli, tmp_path / "again.db") == values(cli, tmp_path / "a.db")

    lost = cli("compare", "a.db", "b.db")
    assert (
        "was measured by code that is not part of evalkit: name its file with --task-file"
        in lost.out + lost.err
    )
    compared = cli("compare", "a.db", "b.db", "--task-file", task, "--format", "json")
    assert compared.code == 0, compared.err
    assert '"test": "bootstrap"' in compared.out

    (tmp_path / "closeness" / "letters.py").write_text("def likeness(one, other, cased):\n    return 1.0\n")
    code = ran("compare", "a.db", "b.db", "--task-file", task)
    assert re.search(r"measured by .*code=own#\w+.*, and this evalkit has .*code=own#\w+", code[1] + code[2])


TRIED = """
import json, logging, sys

from evalkit.api import HubMetric, Sample
from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity

logging.basicConfig(stream=sys.stdout)
samples = [Sample("s", "q", ("Oslo",)), Sample("t", "q", ("Rome",))]
for name, options, tried in json.loads(sys.argv[1]):
    try:
        metric = HubMetric(name, **options)
        print(code_identity(metric))
        if tried:
            metric.try_on(samples)
    except UsageError as error:
        print("refused:", error)
"""


def tried(*metrics: tuple[str, dict[str, Any], bool], **environment: str) -> list[str]:
    """What `TRIED` prints of these (name, options, whether it is loaded) in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", TRIED, json.dumps(metrics)],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_space_is_read_once_and_pinned_and_said(tmp_path: Path) -> None:
    own: tuple[str, dict[str, Any], bool] = ("closeness", {}, False)
    home = {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "", "HF_HUB_OFFLINE": "0"}
    with HubServer() as hub:
        old = hub.publish("evaluate-metric/closeness", SPACE)
        hub.publish("acme/closeness", SPACE)
        hub.publish("evaluate-measurement/length", {"length.py": b"import evaluate"})
        home["HF_ENDPOINT"] = hub.url
        said, more, first, *found = tried(
            own,
            ("acme/closeness", {}, False),
            ("length", {}, False),
            ("nothing", {}, False),
            ("acme/closeness", {"revision": "v9"}, False),
            ("closeness", {"nothing": 1}, True),
            ("closeness", {"key": "none"}, True),
            ("closeness", {"key": "values"}, True),
            ("closeness", {}, True),
            **home,
        )
        assert said.startswith("WARNING:evalkit:HubMetric runs code of the Space evaluate-metric/closeness: ")
        assert more.endswith("letters.py")
        assert hub.paths(part="app.py") == [], "only what the script imports is read"
        assert first in found, "the same code elsewhere is the same"
        refused = [line for line in found if line.startswith("refused: ")]
        for line, expected in zip(
            refused,
            (
                "has no nothing.py in spaces/evaluate-metric/nothing or spaces/evaluate-measurement/nothing",
                "acme/closeness has no revision 'v9'",
                "fails: TypeError",
                "returned no 'none' (it has closeness, values, longest)",
                "per_sample=True",
            ),
            strict=True,
        ):
            assert expected in line
        changed = SPACE | {"closeness.py": CLOSENESS.replace("sum(values)", "2 * sum(values)").encode()}
        hub.publish("evaluate-metric/closeness", changed)
        pinned: tuple[str, dict[str, Any], bool] = ("closeness", {"revision": old}, False)
        asked = len(hub.asked)
        assert tried(own, pinned, **home | {"HF_HUB_OFFLINE": "1"}) == [first, first]
        assert len(hub.asked) == asked
        assert [line for line in tried(own, pinned, **home) if "hub_metric@" in line][1] == first
        *_, newest = tried(own, **home)
        assert newest != first
        assert "hub_metric@" in newest
    other: tuple[str, dict[str, Any], bool] = ("other", {}, False)
    for environment, expected in (
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_EVALUATE_OFFLINE": "1"}, "HF_EVALUATE_OFFLINE is set"),
        ({}, "cannot be reached"),
    ):
        lost, known = tried(other, pinned, **home | environment)
        assert expected in lost
        assert "other.py of spaces/evaluate-metric/other or" in lost
        assert known == first, "what is pinned and cached needs no Hub"


def test_a_run_is_refused_before_its_first_request(tmp_path: Path) -> None:
    """It runs offline, with a Space that nobody downloaded, and names what would help, in one line."""
    (tmp_path / "one.py").write_text(TASK.replace("METRICS", 'HubMetric("closeness"),'), "utf-8")
    code, _, err = ran(
        "run", "-m", "fake/gold", "-t", tmp_path / "one.py", "-o", tmp_path / "a.db",
        HF_HOME=str(tmp_path), HF_HUB_OFFLINE="1",
    )  # fmt: skip
    assert code == 2
    assert err.strip().splitlines()[-1].startswith("evalkit: HubMetric 'closeness': closeness.py of spaces/")
    assert not (tmp_path / "a.db").exists()


def test_two_runs_at_once_with_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    write(tmp_path, 'HubMetric(HERE / "closeness"),')
    task = tmp_path / "towns.py"
    task.write_text(WHERE + task.read_text("utf-8"), "utf-8")
    (tmp_path / "file").write_text("")
    (tmp_path / "scratch").mkdir()
    nowhere = str(tmp_path / "file" / "home")
    environment = {
        **os.environ, "HOME": nowhere, "HF_HOME": nowhere, "XDG_CACHE_HOME": nowhere,
        "TMPDIR": str(tmp_path / "scratch"),
    }  # fmt: skip
    command = [sys.executable, "-m", "evalkit", "run", "-m", "fake/gold", "-t", str(task), "-o"]
    running = [
        subprocess.Popen(
            [*command, str(tmp_path / f"{at}.db")], env=environment, stderr=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )
        for at in range(2)
    ]  # fmt: skip
    for process in running:
        out, err = process.communicate(timeout=240)
        assert (process.returncode, "0.80" in out) == (0, True), err
        assert "not part of evalkit" not in out
    assert [path.name for path in (tmp_path / "scratch").glob("evalkit*")] == []


KINDS = """
import sys
from pathlib import Path

import datasets
import evaluate

from evalkit.api import HubMetric, Sample
from evalkit.metrics.base import Scored
from evalkit.metrics.hub_code import load, code_of, compute
from evalkit.metrics.hub_inputs import chosen, items_of

text, whole, real = (datasets.Value(kind) for kind in ("string", "int32", "float"))
several = datasets.Sequence(text)
SCRIPT = '''
import datasets
import evaluate
from evaluate import Metric

text, whole, real = (datasets.Value(kind) for kind in ("string", "int32", "float"))
several = datasets.Sequence(text)
FEATURES = {
    "texts": {"predictions": text, "references": text},
    "several": {"predictions": text, "references": several},
    "either": [{"predictions": text, "references": text}, {"predictions": text, "references": several}],
    "whole": {"predictions": whole, "references": whole},
    "real": {"predictions": real, "references": real},
    "lists": {"predictions": several, "references": text},
    "label": {"predictions": datasets.ClassLabel(names=["1", "2"]), "references": whole},
    "alone": {"predictions": text},
}


class Kinds(Metric):
    def _info(self):
        found = FEATURES[self.config_name]
        several = isinstance(found, list)
        found = [datasets.Features(one) for one in found] if several else datasets.Features(found)
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=found)

    def _compute(self, predictions, references=None):
        return {"kinds": repr((predictions, references))}
'''
folder = Path(sys.argv[1]) / "kinds"
folder.mkdir()
(folder / "kinds.py").write_text(SCRIPT)
for config in ("texts", "several", "either", "whole", "real", "lists", "label", "alone"):
    module = load(code_of(str(folder)), config)
    features = chosen(module.features)
    for _ in range(2):
        items = items_of(features, ["1"], Sample("s", "q", ("2",))) * 2
        print(config, compute(module, items, {})["kinds"])
"""


def test_real_features_take_what_is_made_for_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KINDS, tmp_path],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert list(dict.fromkeys(done.stdout.splitlines())) == [
        "texts (['1', '1'], ['2', '2'])",
        "several (['1', '1'], [['2'], ['2']])",
        "either (['1', '1'], [['2'], ['2']])",
        "whole ([1, 1], [2, 2])",
        "real ([1.0, 1.0], [2.0, 2.0])",
        "lists ([['1'], ['1']], ['2', '2'])",
        "label ([0, 0], [2, 2])",
        "alone (['1', '1'], None)",
    ]
