"""Plugins: packages that are installed, and packages that are broken."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit import plugins
from evalkit.benchmark.task import find_task, load_task
from evalkit.doctor import examine
from evalkit.errors import UsageError
from evalkit.metrics.stored import metric_spec, stored_metric
from evalkit.models import open_model
from evalkit.models.base import Request
from evalkit.report.paper import load_paper, load_tables
from evalkit.samples import Message
from tests.cli.conftest import Cli
from tests.cli.conftest import cli as cli
from tests.plugged import BACKEND, TASK, fresh, installed

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "plugin"
CHAT = Request((Message("user", "hello"),), 8)


@pytest.fixture(autouse=True)
def _read_again() -> Iterator[None]:
    fresh()
    yield
    fresh()


def refusal(spec: str) -> str:
    with pytest.raises(UsageError) as refused:
        open_model(spec)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, built as a wheel and installed by pip into a folder."""
    folder = tmp_path_factory.mktemp("plugin")
    source = folder / "source"
    for path in EXAMPLE.rglob("*"):
        if path.suffix in (".py", ".toml", ".md"):
            target = source / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    offline = ["--no-deps", "--no-index"]
    wheel = [*pip, "wheel", *offline, "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run(wheel, check=True, capture_output=True)
    (built,) = folder.glob("evalkit_spelling-1.2-*.whl")
    site = folder / "lib" / "site-packages"
    subprocess.run([*pip, "install", *offline, "--target", str(site), str(built)], check=True)
    return site


@pytest.mark.slow
def test_the_example_is_built_installed_and_used_from_the_command_line(site: Path, tmp_path: Path) -> None:
    def evalkit(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "evalkit", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(site)},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    evalkit("check", "reversed-words")
    cells = json.loads(
        evalkit("run", "-m", "backwards/a?slips=0.3", "-t", "reversed-words", "-o", "r.db", "--json")
    )["cells"]
    assert [cell["metric"] for cell in cells] == ["accuracy", "letter similarity"]
    assert 50 < cells[0]["value"] < cells[1]["value"] < 100
    assert cells[1]["low"] < cells[1]["value"] < cells[1]["high"]
    assert "|package:evalkit-spelling 1.2|" in cells[0]["signature"]["line"]
    table = evalkit("report", "r.db", "--paper", "spelling-school", "--format", "markdown")
    assert "85.0%" in table
    assert f"{cells[0]['value']:.0f}" in table
    assert evalkit("tasks", "reversed").startswith(
        "reversed-words  Words spelt backwards — evalkit-spelling 1.2"
    )
    assert "spells the last word of the prompt backwards — evalkit-spelling 1.2" in evalkit("models")
    assert "0 of 20 verdicts changed" in evalkit("rescore", "r.db", "-o", "again.db")


@pytest.mark.slow
def test_without_the_package_its_run_file_is_read_and_the_package_is_missed(
    site: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = tmp_path / "mine.py"
    task.write_text(
        "import dataclasses\nfrom evalkit.api import task\n"
        "from evalkit_spelling.metrics import LetterSimilarity\n"
        "from evalkit_spelling.tasks import reversed_words\n"
        "@task('mine')\ndef mine():\n"
        "    return dataclasses.replace(reversed_words(), metrics=(LetterSimilarity(),))\n"
    )
    with monkeypatch.context() as lent:
        lent.syspath_prepend(str(site))
        fresh()
        for name, slips in (("a", 0.0), ("b", 0.5)):
            run = ("run", "-m", f"backwards/{name}?slips={slips}", "-t", task, "-o", tmp_path / f"{name}.db")
            assert cli(*run).code == 0
        # The metric's code is the package's; the user's task file is not asked for it.
        both = ("compare", tmp_path / "a.db", tmp_path / "b.db")
        out, err = cli(*both)[1:]
        assert "letter similarity" in out
        assert not err
    for name in [name for name in sys.modules if name.startswith("evalkit_spelling")]:
        monkeypatch.delitem(sys.modules, name)
    fresh()
    assert "letter similarity" in cli("report", tmp_path / "a.db").out
    assert "of a package that has plugin:letter-similarity: evalkit doctor says" in " ".join(
        cli(*both).out.split()
    )


def test_a_backend_is_opened_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, monkeypatch, "plug_loud", {"models:loud": "LOUD"}, BACKEND, "2.1")
    model = open_model("loud/x")
    assert asyncio.run(model.generate(CHAT)).text == "HELLO"
    assert model.name == "loud/x"
    identity = model.identity
    assert (identity["backend"], identity["package"]) == ("loud", "plug_loud 2.1")
    assert identity["own"] == {"loud": True}
    (tmp_path / "plug_loud.py").write_text((tmp_path / "plug_loud.py").read_text() + "# edited\n")
    fresh()
    assert open_model("loud/x").identity["code"] != identity["code"]
    assert "did you mean loud?" in refusal("lout/x")
    assert refusal("loud/x?volume=3") == "unknown option of loud 'volume': loud/x has no options"
    assert "'loud/' names a backend but no model" in refusal("loud/")


@pytest.mark.parametrize(
    ("code", "value", "said"),
    [
        ("import no_such_module_at_all", "X", "fails on import: ModuleNotFoundError: No module named 'no_su"),
        ("raise SystemExit('no licence')", "X", "fails on import: SystemExit: no licence"),
        ("def broken(:", "X", "fails on import: SyntaxError:"),
        ("Y = 1", "X", "fails on import: AttributeError:"),
        ("X = 1", "X", "cannot be used: it is a int, not an evalkit.api.Backend"),
        (BACKEND, "LOUD", "its usage is 'loud/NAME', which must begin with quiet/"),
        (
            BACKEND.replace("loud/", "quiet/").replace("{module}:Loud", "{module}:Lout"),
            "LOUD",
            "its factory 'plug_bad:Lout' is not found",
        ),
    ],
)
def test_a_backend_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, value: str, said: str
) -> None:
    monkeypatch.delitem(sys.modules, "plug_bad", raising=False)
    installed(tmp_path, monkeypatch, "plug_bad", {"models:quiet": value}, code)
    found = refusal("quiet/x")
    assert found.startswith(f"the plugin 'quiet' of plug_bad 1.0 (evalkit.models: plug_bad:{value}) ")
    assert said in found


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good package, one that fails on import, and one that takes names of evalkit."""
    for name in ("plug_good", "plug_broken", "plug_thief"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    good = {"models:loud": "LOUD", "tasks:tiny": "tiny"}
    installed(tmp_path, monkeypatch, "plug_good", good, BACKEND + TASK)
    broken = {"models:m": "A", "tasks:t": "B", "metrics:x": "C", "papers:p": ""}
    installed(tmp_path, monkeypatch, "plug_broken", broken, "raise OSError('libfast.so: not found')")
    thief = {"models:openai": "A", "tasks:gsm8k": "B", "metrics:accuracy": "C", "papers:gemini-1.0": ""}
    installed(tmp_path, monkeypatch, "plug_thief", thief, "raise AssertionError('imported')")


@pytest.mark.slow
@pytest.mark.usefixtures("packages")
def test_broken_plugins_are_named_and_everything_else_works(cli: Cli, tmp_path: Path) -> None:
    code, out, err = cli("models")
    assert code == 0
    assert "loud/NAME" in out
    assert "openai/NAME" in out
    broken = "fails on import: OSError: libfast.so: not found"
    assert f"the plugin 'm' of plug_broken 1.0 (evalkit.models: plug_broken:A) {broken}" in err
    assert (
        "plugin 'openai' of plug_thief 1.0 (evalkit.models: plug_thief:A) is refused: evalkit itself" in err
    )
    code, out, err = cli("tasks")
    assert code == 0
    assert "\ntiny  One question — plug_good 1.0\n" in out
    assert "\ngsm8k  " in out
    assert f"the plugin 't' of plug_broken 1.0 (evalkit.tasks: plug_broken:B) {broken}" in err
    assert "plugin 'gsm8k' of plug_thief 1.0 (evalkit.tasks: plug_thief:B) is refused: evalkit itself" in err
    code, out, err = cli("run", "-m", "loud/x", "-t", "tiny", "-o", tmp_path / "r.db")
    assert code == 0, err
    assert "100 %" in out
    assert "plug_broken" not in err
    for arguments, point in (
        (("run", "-m", "m/x", "-t", "tiny"), "'m'"),
        (("run", "-m", "fake/gold", "-t", "t"), "'t'"),
        (("report", tmp_path / "r.db", "--paper", "p"), "'p'"),
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert f"the plugin {point} of plug_broken 1.0" in err
        assert broken in err
        assert "Traceback" not in err
    found = next(finding for finding in examine() if finding.what == "plugins")
    assert not found.works
    assert all(f"the plugin {name!r} of plug_broken" in found.detail for name in ("m", "t", "x", "p"))
    assert found.detail.count("is refused: evalkit itself has") == 4


@pytest.mark.usefixtures("packages")
def test_names_of_evalkit_stay_evalkits() -> None:
    assert open_model("openai/x", base_url="http://127.0.0.1:9/v1").identity["backend"] == "openai"
    assert find_task("gsm8k").__module__ == "evalkit.tasks.gsm8k"
    assert load_paper("gemini-1.0").title.startswith("Gemini")


@pytest.mark.slow
def test_no_entry_point_is_read_for_what_evalkit_has(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(kind: str) -> None:
        raise AssertionError(kind)

    monkeypatch.setattr(plugins, "_declared", read)
    run = ("run", "-m", "fake/gold", "-t", "gsm8k", "--data", "builtin", "--limit", "1", "-o")
    assert cli(*run, tmp_path / "r.db").code == 0
    assert cli("report", tmp_path / "r.db", "--paper", "gemini-1.0/table-2").code == 0
    monkeypatch.undo()
    fresh()


def test_two_packages_with_one_name_are_both_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli
) -> None:
    installed(tmp_path, monkeypatch, "plug_one", {"models:loud": "LOUD"}, BACKEND)
    installed(tmp_path, monkeypatch, "plug_two", {"models:loud": "LOUD"}, BACKEND)
    said = "plug_one 1.0 and plug_two 1.0 both have a plugin 'loud' (evalkit.models): uninstall one"
    found = refusal("loud/x")
    assert said in found or said.replace("one 1.0 and plug_two", "two 1.0 and plug_one") in found
    assert found in cli("models").err


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def tiny(): pass", "it is no function marked with @task"),
        (TASK.replace('"tiny"', '"teeny"'), "its task is called 'teeny'"),
        (TASK.replace('"""One question"""', "raise KeyError('level')"), "cannot be built: KeyError: 'level'"),
        (TASK.replace("metrics=(Accuracy(),)", "metrics=(Accuracy(), Accuracy())"), "two of its metrics"),
    ],
)
def test_a_task_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli, code: str, said: str
) -> None:
    monkeypatch.delitem(sys.modules, "plug_task", raising=False)
    installed(tmp_path, monkeypatch, "plug_task", {"tasks:tiny": "tiny"}, code)
    with pytest.raises(UsageError, match="tiny") as refused:
        load_task("tiny")
    assert said in str(refused.value)
    code_, out, err = cli("tasks")
    assert code_ == 0
    assert said in err
    assert "gsm8k" in out


def test_a_task_is_found_again_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "plug_tiny", raising=False)
    installed(tmp_path, monkeypatch, "plug_tiny", {"tasks:tiny": "tiny"}, TASK, "3.0")
    task = load_task("tiny")
    assert task.source == "tiny"
    assert task.notes(task.protocols[0]) == {"package": "plug_tiny 3.0"}
    with pytest.raises(UsageError, match="did you mean tiny"):
        load_task("tinny")


METRIC = """
    from dataclasses import dataclass
    from evalkit.api import MetricBase

    @dataclass(frozen=True)
    class Root(MetricBase):
        name: str = "root"
        powers: tuple = (2,)
        columns = ("a", "n")
        def statistics(self, sample, scored):
            return (1.0, 1.0)
        def finish(self, totals):
            return totals[..., 0] ** 0.5

    class Plain(Root):
        def __init__(self):
            super().__init__("plain", (object(),))
