"""Whatever goes wrong inside a sample is that sample's failure, with its cause; never a traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evalkit.runfile.store import Store
from tests.album import album, square
from tests.cli.conftest import Cli, Said
from tests.faulty import COUNT, FAULTS, HARMLESS, faulty, rows
from tests.openai_server import OpenAIServer, Payload


def adds(payload: Payload, route: str) -> str:
    found = re.search(r"1 \+ (\d+)\?", orjson.dumps(payload).decode())
    return str(1 + int(found[1])) if found else "?"


def asked(cli: Cli, task: str, path: Path, server: OpenAIServer | None, *more: str) -> Said:
    model = ("-m", "fake/gold") if server is None else ("-m", "openai/any", "--base-url", server.url)
    said = cli("run", *model, "-t", task, "-o", path, *more)
    assert "Traceback" not in said.out + said.err
    return said


def samples(path: Path) -> list[dict[str, Any]]:
    store = Store.open(path)
    try:
        return list(store.samples(store.cells()[0]))
    finally:
        store.close()


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fails_the_others_count_and_fixed_it_alone_is_done(fault: str, tmp_path: Path, cli: Cli) -> None:
    boundary, cause = FAULTS[fault]
    task, path = faulty(tmp_path, {2: fault}), tmp_path / "r.db"
    with OpenAIServer(adds) as server:
        said = asked(cli, task, path, server)
        assert said.code == 3
        assert "1 sample failed" in said.err
        assert "100 %" in said.out, "the table of the others"
        found = samples(path)
        assert [sample["outcome"] for sample in found] == ["correct"] * 2 + ["failed"] + ["correct"] * 2
        assert found[2]["boundary"] == boundary
        assert cause in found[2]["error"]
        assert "\n" not in found[2]["error"]

        before = len(server.requests)
        rows(tmp_path, {})
        said = asked(cli, task, path, server)
        assert said.code == 0
        assert [(sample["id"], sample["outcome"]) for sample in samples(path)] == [
            (f"q{number}", "correct") for number in range(COUNT)
        ]
        # Not even that one where its response is there already.
        assert before + (before == COUNT - 1) == len(server.requests) == COUNT


@pytest.mark.slow
@pytest.mark.parametrize("fault", HARMLESS)
def test_what_can_be_made_plain_is_no_fault(fault: str, tmp_path: Path, cli: Cli) -> None:
    task, path = faulty(tmp_path, {2: fault}), tmp_path / "r.db"
    with OpenAIServer(adds) as server:
        assert asked(cli, task, path, server).code == 0
    assert [sample["outcome"] for sample in samples(path)] == ["correct"] * COUNT
    found = samples(path)[2]
    if fault == "detail has numpy":
        array = [[0, 1, 2], [3, 4, 5]]
        plain = {"array": array, "flag": True, "nan": None, "many": [7], "keys": {"1": [0.5, "é"]}}
        assert found["detail"] == plain
    if fault == "detail has odd values":
        odd = {"big": float(2**70), "zero": "a\0b", "half": "\ufffd", "inf": None, "n": {"1": 2}}
        assert found["detail"] == odd
    if fault == "verdict has numpy":
        (final,) = found["finals"]
        assert (final["correct"], final["credit"], final["reason"]) == (True, 1.0, "as numpy says")
    if fault == "meta has numpy":
        assert found["meta"] == {"x": [0, 1, 2], "y": 0.5}
    code, out, _ = cli("report", path, "--format", "json")
    assert code == 0
    assert json.loads(out)["cells"][0]["value"] == 100


@pytest.mark.slow
@pytest.mark.parametrize("fault", [*FAULTS, "gold raises"])
def test_a_fake_model_s_run_goes_the_same_way(fault: str, tmp_path: Path, cli: Cli) -> None:
    path = tmp_path / "r.db"
    said = asked(cli, faulty(tmp_path, {0: fault}), path, None)
    assert said.code == 3, "also where it is the first"
    found = samples(path)
    assert [sample["outcome"] for sample in found] == ["failed"] + ["correct"] * 4
    boundary, cause = FAULTS.get(fault, ("scorer", "gold: LookupError: no gold"))
    assert found[0]["boundary"] == boundary
    assert cause in found[0]["error"]


@pytest.mark.parametrize("fault", ["sample raises", "clip is gone", "prompt raises"])
def test_when_none_can_be_built_nothing_is_asked(fault: str, tmp_path: Path, cli: Cli) -> None:
    task = faulty(tmp_path, dict.fromkeys(range(COUNT), fault))
    with OpenAIServer(adds) as server:
        said = asked(cli, task, tmp_path / "r.db", server)
    assert (said.code, server.requests, said.out) == (2, [], "")
    assert said.err.startswith("evalkit: ")
    assert FAULTS[fault][1] in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "r.db").exists()


@pytest.mark.slow
def test_when_all_but_one_cannot_be_built_they_are_failures(tmp_path: Path, cli: Cli) -> None:
    task = faulty(tmp_path, dict.fromkeys(range(1, 400), "sample raises"), 400)
    said = asked(cli, task, tmp_path / "r.db", None)
    assert said.code == 3
    assert "399 samples failed" in said.err
    assert [sample["id"] for sample in samples(tmp_path / "r.db")[:3]] == ["q0", "record 1", "record 2"]


def test_a_run_with_an_unread_record_is_incomplete_to_a_comparison(tmp_path: Path, cli: Cli) -> None:
    task = faulty(tmp_path, {})
    asked(cli, task, tmp_path / "base.db", None)
    rows(tmp_path, {3: "sample raises"})
    asked(cli, task, tmp_path / "head.db", None)
    code, out, err = cli("compare", tmp_path / "base.db", tmp_path / "head.db")
    assert "faulty:once: 1 sample of head failed" in " ".join(out.split())
    assert "Traceback" not in out + err
    assert code == 3


# -- what ends a run ------------------------------------------------------------------------------------


def test_a_missing_package_ends_the_run_in_words(tmp_path: Path, cli: Cli) -> None:
    """The next sample would say the same, so it is no sample's fault."""
    task = faulty(tmp_path, {2: "a package is missing"})
    for arguments in (("run", "-m", "fake/gold", "-t", task, "-o", tmp_path / "r.db"), ("check", task)):
        code, out, err = cli(*arguments)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == "evalkit: sums need the package abacus: pip install abacus"
    rows(tmp_path, {})
    assert asked(cli, task, tmp_path / "r.db", None).code == 0


