"""What the files that lm-eval, Inspect, lighteval and HELM wrote become.

The files in tests/fixtures/imports were written by lm-eval 0.4.13, inspect_ai 0.3.285, lighteval 0.13 and
crfm-helm 0.5.16, which ran tasks written for evalkit on models that answer by a rule.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.imports.archive import ZSTANDARD
from evalkit.runfile.cells import TableCell
from evalkit.runfile.sample_records import SampleRecord, SampleRecords
from evalkit.runfile.store import Store
from tests.imports.reading import FILES, copied, imported, jsonl, rewritten, samples_of, table_of


def shown(cells: tuple[TableCell, ...]) -> list[tuple[str, str, float | None, int]]:
    found = [(c.task, c.metric, c.value if c.value is None else round(c.value, 6), c.n) for c in cells]
    return sorted(found)


@pytest.mark.parametrize(
    ("files", "figures"),
    [
        (
            "lm-eval/a",
            [
                ("pears", "exact_match,flexible-extract", 75, 8),
                ("pears", "exact_match,strict-match", 75, 8),
                ("pears_bleu", "exact_match", 0, 8),
                ("pears_draws", "exact_match,maj@3", 75, 8),
            ],
        ),
        ("inspect/pears-a.eval", [("pears", "match", 83.333333, 6)]),
        ("inspect/epochs.eval", [("pears_epochs", "match", 83.333333, 6)]),
        (
            "inspect/graded.eval",
            [
                ("pears_graded", "graded", 70, 5),
                ("pears_graded", "parts.length", 9.6, 5),
                ("pears_graded", "parts.polite", 50, 5),
                ("pears_graded", "unsure", 0.75, 4),
            ],
        ),
        ("inspect/picks.eval", [("picks", "choice", 50, 2)]),
        (
            "lighteval",
            [("pears", "em", 83.333333, 6), ("pears", "f1", 83.333333, 6), ("picks", "acc", 0, 4)],
        ),
        (
            "helm/pears",
            [
                ("pears", f"{kind}exact_match", 83.333333, 6)
                for kind in ("", "prefix_", "quasi_", "quasi_prefix_")
            ],
        ),
    ],
)
def test_the_figures_are_those_that_the_tool_printed(
    files: str, figures: list[tuple[str, str, float, int]], tmp_path: Path
) -> None:
    """As the tools' own files say: an import with another mean says so in a note."""
    found = imported(tmp_path / "r.db", FILES / files)
    notes = [note for one in found for note in one.notes if "left out" not in note]
    assert not notes
    with Store.open(tmp_path / "r.db") as store:
        assert shown(table_of(tmp_path / "again.db", FILES / files).cells) == figures
        assert store.manifest["model"]["name"] in ("small-a", "mockllm/model", "tiny/small-a")


def test_a_json_log_of_inspect_is_the_archive(tmp_path: Path) -> None:
    imported(tmp_path / "a.db", FILES / "inspect/graded.eval")
    imported(tmp_path / "b.db", FILES / "inspect/graded.json")
    assert samples_of(tmp_path / "a.db") == samples_of(tmp_path / "b.db")


def test_archives_with_zstandard_are_read() -> None:
    with zipfile.ZipFile(FILES / "inspect/pears-a.eval") as archive:
        assert {one.compress_type for one in archive.infolist()} == {ZSTANDARD}


def records(path: Path, task: str) -> list[SampleRecord]:
    with Store.open(path) as store:
        (cell,) = (cell for cell in store.cells() if cell.task == task)
        own = SampleRecords(store, cell)
        return [own.read(position) for position in own.positions.values()]


def test_prompts_responses_and_readings_of_lm_eval(tmp_path: Path) -> None:
    imported(tmp_path / "r.db", FILES / "lm-eval/a")
    first, *_, last = records(tmp_path / "r.db", "pears")
    (asked,) = first.requests
    assert [turn["role"] for turn in asked.body["prompt"]] == ["user", "assistant", "user"]
    assert asked.draws[0].response.text == "We add them. The answer is 7."
    assert first.input == "Ann has 3 pears and buys 4 more. How many pears has she?"
    assert first.answer["finals"][0]["value"] == "7"
    assert first.answer["variants"]["flexible-extract"][0]["correct"] is True
    assert (last.outcome, last.answer["finals"][0]["value"]) == ("unparsable", None)
    voted = records(tmp_path / "r.db", "pears_draws")[0]
    assert [drawn.draw for drawn in voted.requests[0].draws] == [0, 1, 2]
    assert len(voted.answer["finals"]) == 1


