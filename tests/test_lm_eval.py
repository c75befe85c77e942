"""Tasks of lm-eval: their names, requests, answers and metrics. `conformance/` has the numbers."""

from __future__ import annotations

import json
import math
import os
import py_compile
import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import evalkit
from evalkit.benchmark.names import parse_spec
from evalkit.cli.main import cli
from evalkit.convert import from_json, to_json
from evalkit.data.base import DataOptions
from evalkit.errors import DataError, ScorerError, UsageError
from evalkit.lmeval import expanded, listed
from evalkit.lmeval.index import index, names_folder, version
from evalkit.lmeval.loading import _install, build, tree
from evalkit.lmeval.names import Place, parsed
from evalkit.lmeval.reading import as_text, from_text, numbers_of
from evalkit.lmeval.requests import answered, calls, most_tokens, stops
from evalkit.metrics.base import traits_of
from evalkit.metrics.by_size import BySize
from evalkit.metrics.lm_eval import HarnessItems, HarnessMean, HarnessNumbers, HarnessRate, HarnessTranslation
from evalkit.metrics.macro import Macro
from evalkit.metrics.spec import MetricSpec
from evalkit.metrics.stored import metric_spec, stored_metric
from evalkit.models.base import Likelihood, Response, TokenLogprob
from evalkit.runfile.store import Store
from evalkit.samples import JSON, Sample
from tests.harness_rows import everything, sums, write
from tests.harness_server import HarnessServer


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache whose index of lm-eval's names has been written, with a few of them."""
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path))
    rows = {
        "gsm8k": ["TASK", "gsm8k.yaml", [], False],
        "sums": ["TAG", "", ["gsm8k", "mgsm_en"], False],
        "mgsm_en": ["PY_TASK", "mgsm.yaml", [], False],
        "mmlu": ["GROUP", "mmlu.yaml", [], True],
    }
    monkeypatch.setattr("evalkit.lmeval.index._read", lambda folder: {})
    index(Place("gsm8k"))  # writes an empty one, under the name that it is looked for
    (file,) = names_folder().glob("names-*.json")
    assert version() in file.name
    file.write_text(json.dumps(rows), "utf-8")
    return file


@pytest.mark.parametrize(
    ("typed", "name", "protocol"),
    [
        ("lm-eval:gsm8k", "lm-eval:gsm8k", ""),
        ("lm-eval:gsm8k:v3.0", "lm-eval:gsm8k", "v3.0"),
        ("lm-eval:gsm8k:unversioned", "lm-eval:gsm8k", "unversioned"),
        ("lm-eval:./mine:vowels", "lm-eval:./mine:vowels", ""),
        ("lm-eval:./mine:vowels:v1", "lm-eval:./mine:vowels", "v1"),
        ("lm-eval:./mine.yaml:v0.1-beta", "lm-eval:./mine.yaml", "v0.1-beta"),
    ],
)
def test_a_name_may_end_with_its_version(typed: str, name: str, protocol: str) -> None:
    assert parse_spec(typed) == (name, protocol)


def test_places_are_parsed_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    file = tmp_path / "mine" / "two.yaml"
    file.write_text("group: 'two_subjects'\ntask: [a]\n", "utf-8")
    table = {
        "lm-eval:gsm8k": (Place("gsm8k"), "lm-eval:gsm8k"),
        "lm-eval:openllm/arc": (Place("openllm", "arc"), "lm-eval:openllm/arc"),
        "lm-eval:out/out::in": (Place("out", "out::in"), "lm-eval:out/out::in"),
        "lm-eval:./mine:vowels": (Place("vowels", folder=tmp_path / "mine"), "lm-eval:vowels"),
        "lm-eval:mine/two.yaml": (Place(str(file)), "lm-eval:two_subjects"),
        "lm-eval:./mine/two.yaml#a": (Place(str(file), "a"), "lm-eval:two_subjects/a"),
    }
    for typed, (place, short) in table.items():
        assert parsed(typed) == place
        assert place.short == short
        assert parsed(place.name()) == place
    for wrong in ("lm-eval:./none.yaml", "lm-eval:./none:a", "lm-eval:./mine", "lm-eval:", "lm-eval:./none"):
        with pytest.raises(UsageError, match="lm-eval"):
            parsed(wrong)


