"""Reads the run folders of HELM: run_spec.json, scenario_state.json, per_instance_stats.json and stats.json.

The format is that of crfm-helm 0.5 (benchmark/runner.py). The statistics of each instance include counts and
times besides the scores; only the scores are read. HELM puts them after what it reports for every run, so the
first of them is the headline.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.imports.results import (
    Asked,
    Results,
    Scored,
    count_of,
    entry,
    mapping,
    number_of,
    short,
    text_of,
)
from evalkit.imports.stream import members, whole
from evalkit.samples import JSON

TOOL = "helm"
SPEC, STATE, INSTANCES, FIGURES = (
    "run_spec.json",
    "scenario_state.json",
    "per_instance_stats.json",
    "stats.json",
)
_COUNTS = frozenset(
    (
        "num_references", "num_train_trials", "num_prompt_tokens", "num_completion_tokens",
        "num_output_tokens", "num_train_instances", "num_perplexity_tokens", "num_bytes", "num_instances",
        "prompt_truncated", "batch_size", "max_prob", "logprob", "estimated_num_tokens_cost",
    )
)  # fmt: skip
_OF_ALL = ("perplexity", "bits_per_byte", "logprob_per_byte")
"""Figures of all instances together, which no instance has."""
_COUNTED = ("training_", "inference_", "finish_reason_", "num_")
"""Beginnings of the names of statistics that are no scores."""
_UNSIGNED = frozenset(
    ("model", "model_deployment", "max_eval_instances", "substitutions", "eval_splits", "num_trials")
)
_FINISHES = {"stop": "stop", "length": "length", "endoftext": "stop", "content_filter": "filter"}
_FIX = "is it a run folder of HELM?"


def read(paths: Sequence[Path]) -> Iterator[Results]:
    """Yields the results of each run folder. Raises `UsageError`."""
    for folder in paths:
        yield _results(folder)


def _results(folder: Path) -> Results:
    spec = mapping(whole(folder / SPEC), str(folder / SPEC), "the document")
    where = str(folder / SPEC)
    adapter = mapping(entry(spec, "adapter_spec", where, dict, _FIX), where, "adapter_spec")
    scenario = mapping(entry(spec, "scenario_spec", where, dict, _FIX), where, "scenario_spec")
    model = text_of(adapter.get("model")) or text_of(adapter.get("model_deployment")) or "unknown model"
    own: dict[str, JSON] = {
        name: short(value)
        for name, value in adapter.items()
        if name not in _UNSIGNED and value not in (None, "", [])
    }
    own["scenario"] = short({"class": scenario.get("class_name"), "arguments": scenario.get("args")})
    own["metrics"] = short(spec.get("metric_specs"))
    values, perturbed = _values(folder / INSTANCES)
    notes = (f"{perturbed} perturbed instances are left out",) if perturbed else ()
    return Results(
        tool=TOOL,
        task=_task(text_of(spec.get("name"))),
        model=model,
        where=str(folder),
        samples=functools.partial(_samples, folder / STATE, values),
        settings=own,
        identity={"deployment": text_of(adapter.get("model_deployment"))},
        printed=_printed(folder / FIGURES),
        shots=count_of(adapter.get("max_train_instances")) or 0,
        expected=len({name for name, _ in values}),
        notes=notes,
    )


def _task(name: str) -> str:
    """Returns a run's name without its model: `mmlu subject=law` of `mmlu:subject=law,model=m`."""
    task, _, given = name.partition(":")
    kept = [
        one for one in given.split(",") if one and one.partition("=")[0] not in ("model", "model_deployment")
    ]
    return " ".join((task, *kept))


def _score(name: object) -> str:
    """Returns the name of a statistic that is a score; "" for others."""
    text = text_of(name.get("name")) if isinstance(name, dict) else ""
    return "" if text in _COUNTS or text.startswith(_COUNTED) else text


def _values(path: Path) -> tuple[dict[tuple[str, int], dict[str, float]], int]:
    """Returns the scores by (instance, trial), and the number of perturbed instances."""
    found: dict[tuple[str, int], dict[str, float]] = {}
    perturbed = 0
    for _, where, value in members(path):
        record = mapping(value, where, "an instance")
        name = text_of(entry(record, "instance_id", where, (str, int), _FIX))
        if record.get("perturbation"):
            perturbed += 1
            continue
        own = found.setdefault((name, count_of(record.get("train_trial_index")) or 0), {})
        for stat in entry(record, "stats", where, list, _FIX):
            if isinstance(stat, dict) and (score := _score(stat.get("name"))):
                mean = number_of(stat.get("mean"))
                if mean is not None and stat.get("count"):
                    own[score] = mean
    return found, perturbed