def test_likelihoods_of_lm_eval(tmp_path: Path) -> None:
    found = imported(tmp_path / "r.db", FILES / "lm-eval/likelihoods", model="dummy")
    assert [(one.task, one.samples) for one in found] == [("lines", 3), ("picks", 4)]
    first = records(tmp_path / "r.db", "picks")[0]
    (drawn,) = first.requests[0].draws
    assert [round(one.logprob, 3) for one in drawn.response.likelihoods] == [-0.547, -0.814, -0.54]
    assert first.target == [" a swallow"]
    assert first.answer["finals"][0]["value"] == " a table"
    with Store.open(tmp_path / "r.db") as store:
        assert store.manifest["model"]["name"] == "dummy"


def test_perplexities_of_lm_eval_are_weighted_by_their_units(tmp_path: Path) -> None:
    cells = {cell.metric: cell for cell in table_of(tmp_path / "r.db", FILES / "lm-eval/likelihoods").cells}
    assert cells["word_perplexity"].value == pytest.approx(1.0586066943996641)
    assert cells["bits_per_byte"].value == pytest.approx(0.0171478293715884)
    assert cells["bits_per_byte"].n_text == "115 bytes"
    assert cells["word_perplexity"].low is not None
    assert not cells["word_perplexity"].higher_is_better


def test_a_figure_of_the_whole_corpus_is_left_out_with_a_word(tmp_path: Path) -> None:
    table = table_of(tmp_path / "r.db", FILES / "lm-eval/a")
    assert any("bleu (2.4268 in lm-eval's results) is left out" in note for note in table.notes)


def test_scores_and_errors_of_inspect(tmp_path: Path) -> None:
    """C, I, P and N, a dict, NaN, and an error, which is a failed sample and no wrong answer."""
    imported(tmp_path / "r.db", FILES / "inspect/graded.eval")
    found = samples_of(tmp_path / "r.db")
    assert [one["outcome"] for one in found] == [
        "correct", "failed", "wrong", "unparsable", "correct", "correct",
    ]  # fmt: skip
    assert (found[1]["boundary"], found[1]["error"]) == ("provider", "RuntimeError('the tool broke')")
    assert found[2]["finals"][0]["credit"] == 0.5
    assert found[0]["variants"]["parts"][0]["values"] == {"parts.length": 9.0, "parts.polite": 0.5}
    assert found[3]["finals"][0]["value"] is None
    first = records(tmp_path / "r.db", "pears_graded")[0]
    assert first.requests[0].draws[0].response.completion_tokens == 4
    assert not records(tmp_path / "r.db", "pears_graded")[1].requests


def test_epochs_are_the_draws_of_one_sample(tmp_path: Path) -> None:
    imported(tmp_path / "r.db", FILES / "inspect/epochs.eval")
    found = records(tmp_path / "r.db", "pears_epochs")
    assert len(found) == 6
    assert [drawn.draw for drawn in found[0].requests[0].draws] == [0, 1, 2]
    assert len(found[0].answer["finals"]) == 3


def inspect_log(path: Path, samples: list[dict[str, Any]], **header: object) -> Path:
    """A log of Inspect with these samples."""
    told = json.loads((FILES / "inspect/graded.json").read_text("utf-8"))
    path.write_text(json.dumps({**told, "results": None, **header, "samples": samples}), "utf-8")
    return path


def inspect_sample(name: object, value: object, **more: object) -> dict[str, Any]:
    output = {"choices": [{"message": {"content": "x"}, "stop_reason": "stop"}]}
    return {"id": name, "epoch": 1, "input": "?", "target": "y", "output": output} | {
        "scores": {"s": {"value": value}}, **more,
    }  # fmt: skip


