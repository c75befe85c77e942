"""Files that are broken, cut off, or too large: one clear line, and nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.imports import archive, stream
from tests.cli.conftest import Cli, cli  # noqa: F401 — a fixture
from tests.imports.reading import FILES, copied, jsonl, rewritten

Made = Callable[[Path], Path]


def lm_eval(change: Callable[[list[str]], list[str]]) -> Made:
    """A copy of lm-eval's files with the lines of the samples of `pears` changed."""

    def make(folder: Path) -> Path:
        run = copied(FILES / "lm-eval/a", folder / "run")
        (samples,) = run.glob("samples_pears_2*")
        samples.write_text("\n".join(change(samples.read_text("utf-8").splitlines())), "utf-8")
        return samples

    return make


def of_lm_eval(pattern: str, change: Callable[[Any], Any]) -> Made:
    def make(folder: Path) -> Path:
        run = copied(FILES / "lm-eval/a", folder / "run")
        (path,) = run.glob(pattern)
        rewritten(path, change)
        return run

    return make


def without(pattern: str) -> Made:
    def make(folder: Path) -> Path:
        run = copied(FILES / "lm-eval/a", folder / "run")
        for path in run.glob(pattern):
            path.unlink()
        return run

    return make


def text(name: str, content: str | bytes) -> Made:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return make


def eval_log(
    change: Callable[[dict[str, bytes]], dict[str, bytes]], kind: int = zipfile.ZIP_DEFLATED
) -> Made:
    def make(folder: Path) -> Path:
        with zipfile.ZipFile(FILES / "inspect/picks.eval") as source:
            members = {name: source.read(name) for name in source.namelist()}
        path = folder / "log.eval"
        with zipfile.ZipFile(path, "w", kind) as made:
            for name, content in change(members).items():
                made.writestr(name, content)
        return path

    return make


def sample(members: dict[str, bytes], change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, bytes]:
    name = "samples/1_epoch_1.json"
    return members | {name: json.dumps(change(json.loads(members[name]))).encode()}


def truncated(folder: Path) -> Path:
    path = folder / "log.eval"
    path.write_bytes((FILES / "inspect/pears-a.eval").read_bytes()[:-200])
    return path