def _printed(path: Path) -> dict[str, float]:
    """Returns HELM's own figures of scores that it has for one split only."""
    if not path.is_file():
        return {}
    found: dict[str, list[float]] = {}
    for _, where, value in members(path):
        stat = mapping(value, where, "a statistic")
        name, mean = stat.get("name"), number_of(stat.get("mean"))
        score = _score(name)
        if not score or score in _OF_ALL or mean is None or not isinstance(name, dict):
            continue
        if not name.get("perturbation") and not name.get("sub_split"):
            found.setdefault(score, []).append(mean)
    return {score: figures[0] for score, figures in found.items() if len(figures) == 1}


def _samples(path: Path, values: Mapping[tuple[str, int], Mapping[str, float]]) -> Iterator[Scored]:
    states = (
        (where, mapping(value, where, "a request"))
        for name, where, value in members(path, lambda name: name == "request_states")
        if name == "request_states"
    )
    for key, found in itertools.groupby(states, _key):
        if key is None:  # perturbed
            continue
        requests = list(found)
        yield _sample(key, requests, values.get(key, {}))


def _key(placed: tuple[str, Mapping[str, Any]]) -> tuple[str, int] | None:
    where, state = placed
    instance = mapping(entry(state, "instance", where, dict, _FIX), where, "instance")
    if instance.get("perturbation"):
        return None
    name = text_of(entry(instance, "id", where, (str, int), _FIX))
    return name, count_of(state.get("train_trial_index")) or 0


def _sample(
    key: tuple[str, int], requests: Sequence[tuple[str, Mapping[str, Any]]], values: Mapping[str, float]
) -> Scored:
    where, state = requests[0]
    instance = state["instance"]
    references = [one for one in instance.get("references") or [] if isinstance(one, dict)]
    texts = [_text(one.get("output")) for one in references]
    right = [
        text for one, text in zip(references, texts, strict=True) if "correct" in (one.get("tags") or [])
    ]
    asked = tuple(_asked(state) for _, state in requests)
    answer: str | None = asked[0].text.strip()
    letters = state.get("output_mapping")
    if isinstance(letters, dict) and answer is not None:
        answer = text_of(letters.get(answer, answer))
    if len(asked) > 1:
        answer = None
    return Scored(
        id=key[0],
        draw=key[1],
        where=where,
        input=_text(instance.get("input")),
        target=tuple(right),
        choices=tuple(texts) if len(texts) > len(right) else (),
        group=text_of(instance.get("split")),
        answer=answer or None,
        values=values,
        asked=asked,
        error=next((error for _, state in requests if (error := _error(state))), ""),
    )


def _error(state: Mapping[str, Any]) -> str:
    result = state.get("result")
    if not isinstance(result, dict):
        return "HELM has no result of this request"
    return "" if result.get("success", True) else text_of(result.get("error")) or "the request failed"


def _text(part: object) -> str:
    return text_of(part.get("text")) if isinstance(part, dict) else text_of(part)


def _asked(state: Mapping[str, Any]) -> Asked:
    request = state.get("request") if isinstance(state.get("request"), dict) else {}
    result = state.get("result") if isinstance(state.get("result"), dict) else {}
    assert isinstance(request, dict)
    assert isinstance(result, dict)
    said = [one for one in result.get("completions") or [] if isinstance(one, dict)]
    texts = [text_of(one.get("text")) for one in said] or [""]
    reason = said[0].get("finish_reason") if said else None
    ended = text_of(reason.get("reason")) if isinstance(reason, dict) else "stop"
    turns = request.get("messages")
    prompt: JSON = text_of(request.get("prompt"))
    if isinstance(turns, list) and turns and all(isinstance(one, dict) for one in turns):
        prompt = [{"role": text_of(one.get("role")), "content": text_of(one.get("content"))} for one in turns]
    return Asked(
        prompt=prompt,
        text=texts[0],
        more=tuple(texts[1:]),
        finish=_FINISHES.get(ended, "stop"),
        seconds=number_of(result.get("request_time")) or 0.0,
    )