def test_what_else_a_log_of_inspect_may_have(tmp_path: Path) -> None:
    """A failed epoch beside a good one, long texts that are stored once, parts, a cut response, no score."""
    attached = {"attachments": {"a1": "a long question"}, "input": "attachment://a1"}
    parts = [{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "four"}, {"type": "image"}]
    cut = {"choices": [{"message": {"content": parts}, "stop_reason": "max_tokens"}]}
    samples = [
        inspect_sample(1, "C", **attached),
        {**inspect_sample(1, "C"), "epoch": 2, "error": {"message": "lost"}},
        inspect_sample(2, True, output=cut),
        inspect_sample(3, None),
        inspect_sample(4, "0.25"),
        inspect_sample(5, [1, 0]),
        inspect_sample(6, "I", scores=None),
        inspect_sample(7, "no", input=[{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]),
    ]
    log = inspect_log(tmp_path / "log.json", samples, status="error")
    table = table_of(tmp_path / "r.db", log)
    found = {one["id"]: one for one in samples_of(tmp_path / "r.db")}
    assert found["1"]["input"] == "a long question"
    assert (found["1"]["outcome"], found["1"]["detail"]) == ("correct", {"draws that failed": 1})
    assert found["7"]["input"] == "u"
    assert [found[name]["outcome"] for name in "234567"] == [
        "correct", "failed", "wrong", "correct", "failed", "wrong",
    ]  # fmt: skip
    assert found["3"]["error"] == "inspect gave it no score"
    (cell, *_) = table.cells
    assert (cell.metric, cell.n) == ("s", 4)
    assert cell.completeness.unfinished
    cut_record = records(tmp_path / "r.db", "pears_graded")[1]
    said = cut_record.requests[0].draws[0].response
    assert (said.text, said.reasoning, said.finish) == ("four\n[image]", "hm", "length")


def test_reducers_of_inspect_are_named(tmp_path: Path) -> None:
    told = json.loads((FILES / "inspect/graded.json").read_text("utf-8"))["eval"]
    told["config"]["epochs_reducer"] = ["at_least_2"]
    log = inspect_log(tmp_path / "log.json", [inspect_sample(1, "C")], eval=told)
    (one,) = imported(tmp_path / "r.db", log)
    assert "by at_least_2; here a sample's value is the mean of its epochs" in one.notes[0]


def test_trials_of_helm_are_draws_and_perturbed_instances_are_left_out(tmp_path: Path) -> None:
    run = copied(FILES / "helm/pears", tmp_path / "run")
    perturbed = {"perturbation": {"name": "typos"}}

    def states(told: Any) -> Any:
        more = [{**one, "train_trial_index": 1} for one in told["request_states"]]
        other = [{**one, "instance": one["instance"] | perturbed} for one in told["request_states"]]
        return {**told, "request_states": [*told["request_states"], *more, *other]}

    def stats(told: Any) -> Any:
        return [*told, *({**one, "train_trial_index": 1} for one in told), *(one | perturbed for one in told)]

    rewritten(run / "scenario_state.json", states)
    rewritten(run / "per_instance_stats.json", stats)
    (one,) = imported(tmp_path / "r.db", run)
    assert (one.samples, one.notes) == (6, ("6 perturbed instances are left out",))
    assert len(records(tmp_path / "r.db", "pears")[0].answer["finals"]) == 2


def test_a_request_that_failed_in_helm_is_a_failed_sample(tmp_path: Path) -> None:
    run = copied(FILES / "helm/picks", tmp_path / "run")

    def broken(told: Any) -> Any:
        told["request_states"][0]["result"] = {"success": False, "completions": [], "error": "busy"}
        return told

    rewritten(run / "scenario_state.json", broken)
    imported(tmp_path / "r.db", run)
    found = samples_of(tmp_path / "r.db")
    assert [(one["outcome"], one["error"]) for one in found] == [("failed", "busy"), ("wrong", "")]
    assert found[1]["finals"][0]["value"] == "snow"


TABLE = (
    "id,question,response,reference,score,group,draw,error\n"
    '1,"Two, and two?",4,4,1,sums,0,\n'
    "1,\"Two, and two?\",5,4,0,sums,1,\n"
    "2,One and one?,2,2,true,sums,0,\n"
    "3,Nine?,,9,,words,0,timed out\n"
    "4,Six?,six,6,0.5,words,0,\n"
)  # fmt: skip


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(TABLE, "utf-8")
    (cell,) = table_of(tmp_path / "r.db", tmp_path / "mine.csv").cells
    assert (cell.task, cell.metric, cell.n, cell.outcomes["failed"]) == ("mine", "score", 3, 1)
    assert cell.value == pytest.approx(100 * (0.5 + 1 + 0.5) / 3)
    assert cell.groups["sums"].value == 75
    found = samples_of(tmp_path / "r.db")
    assert found[2]["error"] == "timed out"
    assert found[0]["finals"][1]["value"] == "5"


def test_a_table_of_json_lines_with_several_scores(tmp_path: Path) -> None:
    rows = [
        {
            "id": at,
            "response": "a",
            "reference": ["a", "b"],
            "score:exact": at % 2,
            "score:f1": at / 4,
            "model": "m",
        }
        for at in range(4)
    ]
    cells = table_of(tmp_path / "r.db", jsonl(tmp_path / "mine.jsonl", *rows)).cells
    assert [(cell.metric, cell.value, cell.model) for cell in cells] == [
        ("exact", 50, "m"),
        ("f1", 37.5, "m"),
    ]


def test_samples_of_a_chat_template_are_paired_by_their_documents(tmp_path: Path) -> None:
    """Each model's template makes other prompts of the same questions."""
    from evalkit.compare.runs import compare

    for side in "ab":
        run = copied(FILES / "lm-eval" / side, tmp_path / side)
        (results,) = run.glob("results_*")
        told = json.loads(results.read_text("utf-8"))
        results.write_text(json.dumps({**told, "chat_template": f"<{side}>{{{{x}}}}"}), "utf-8")
        for path in run.glob("samples_*"):
            path.write_text(path.read_text("utf-8").replace("Question:", f"<{side}> Question:"), "utf-8")
        imported(tmp_path / f"{side}.db", run)
    with Store.open(tmp_path / "a.db") as base, Store.open(tmp_path / "b.db") as head:
        assert [one.task for one in compare(base, head).benchmarks] == ["pears", "pears_bleu", "pears_draws"]


def test_one_of_two_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"one model, but .* of 'small-a' and .* of 'small-b'"):
        imported(tmp_path / "r.db", FILES / "lm-eval/a", FILES / "lm-eval/b")
    assert not list(tmp_path.iterdir())