"""


def test_a_metric_is_restored_from_its_name_and_arguments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, monkeypatch, "plug_root", {"metrics:root": "Root", "metrics:plain": "Plain"}, METRIC)
    code = __import__("plug_root")
    spec = metric_spec(code.Root("cube", (1, 3)))
    assert (spec.kind, spec.parameters) == ("plugin:root", {"name": "cube", "powers": [1, 3]})
    assert stored_metric(spec) == code.Root("cube", (1, 3))
    assert metric_spec(code.Plain()).kind == ""  # its arguments are no JSON
    (tmp_path / "plug_root-1.0.dist-info" / "entry_points.txt").write_text("")
    fresh()
    assert stored_metric(spec) is None
    assert metric_spec(code.Root()).kind == ""


def test_a_paper_needs_a_package_with_its_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    points = {"papers:none": "", "papers:value": "VALUE"}
    installed(tmp_path, monkeypatch, "plug_paper", points, "VALUE = 1")
    for name, said in (
        ("none", "it is no package with a paper.toml"),
        ("value", "it is no package with a paper.toml"),
    ):
        with pytest.raises(UsageError, match=f"plugin '{name}' of plug_paper 1.0") as refused:
            load_paper(name)
        assert said in str(refused.value)
    with pytest.raises(UsageError, match=r"known are gemini-1\.0, none, value"):
        load_tables("zzz")


def test_the_examples_paper_is_read_whole_and_by_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    metadata = tmp_path / "evalkit_spelling-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-spelling\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(
        "[evalkit.papers]\nspelling-school = evalkit_spelling.school\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    fresh()
    assert load_paper("spelling-school").id == "spelling-school"
    (table,) = load_tables("spelling-school/words")
    assert table.rows[1].measure == "letter similarity"
    assert load_tables("spelling-school") == (table,)