def flipped(folder: Path) -> Path:
    """One bit of the first member's data is another one."""
    path = folder / "log.eval"
    data = bytearray((FILES / "inspect/pears-a.eval").read_bytes())
    with zipfile.ZipFile(FILES / "inspect/pears-a.eval") as whole:
        at = whole.getinfo("header.json")
    data[at.header_offset + 60 + at.compress_size // 2] ^= 8
    path.write_bytes(bytes(data))
    return path


def helm(name: str, content: str | None) -> Made:
    def make(folder: Path) -> Path:
        run = copied(FILES / "helm/picks", folder / "run")
        if content is None:
            (run / name).unlink()
        else:
            (run / name).write_text(content, "utf-8")
        return run

    return make


def lighteval(change: Callable[[Path], None]) -> Made:
    def make(folder: Path) -> Path:
        run = copied(FILES / "lighteval", folder / "run")
        change(run)
        return run

    return make


def cut_parquet(run: Path) -> None:
    (path,) = run.rglob("details_pears*")
    path.write_bytes(path.read_bytes()[:500])


def other_columns(run: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (path,) = run.rglob("details_pears*")
    pq.write_table(pa.table({"predictions": ["a"]}), path)


def no_results(run: Path) -> None:
    for path in run.rglob("results_*"):
        path.unlink()


CSV = "id,score\n"
REFUSED: dict[str, tuple[Made, str]] = {
    "half a line": (lm_eval(lambda lines: [*lines[:3], lines[3][:80]]), "line 4 is not valid JSON"),
    "no object": (lm_eval(lambda lines: [lines[0], "[1]"]), "line 2: a sample must be a JSON object"),
    "no doc_id": (lm_eval(lambda lines: ['{"filter": "none"}']), "line 1 has no 'doc_id'"),
    "a doc_id of another type": (lm_eval(lambda lines: ['{"doc_id": true}']), "'doc_id' is true or false"),
    "twice": (lm_eval(lambda lines: [*lines, lines[2]]), "line 17: the sample '2' is there twice of strict"),
    "nothing": (lm_eval(lambda lines: []), "has no samples of pears"),
    "a lone samples file": (without("results_*"), "which says what model and settings"),
    "no samples": (without("samples_*"), "run lm-eval with --log_samples"),
    "no configs": (of_lm_eval("results_*", lambda told: {"results": {}}), "has no 'configs'"),
    "configs that are none": (of_lm_eval("results_*", lambda told: {**told, "configs": 1}), "is a number"),
    "not UTF-8": (text("x.jsonl", b'{"id": "\xff"}'), "not UTF-8"),
    "an archive cut off": (truncated, "is not a whole ZIP archive"),
    "no archive": (text("log.eval", "hello"), "is not a whole ZIP archive"),
    "a damaged archive": (flipped, "the file is damaged"),
    "another archive": (eval_log(lambda members: {"a.txt": b"x"}), "has no header.json"),
    "a broken sample": (
        eval_log(lambda members: members | {"samples/1_epoch_1.json": b'{"id": 1'}),
        "samples/1_epoch_1.json is not valid JSON",
    ),
    "a sample without an id": (
        eval_log(lambda members: sample(members, lambda one: {"input": "?"})),
        "samples/1_epoch_1.json has no 'id'",
    ),
    "an epoch that is none": (
        eval_log(lambda members: sample(members, lambda one: {**one, "epoch": "x"})),
        "the epoch must be a number",
    ),
    "an id twice": (eval_log(lambda all_: sample(all_, lambda one: {**one, "id": 2})), "is there twice"),
    "a deep sample": (
        eval_log(lambda members: members | {"samples/1_epoch_1.json": b'{"a":' + b"[" * 200_000}),
        "nested too deeply",
    ),
    "no samples in it": (
        eval_log(lambda members: {"header.json": members["header.json"]}),
        "has no samples of picks",
    ),
    "JSON of another kind": (text("log.json", '{"a": 1}'), "is of no known kind"),
    "a log cut off": (
        text("log.json", (FILES / "inspect/graded.json").read_text("utf-8")[:-4000]),
        "the file was cut off",
    ),
    "something after a log": (
        text("log.json", (FILES / "inspect/graded.json").read_text("utf-8") + "x"),
        "something follows the end",
    ),
    "no run_spec": (helm("run_spec.json", None), "holds no results"),
    "no state": (helm("scenario_state.json", None), "scenario_state.json: No such file"),
    "half a state": (helm("scenario_state.json", '{"request_states": [{"instance"'), "cut off"),
    "a spec without adapter": (helm("run_spec.json", "{}"), "has no 'adapter_spec'"),
    "stats that are none": (helm("per_instance_stats.json", '[{"instance_id": "id0"}]'), "has no 'stats'"),
    "half a Parquet file": (lighteval(cut_parquet), "cannot be read as Parquet"),
    "other columns": (lighteval(other_columns), "has no column doc, metric, model_response"),
    "no results of lighteval": (lighteval(no_results), "is neither beside it nor"),
    "no columns": (text("x.csv", "name,points\na,1\n"), "line 2: the columns are name, points: a row must"),
    "an empty table": (text("x.csv", CSV), "has no rows"),
    "a field too few": (text("x.csv", CSV + "a,1\nb\n"), "line 3 does not have the 2 fields"),
    "an open quote": (text("x.csv", CSV + 'a,1\n"b,2\n'), "is not valid CSV"),
    "no id": (text("x.csv", CSV + "a,1\n ,1\n"), "line 3 has no id"),
    "no number": (text("x.csv", CSV + "a,1\nb,good\n"), "line 3: the score is 'good'"),
    "NaN": (text("x.csv", CSV + "a,1\nb,nan\n"), "line 3: the score is 'nan'"),
    "infinity": (text("x.jsonl", '{"id": 1, "score": Infinity}\n'), "line 1: the score is"),
    "a draw that is none": (text("x.csv", "id,score,draw\na,1,-1\n"), "the draw is '-1'"),
    "an id twice in a table": (text("x.csv", CSV + "a,1\na,0\n"), "the sample 'a' is there twice (draw 0)"),
    "two models": (
        text("x.csv", "id,score,model\na,1,m\nb,1,n\n"),
        "line 3: the model is 'n', and 'm' in the first row",
    ),
    "only failures": (text("x.csv", "id,score,error\na,,busy\n"), "no sample with a score that is a number"),
    "an unknown ending": (text("x.txt", "hello"), "is of no known kind"),
    "an empty folder": (lambda folder: folder, "holds no results"),
    "nothing there": (lambda folder: folder / "absent", "no file or folder"),
}  # fmt: skip


QUICK = ("half a line", "a broken sample", "half a state", "half a Parquet file", "no number")


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param(tuple(REFUSED), marks=pytest.mark.slow)], ids=["quick", "all"]
)
def test_each_is_one_line_and_leaves_nothing(names: tuple[str, ...], cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    wrong = []
    for number, name in enumerate(names):
        make, words = REFUSED[name]
        folder, out = tmp_path / f"{number}", tmp_path / f"out-{number}"
        folder.mkdir()
        out.mkdir()
        said = cli("import", make(folder), "-o", out / "r.db")
        if said.code != 2 or words not in said.err or said.err.count("\n") != 1 or list(out.iterdir()):
            wrong.append((name, said, list(out.iterdir())))
    assert not wrong


def test_an_output_that_exists_is_kept(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "r.db").write_text("mine", "utf-8")
    said = cli("import", FILES / "helm/picks", "-o", tmp_path / "r.db")
    assert said.code == 2
    assert "already exists" in said.err
    assert (tmp_path / "r.db").read_text("utf-8") == "mine"


def test_a_bomb_is_not_unpacked(
    cli: Cli,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever sizes the archive states, no more is unpacked than a sample may have."""
    import pyarrow as pa

    for module in (archive, stream):
        monkeypatch.setattr(module, "MOST", 1 << 20)
    deflated = eval_log(lambda members: members | {"samples/1_epoch_1.json": bytes(8 << 20)})(tmp_path)
    said = cli("import", deflated, "-o", tmp_path / "r.db")
    assert (said.code, "has more than 1 MiB" in said.err) == (2, True)
    content = pa.Codec("zstd").compress(bytes(8 << 20), asbytes=True)
    stored = eval_log(lambda members: members | {"samples/1_epoch_1.json": content}, zipfile.ZIP_STORED)(
        tmp_path
    )
    data = stored.read_bytes()
    with zipfile.ZipFile(stored) as whole:
        at = whole.getinfo("samples/1_epoch_1.json").header_offset
    name = data.rindex(b"samples/1_epoch_1.json") - 46  # of its entry in the directory
    marked = bytearray(data)
    marked[at + 8 : at + 10] = marked[name + 10 : name + 12] = archive.ZSTANDARD.to_bytes(2, "little")
    stored.write_bytes(bytes(marked))
    said = cli("import", stored, "-o", tmp_path / "r.db")
    assert (said.code, "has more than 1 MiB" in said.err) == (2, True)
    long = jsonl(tmp_path / "x.jsonl", {"id": "a", "score": 1, "response": "x" * (1 << 20)})
    assert "has more than 1 MiB" in cli("import", long, "-o", tmp_path / "r.db").err
    listed = text("log.json", json.dumps({"version": 2, "eval": {}, "samples": ["x" * (2 << 20)]}))(tmp_path)
    assert "more than 1 MiB" in cli("import", listed, "-o", tmp_path / "r.db").err


def test_a_document_is_read_in_parts_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts with quotes, backslashes and brackets may begin and end anywhere in what was read."""
    value = {
        "version": 2.5,
        "a": [1, -2.5e3, None, True, "x]\\\"}", [], {}, {"b": ["[", {"c": "\\\\"}]}, "é\u2028"],
        "empty": [],
        "b\\\"": {"d": "e"},
        "last": 17,
    }  # fmt: skip
    wanted = [
        (name, item)
        for name, found in value.items()
        for item in (found if isinstance(found, list) else [found])
    ]
    path = tmp_path / "x.json"
    for indent in (None, 1):
        path.write_text(json.dumps(value, indent=indent), "utf-8")
        for size in range(1, 40, 1 + 2 * (indent == 1)):
            monkeypatch.setattr(stream, "_CHUNK", size)
            assert [(name, item) for name, _, item in stream.members(path)] == wanted
    path.write_text("[1, 2.5]", "utf-8")
    assert [item for _, _, item in stream.members(path)] == [1, 2.5]
    assert [where for _, where, _ in stream.members(rewritten(path, lambda _: {"a": [1]}))] == [
        f"{path}, line 1"
    ]


PEAK = """
import sys
from pathlib import Path
from tests.imports.reading import imported
imported(Path(sys.argv[2]), Path(sys.argv[1]))
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(line.split()[1])
"""


@pytest.mark.slow
def test_memory_is_flat(tmp_path: Path) -> None:
    """A log of 8,000 samples (60 MB) takes hardly more memory than one of 1,000, and so does a table."""
    told = json.loads((FILES / "inspect/graded.json").read_text("utf-8"))
    one = told.pop("samples")[0]
    del told["reductions"]

    def peak(path: Path) -> int:
        command = [sys.executable, "-c", PEAK, str(path), str(path.with_suffix(".db"))]
        done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=FILES.parents[2])
        return int(done.stdout)

    def log(count: int) -> Path:
        path = tmp_path / f"{count}.json"
        with path.open("w", encoding="utf-8") as file:
            file.write(json.dumps({**told, "samples": []})[:-2])
            for at in range(count):
                text = {"text": "x" * 6000}
                file.write("," * (at > 0) + json.dumps({**one, "id": at, "metadata": text}))
            file.write("]}")
        return path

    def table(count: int) -> Path:
        rows = ({"id": at, "score": at % 2, "response": "x" * 2000} for at in range(count))
        return jsonl(tmp_path / f"t{count}.jsonl", *rows)

    for made in (log, table):
        small, large = peak(made(1_000)), peak(made(8_000))
        assert large < small + 40_000  # kB: the statistics, digests and ids of 7,000 samples are in it