def test_data_that_cannot_be_read_on_are_no_sample_s_fault(tmp_path: Path, cli: Cli) -> None:
    task = faulty(tmp_path, {3: "data cannot be read on"})
    said = asked(cli, task, tmp_path / "r.db", None)
    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert last.startswith("evalkit: cannot read faulty at here from record 3 on (OSError: the disk hums)")
    assert "to resume: evalkit" in last
    code, _, err = cli("check", task)
    assert code == 2
    assert err.splitlines()[-1].endswith(
        "cannot read faulty at here from record 3 on (OSError: the disk hums)"
    )
    rows(tmp_path, {})
    assert asked(cli, task, tmp_path / "r.db", None).code == 0


@pytest.mark.slow
def test_a_damaged_parquet_file_ends_the_run_in_words(tmp_path: Path, cli: Cli) -> None:
    file = tmp_path / "data" / "openai" / "gsm8k" / "main" / "test-00000-of-00001.parquet"
    file.parent.mkdir(parents=True)
    card = "configs:\n- config_name: main\n  data_files:\n  - split: test\n    path: main/test-*\n"
    (file.parent.parent / "README.md").write_text(f"---\n{card}---\n", encoding="utf-8")
    questions = [f"{number} {'and ' * 50}" for number in range(600)]
    table = pa.table({"question": questions, "answer": [f"So.\n#### {n}" for n in range(600)]})
    pq.write_table(table, file, row_group_size=200, use_dictionary=False)
    column = pq.ParquetFile(file).metadata.row_group(2).column(0)
    whole = bytearray(file.read_bytes())
    start = column.data_page_offset
    whole[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    file.write_bytes(whole)
    said = asked(cli, "gsm8k:8-shot-cot", tmp_path / "r.db", None, "--data", str(tmp_path / "data"))
    assert said.code == 2
    last = said.err.splitlines()[-1]
    assert last.startswith("evalkit: openai/gsm8k in ")
    assert " cannot be read (" in last
    assert "to resume: evalkit" in last
    assert {sample["outcome"] for sample in samples(tmp_path / "r.db")} == {"correct"}


def test_a_picture_that_breaks_as_its_sample_is_built(tmp_path: Path, cli: Cli) -> None:
    names = [f"{number}.png" for number in range(4)]
    task = album(tmp_path, {name: square("red") for name in names}, [(n, "red", [n]) for n in names])
    (tmp_path / "2.png").unlink()
    said = asked(cli, task, tmp_path / "r.db", None)
    assert said.code == 3
    found = samples(tmp_path / "r.db")
    assert [sample["outcome"] for sample in found] == ["correct", "correct", "failed", "correct"]
    assert (found[2]["id"], found[2]["boundary"]) == ("record 2", "media")
    assert found[2]["error"].endswith("2.png cannot be read: No such file or directory")
    (tmp_path / "2.png").write_bytes(square("red"))
    assert asked(cli, task, tmp_path / "r.db", None).code == 0
    assert [sample["id"] for sample in samples(tmp_path / "r.db")] == names


# -- a model in this process --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("'7'", "returned str, not a Response"),
        ("Response('7', completion_tokens=2**70)", f"the model returned {2**70} as a token count"),
        (
            "Response('7', completion_tokens='many')",
            "token counts and seconds must be numbers: ",
        ),
        ("Response('7', finish=None)", "finish=None"),
        ("Response('7', seconds=float('nan'))", "seconds=nan"),
        (
            "Response('7', logprobs=(TokenLogprob({1}, 0.0, {}),))",
            "is of type set, which JSON does not support",
        ),
        ("sys.exit(0)", "SystemExit: 0"),
        ("(_ for _ in ()).throw(MediaError('deaf'))", "deaf"),
    ],
)
def test_what_a_model_returns_and_no_file_can_hold(said: str, cause: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "own.py").write_text(
        "import sys\n"
        "import numpy as np\n"
        "from evalkit.errors import MediaError\n"
        "from evalkit.models import Response, TokenLogprob\n"
        "class Own:\n"
        "    name, capabilities, parallel, identity = 'own', ('chat',), None, {}\n"
        "    async def generate(self, request, *, draw=0):\n"
        "        if '1 + 2?' in request.prompt[-1].text:\n"
        f"            return {said}\n"
        "        return Response('1', prompt_tokens=np.int64(3), seconds=np.float32(0.5))\n"
        "    async def aclose(self): pass\n",
        encoding="utf-8",
    )
    code, out, err = cli(
        "run", "-m", f"python:{tmp_path / 'own.py'}:Own", "-t", faulty(tmp_path, {}), "-o", tmp_path / "r.db",
        "--retries", "0",
    )  # fmt: skip
    assert "Traceback" not in out + err
    assert code == 3
    found = samples(tmp_path / "r.db")
    assert [sample["outcome"] for sample in found] == ["correct", "wrong", "failed", "wrong", "wrong"]
    assert cause in found[2]["error"]