def test_tags_are_expanded_and_unknown_names_have_a_suggestion(names: Path) -> None:
    assert expanded("lm-eval:sums") == ["lm-eval:gsm8k", "lm-eval:mgsm_en"]
    assert expanded("lm-eval:gsm8k") == ["lm-eval:gsm8k"]
    assert expanded("lm-eval:mmlu") == ["lm-eval:mmlu"]
    with pytest.raises(UsageError, match="did you mean gsm8k"):
        expanded("lm-eval:gsm8")


def test_the_names_are_listed(names: Path) -> None:
    assert listed("lm-eval:gsm8") == [{"name": "lm-eval:gsm8k", "kind": "task"}]
    assert [one["kind"] for one in listed("lm-eval:*m*")] == ["task", "task", "group", "tag"]
    shown = CliRunner().invoke(cli, ["tasks", "lm-eval:mmlu"])
    assert shown.output == "lm-eval:mmlu  group\n"
    missing = CliRunner().invoke(cli, ["tasks", "lm-eval:nothing", "--json"])
    assert isinstance(missing.exception, UsageError) or missing.exit_code


def test_a_damaged_index_is_written_again(names: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names.write_text("{", "utf-8")
    assert index(Place("gsm8k")) == {}
    assert "reading the names of lm-eval" in capsys.readouterr().err
    assert index(Place("gsm8k")) == {}
    assert not capsys.readouterr().err


def test_settings_that_cannot_be_are_refused(names: Path) -> None:
    for settings, words in (
        ({"chat": "yes"}, "chat=yes: must be on or off"),
        ({"multiturn": "1"}, "multiturn=1: must be on or off"),
        ({"shots": "few"}, "shots=few: must be a whole number"),
    ):
        with pytest.raises(UsageError, match=words):
            evalkit.load_task("lm-eval:gsm8k", settings)
    with pytest.raises(DataError, match="small data sets"):
        evalkit.load_task("lm-eval:gsm8k", data=DataOptions(small_sets=True))
    with pytest.raises(DataError, match="revision"):
        evalkit.load_task("lm-eval:gsm8k", data=DataOptions(revision="main"))


def sample(*requests: Any, text: str = "Q?\nA:", **meta: JSON) -> Sample:
    return Sample("own", text, (), meta={"task": "t", "doc_id": 0, "requests": list(requests), **meta})


def test_blanks_at_the_end_of_a_context_belong_to_the_continuation() -> None:
    (call,) = calls(sample(["loglikelihood", 0, "yes"], text="Q?\n "))
    assert (call.prompt, call.texts) == ("Q?", ("\n yes",))


def test_choices_of_one_context_are_one_request_and_equal_ones_are_asked_once() -> None:
    asked = sample(*(["loglikelihood", 0, text] for text in (" a", " b", " a")))
    (call,) = calls(asked)
    assert call.places == (0, 1, 2)
    response = Response("", likelihoods=(Likelihood(" a", -1.0, 1, True), Likelihood(" b", -2.0, 1, False)))
    assert dict(answered(asked, [response])) == {0: (-1.0, True), 1: (-2.0, False), 2: (-1.0, True)}


def test_a_text_without_context_needs_its_first_tokens_probability() -> None:
    asked = sample(["loglikelihood_rolling", 0], text="One two")
    tokens = tuple(TokenLogprob(text, one, {text: one}) for text, one in (("One", -3.0), (" two", -0.5)))
    assert [*answered(asked, [Response("", prompt_logprobs=tokens)])] == [(0, -3.5)]
    unknown = (TokenLogprob("One", math.nan, {}), tokens[1])
    with pytest.raises(ScorerError, match="--set prefix=TOKEN"):
        list(answered(asked, [Response("", prompt_logprobs=unknown)]))
    (call,) = calls(asked, "<s>")
    assert (call.prompt, call.texts) == ("<s>", ("One two",))


def test_an_empty_continuation_is_certain_and_not_asked() -> None:
    asked = sample(["loglikelihood", 0, ""], ["loglikelihood", 0, " a"])
    response = Response("", likelihoods=(Likelihood(" a", -1.0, 1, False),))
    assert dict(answered(asked, [response])) == {0: (0.0, True), 1: (-1.0, False)}


def test_a_score_of_greedy_decoding_needs_the_likeliest_token() -> None:
    asked = sample(["loglikelihood", 0, " a"])
    response = [Response("", likelihoods=(Likelihood(" a", -1.0, 1),))]
    assert dict(answered(asked, response)) == {0: (-1.0, False)}
    with pytest.raises(ScorerError, match="no likeliest token"):
        dict(answered(asked, response, greedy=True))


def test_the_settings_of_a_generation() -> None:
    assert most_tokens({"max_new_tokens": 7}) == 7
    assert most_tokens({}) == 256
    assert stops({"until": "\n"}) == ("\n",)
    assert stops({"until": ["a", ""]}) == ("a",)
    assert stops({}) == ()


@pytest.mark.parametrize(
    ("results", "kinds"),
    [
        (["42"], ["generate_until"]),
        ([""], ["generate_until"]),
        (["lm-eval: 42"], ["generate_until"]),
        ([["a", "b"]], ["generate_until"]),
        ([None], ["generate_until"]),
        ([(-1.0, True), (-0.1, False), (-1e-300, True)], ["loglikelihood"] * 3),
        ([(-math.inf, False)], ["loglikelihood"]),
        ([-123.4375], ["loglikelihood_rolling"]),
        (["a", "b"], ["generate_until"] * 2),
    ],
)
def test_an_answers_text_says_what_lm_eval_scores(results: list[Any], kinds: list[str]) -> None:
    assert from_text(as_text(results), kinds) == results


def test_chance_results_survive_as_text() -> None:
    chance = random.Random(0)
    for _ in range(200):
        results = [(-chance.expovariate(0.1), chance.random() < 0.5) for _ in range(4)]
        assert from_text(as_text(results), ["loglikelihood"] * 4) == results


def test_numbers_of_a_metrics_value() -> None:
    assert numbers_of(np.float64(0.5)) == (0.5,)
    assert numbers_of((-3.0, 7)) == (-3.0, 7.0)
    assert numbers_of(True) == (1.0,)
    others: list[Any] = ["a", ("a", "b"), (1, [2, 3]), None, [], np.array([1.0, 2.0])]
    for other in others:
        assert numbers_of(other) is None


def test_translations_are_sacrebleus() -> None:
    import sacrebleu

    pairs = [
        ("the cat sat on the mat today", "a cat sat on the mat"),
        ("two dogs bark at night", "two dogs bark"),
    ]

    def items(answer: str, sample: Sample) -> Mapping[str, Any]:
        return {"bleu": pairs[int(answer)], "chrf": pairs[int(answer)]}

    for kind, corpus in (("bleu", sacrebleu.corpus_bleu), ("chrf", sacrebleu.corpus_chrf)):
        metric = HarnessTranslation(kind, kind, items)  # type: ignore[arg-type]
        rows = np.array([metric.statistics(sample(), scored(str(i))) for i in range(2)])
        expected = corpus([one for _, one in pairs], [[one for one, _ in pairs]]).score
        assert float(metric.finish(rows.sum(axis=0))) == pytest.approx(expected)


def scored(value: str | None, **values: float) -> Any:
    from evalkit.metrics.base import Scored
    from evalkit.samples import Answer, Final

    return Scored(Answer((Final(value),)), (True,), values={"": (values,)})


def test_items_are_aggregated_by_the_tasks_function_on_resamples_too() -> None:
    metric = HarnessItems(
        "size", lambda items: sorted(items)[len(items) // 2], lambda answer, _: {"size": len(answer)}
    )
    kept = metric.prepare(())
    rows = np.array([metric.statistics(sample(), scored("x" * i), kept) for i in (1, 5, 9)])
    figures = metric.aggregate(rows)
    assert figures(np.ones((1, 3)))[0] == 5
    drawn = figures(np.array([[0, 0, 3.0]] * 11))
    assert drawn[0] == drawn[10] == 9
    assert np.isnan(drawn[1:10]).all()  # one draw of ten is computed
    other = HarnessItems("size", max, lambda answer, _: {})
    with pytest.raises(ScorerError, match="by the run that has them"):
        other.aggregate(rows)


def test_a_figure_of_numbers_is_lm_evals() -> None:
    metric = HarnessNumbers("f1", "median")
    rows = np.array([metric.statistics(sample(), scored("x", f1=value)) for value in (3.0, 1.0, 2.0)])
    assert metric.aggregate(rows)(np.array([[1, 1, 1.0], [0, 2, 0.0]])).tolist() == [2.0, 1.0]


OWN = """
task: own_sums
dataset_path: json
dataset_kwargs:
  data_files: {{test: {rows}}}
test_split: test
output_type: generate_until
doc_to_text: !function helper.text
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["\\n"], max_gen_toks: 7, top_k: 3, mirostat: 2}}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
  - metric: !function helper.length
    aggregation: !function helper.longest
    higher_is_better: false
metadata: {{version: 2.1}}
"""
HELPER = """
def text(doc):
    return f"{doc['a']} + {doc['b']} ="

def length(references, predictions, **settings):
    return str(len(predictions[0]))

def longest(items):
    return max(int(item) for item in items)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task file of the user's, with functions of its own."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(json.dumps({"a": i, "b": 2 * i, "answer": str(3 * i)}) for i in range(1, 5)))
    (tmp_path / "helper.py").write_text(HELPER, "utf-8")
    file = tmp_path / "own.yaml"
    file.write_text(OWN.format(rows=rows), "utf-8")
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "datasets")
    return file


@pytest.mark.slow
def test_a_file_of_the_users_needs_no_index(own: Path, tmp_path: Path) -> None:
    table = evalkit.run("fake/gold", f"lm-eval:{own}", output=tmp_path / "run.db")
    assert not (tmp_path / "cache" / "lm-eval").exists()
    assert {cell.metric: cell.value for cell in table.cells} == {"exact_match": 100.0, "length": 2.0}
    with Store.open(tmp_path / "run.db") as store:
        (cell,) = store.cells()
        before = cell.spec
    assert before.name == "lm-eval:own_sums:v2.1"
    assert before.protocol.stop == ("\n",)
    assert (before.protocol.max_tokens, before.protocol.top_k) == (7, 3)
    assert before.protocol.extra == {"mirostat": 2}
    helper = own.with_name("helper.py")
    helper.write_text(HELPER.replace("max(", "min("), "utf-8")
    with pytest.raises(UsageError, match="holds another run"):  # its code decides the figure
        evalkit.run("fake/gold", f"lm-eval:{own}", output=tmp_path / "run.db")


@pytest.mark.slow
def test_functions_edited_in_the_same_second_are_the_new_ones(own: Path) -> None:
    """Python would take the bytecode: the file's size and its time in seconds are the same."""
    helper = own.with_name("helper.py")
    os.utime(helper, (1_000_000_000, 1_000_000_000))
    py_compile.compile(str(helper), doraise=True)
    helper.write_text(HELPER.replace("} =", "} ?"), "utf-8")
    os.utime(helper, (1_000_000_000, 1_000_000_000))
    (leaf,) = tree(parsed(str(own))).leaves
    assert build(leaf, DataOptions()).doc_to_text({"a": 1, "b": 2}) == "1 + 2 ?"


@pytest.mark.slow
def test_reading_a_run_file_runs_no_code_of_its_task(own: Path, tmp_path: Path) -> None:
    evalkit.run("fake/gold", f"lm-eval:{own}", output=tmp_path / "run.db")
    own.with_name("helper.py").write_text("raise SystemExit('this code was run')", "utf-8")
    runner = CliRunner()
    shown = runner.invoke(cli, ["report", str(tmp_path / "run.db")])
    assert shown.exit_code == 0
    assert "own_sums" in shown.output
    same = runner.invoke(cli, ["compare", str(tmp_path / "run.db"), str(tmp_path / "run.db")])
    assert "this code was run" not in same.output
    with pytest.raises(UsageError, match="cannot be scored again"):
        runner.invoke(
            cli,
            ["rescore", str(tmp_path / "run.db"), "-o", str(tmp_path / "again.db")],
            standalone_mode=False,
            catch_exceptions=False,
        )


@pytest.mark.slow
def test_a_missing_package_is_named_with_the_extra_that_has_it(own: Path) -> None:
    own.with_name("helper.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'langdetect'\", name='langdetect')", "utf-8"
    )
    with pytest.raises(
        UsageError, match=r"own_sums needs .* 'langdetect'\): pip install 'lm_eval\[ifeval\]'"
    ):
        evalkit.load_task(f"lm-eval:{own}")


def test_the_extra_is_one_of_the_tasks_if_there_is() -> None:
    cases = [
        ("jieba", "multilingual_x", "pip install 'lm_eval[multilingual]'"),
        ("jieba.posseg", "other", "pip install 'lm_eval[longbench]'"),
        ("no_such_package", "other", "install it, as the task's README in lm-eval says"),
        (None, "other", "install it, as the task's README in lm-eval says"),
    ]
    for module, task, words in cases:
        assert _install(module, task) == words


def test_a_figure_weighted_by_size_is_restored_from_a_run_file() -> None:
    for metric in (
        BySize(HarnessNumbers("f1", "f1", 2), ("a", "b")),
        BySize(HarnessRate("wp", "bits_per_byte", variant="first"), ("b",)),
        Macro(HarnessMean("acc")),
    ):
        spec = from_json(MetricSpec, json.loads(json.dumps(to_json(metric_spec(metric)))), "")
        again = stored_metric(spec)
        assert again == metric
        assert again is not None
        assert metric_spec(again) == metric_spec(metric)
        assert spec.innermost[1]["value"] in ("f1", "wp", "acc")
    of_items = BySize(HarnessItems("size", max, lambda answer, _: {"size": len(answer)}), ("a",))
    assert stored_metric(metric_spec(of_items)) is None
    assert traits_of(of_items).prepared


def test_a_figure_weighted_by_size_of_items_and_sums() -> None:
    items = HarnessItems("size", max, lambda answer, _: {"size": len(answer)})
    metric = BySize(items, ("a", "b"))
    kept = metric.prepare(())
    given = (("a", "x"), ("b", "xxx"), ("b", "xx"), ("b", "xx"))
    rows = np.array(
        [metric.statistics(replace(sample(), group=name), scored(text), kept) for name, text in given]
    )
    assert metric.aggregate(rows)(np.ones((1, 4))).tolist() == [(1 * 1 + 3 * 3) / 4]
    assert metric.each(rows).tolist() == rows[:, 0].tolist()
    with pytest.raises(ValueError, match="not in tuple"):
        metric.statistics(replace(sample(), group="other"), scored("x"), kept)


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data sets like those on the Hub."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return everything(tmp_path / "data")


@pytest.mark.slow
def test_the_data_folder_is_read_afresh_after_a_change(offline: Path, tmp_path: Path) -> None:
    """Not from datasets' cache, which goes by the folder's name and card alone."""
    for count in (7, 4):
        write(offline, "openai/gsm8k", {"main": {"train": sums(9, 40), "test": sums(count)}})
        task = evalkit.load_task("lm-eval:gsm8k", data=DataOptions(folder=offline))
        assert task.data.open().count == count


@pytest.mark.slow
def test_a_run_is_resumed_and_its_stored_answers_are_found(offline: Path, tmp_path: Path) -> None:
    names = "lm-eval:gsm8k,lm-eval:arc_easy"
    with HarnessServer() as server:

        def run(output: str, **more: Any) -> Any:
            return evalkit.run(
                "openai/made-up", names, base_url=server.url, data=offline, output=tmp_path / output, **more
            )

        whole = run("whole.db")
        asked = server.asked
        again = run("whole.db")
        assert server.asked == asked
        assert [cell.value for cell in again.cells] == [cell.value for cell in whole.cells]
    signatures = {cell.signature.short for cell in whole.cells}
    assert signatures == {cell.signature.short for cell in again.cells}


@pytest.mark.slow
def test_what_cannot_be_asked_is_refused_before_the_first_request(offline: Path, tmp_path: Path) -> None:
    for name, settings, words in (
        ("hellaswag", {"chat": "on"}, "compares likelihoods"),
        ("wikitext", {"chat": "on"}, "compares likelihoods"),
        ("gsm8k", {"shots": "10"}, "Sample larger than population"),
    ):
        with pytest.raises(UsageError, match=words):
            evalkit.run(
                "fake/gold", f"lm-eval:{name}", settings=settings, data=offline, output=tmp_path / "run.db"
            )
    assert not (tmp_path / "run.db").exists()
