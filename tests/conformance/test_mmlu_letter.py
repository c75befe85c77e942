"""MMLU's letters beside the official scorers', case by case.

The harness's column is computed again from the installed package. The likelihoods' predictions came from
running hendrycks/test's evaluate.py on endpoints that return these alternatives.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.models.base import TokenLogprob
from evalkit.models.likelihood import letter_scores
from evalkit.samples import Sample
from evalkit.scoring.letter import cot_letter

HERE = Path(__file__).parent
CHAINS: dict[str, Any] = json.loads((HERE / "mmlu_cot_letter.json").read_text("utf-8"))
LIKELIHOODS: dict[str, Any] = json.loads((HERE / "mmlu_letter_likelihood.json").read_text("utf-8"))
SAMPLE = Sample("metals", "Which metal rusts?", ("B",), choices=("Tin", "Iron", "Gold", "Zinc"))


@pytest.fixture(scope="module")
def harness() -> Callable[[str], str | None]:
    """The letter that the installed harness counts as right, by its own filter and metric."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    folder = Path(spec.submodule_search_locations[0]) / "tasks/mmlu/flan_cot_fewshot"
    config = yaml.safe_load((folder / "_mmlu_flan_cot_fewshot_template_yaml").read_text("utf-8"))
    ((regex, _first),) = [entry["filter"] for entry in config["filter_list"]]
    (metric,) = config["metric_list"]
    assert (regex.pop("function"), metric["metric"]) == ("regex", "exact_match")
    found: Any = importlib.import_module("lm_eval.filters.extraction").RegexFilter(**regex)
    exact_match: Any = importlib.import_module("lm_eval.api.metrics").exact_match_hf_evaluate
    options = {key: metric[key] for key in ("ignore_case", "ignore_punctuation")}

    def right(response: str) -> str | None:
        ((text,),) = found.apply([[response]], [{}])
        letters = [x for x in "ABCD" if exact_match([text], [f"({x})"], **options)["exact_match"] == 1]
        return letters[0] if letters else None

    return right


@pytest.mark.parametrize("case", CHAINS["cases"], ids=lambda case: repr(case["response"]))
def test_the_letter_is_the_harness_s_or_the_reason_is_named(
    case: dict[str, str | None], harness: Callable[[str], str | None]
) -> None:
    assert case["response"] is not None
    ours, theirs = cot_letter(case["response"], SAMPLE), harness(case["response"])
    assert theirs == case["harness"]
    assert ours == case["answer"]
    assert (ours != theirs) is ("differs" in case)


@pytest.mark.parametrize("case", LIKELIHOODS["cases"], ids=lambda case: json.dumps(case["top"]))
def test_the_likeliest_letter_is_the_official_one_or_the_reason_is_named(case: dict[str, Any]) -> None:
    top: dict[str, float] = case["top"]
    said = max(top, key=lambda token: top[token])
    found = letter_scores(TokenLogprob(said, top[said], top), "ABCD", api="completion", asked=100)
    index, _ = found.best()
    ours = None if index is None else "ABCD"[index]
    assert ours == case["answer"]
    assert (ours != case["official"]) is ("differs" in case)


@pytest.mark.parametrize("table", [CHAINS, LIKELIHOODS], ids=["chains", "likelihoods"])
def test_the_tables_are_whole(table: dict[str, Any]) -> None:
    inputs = [json.dumps(case.get("response", case.get("top"))) for case in table["cases"]]
    assert len(set(inputs)) == len(inputs) >= (40 if table is CHAINS else 12)
    assert {case["differs"] for case in table["cases"] if "differs" in case} == set(table["reasons"])
    assert ("lm-evaluation-harness 0.4.13" in table["oracle"]) or ("hendrycks/test" in table["oracle"])