def test_a_file_with_fewer_samples_than_it_should_have_is_unfinished(tmp_path: Path) -> None:
    run = copied(FILES / "lm-eval/a", tmp_path / "run")
    (samples,) = run.glob("samples_pears_draws*")
    samples.write_text("".join(samples.read_text("utf-8").splitlines(keepends=True)[:5]), "utf-8")
    (cell,) = table_of(tmp_path / "r.db", samples).cells
    assert cell.completeness.unfinished == "unfinished, 5 of 8 samples"
    assert cell.value == 80


def test_a_limit_of_lm_eval_is_a_part(tmp_path: Path) -> None:
    run = copied(FILES / "lm-eval/a", tmp_path / "run")
    (results,) = run.glob("results_*")
    told = json.loads(results.read_text("utf-8"))
    told["config"]["limit"] = 8.0
    told["n-samples"]["pears_draws"] = {"original": 1000, "effective": 8}
    results.write_text(json.dumps(told), "utf-8")
    (samples,) = run.glob("samples_pears_draws*")
    (cell,) = table_of(tmp_path / "r.db", samples).cells
    assert cell.completeness.lacking == "a part: 8 of 1,000 samples (--limit 8)"


def test_odd_texts_and_numbers_are_stored(tmp_path: Path) -> None:
    """Half a surrogate pair, an integer of more than 64 bits, a NUL, and scores that are too large."""
    half = "\ud83d"
    fields = dict.fromkeys(("id", "question", "response", "group"), f"a{half}\0")
    rows = [{**fields, "reference": [half], "score": 10**30}, {"id": 10**30, "score": 10**400, "error": half}]
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    with pytest.raises(UsageError, match="line 2: the score is"):
        imported(tmp_path / "r.db", path)
    rows[1]["score"] = None
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    imported(tmp_path / "r.db", path)
    first, second = samples_of(tmp_path / "r.db")
    assert (first["input"], first["target"]) == ("a\ufffd\0", ["\ufffd"])
    assert (second["id"], second["outcome"], second["error"]) == (str(10**30), "failed", "\ufffd")
    logged = inspect_sample("b", "C", input=half, messages=[{"role": "user", "content": half}])
    imported(tmp_path / "s.db", inspect_log(tmp_path / "log.json", [logged]))
    assert samples_of(tmp_path / "s.db")[0]["input"] == "\ufffd"