# -- check and preview ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*FAULTS, "gold raises", "wrong_responses raises"])
def test_check_names_the_sample_and_goes_on(fault: str, tmp_path: Path, cli: Cli) -> None:
    code, out, err = cli("check", faulty(tmp_path, {2: fault}))
    assert code == 1
    assert "Traceback" not in out + err
    first, *problems = out.splitlines()
    assert first.startswith("FAIL  faulty:once  5 samples: references 100 %, wrong 0 %")
    assert problems
    _, cause = FAULTS.get(fault, ("", f"LookupError: no {fault.split()[0]}"))
    assert cause in problems[0]
    assert all(line.strip().startswith(("q2: ", "record 2: ")) for line in problems)


def test_check_of_nothing_but_faults_has_no_figures(tmp_path: Path, cli: Cli) -> None:
    task = faulty(tmp_path, dict.fromkeys(range(COUNT), "scorer raises"))
    code, out, _ = cli("check", task)
    assert code == 1
    assert out.startswith("FAIL  faulty:once  5 samples: references none, wrong 0 %")
    code, out, _ = cli("check", task, "--json")
    assert json.loads(out)[0]["gold"] is None


@pytest.mark.parametrize("fault", ["sample raises", "clip is gone", "prompt raises"])
def test_preview_shows_what_it_can_and_says_why_not_more(fault: str, tmp_path: Path, cli: Cli) -> None:
    code, out, err = cli("preview", faulty(tmp_path, {2: fault}), "-n", "5")
    assert code == 2
    assert "What is 1 + 1?" in out
    assert err.startswith("evalkit: ")
    assert FAULTS[fault][1] in err
    assert err.count("\n") == 1
