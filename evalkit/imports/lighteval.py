"""Reads lighteval's details: a Parquet file for each task, and the results file of the same run.

The format is that of lighteval 0.9 and later (logging/evaluation_tracker.py, logging/info_loggers.py): a row
has `doc`, `model_response` and `metric`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.imports.results import (
    Asked,
    Results,
    Scored,
    count_of,
    mapping,
    number_of,
    short,
    text_of,
    without_secrets,
)
from evalkit.imports.stream import whole
from evalkit.samples import JSON

TOOL = "lighteval"
_DETAILS = re.compile(r"details_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[\d.:-]+)\.parquet")
_UNSIGNED = frozenset(
    (
        "name", "hf_repo", "metrics", "original_num_docs", "effective_num_docs", "version", "full_name",
        "solver", "scorer", "sample_fields", "sample_to_fewshot", "prompt_function", "hf_filter", "filter",
    )
)  # fmt: skip
_AT_ONCE = 256


def is_details(path: Path) -> bool:
    return _DETAILS.fullmatch(path.name) is not None


def read(paths: Sequence[Path]) -> Iterator[Results]:
    """Yields the results of each file of details. Raises `UsageError`."""
    for path in paths:
        yield _results(path)


def _results(path: Path) -> Results:
    named = _DETAILS.fullmatch(path.name)
    if named is None:
        raise UsageError(
            f"{path}: lighteval's details are called details_TASK_TIME.parquet; the task and the results "
            "file are found by that name: give the file its name back"
        )
    full, time = named["task"], named["time"]
    beside = _beside(path, time)
    told = mapping(whole(beside), str(beside), "the document")
    general = mapping(told.get("config_general") or {}, str(beside), "config_general")
    config = mapping((told.get("config_tasks") or {}).get(full) or {}, str(beside), f"config_tasks.{full}")
    metrics = [one for one in config.get("metrics") or [] if isinstance(one, dict)]
    model = mapping(general.get("model_config") or {}, str(beside), "config_general.model_config")
    most = count_of(general.get("max_samples"))
    task, _, shots = full.rpartition("|")
    of = count_of(config.get("original_num_docs"))
    return Results(
        tool=TOOL,
        task=(task or full).rpartition("|")[2],
        model=text_of(general.get("model_name")) or "unknown model",
        where=str(path),
        samples=functools.partial(_samples, path),
        settings=_settings(general, model, config, metrics, shots),
        identity={"arguments": {k: text_of(v) for k, v in without_secrets(model).items() if k in _MODEL}},
        printed=dict(_printed((told.get("results") or {}).get(full))),
        lower=frozenset(
            str(one.get("metric_name")) for one in metrics if one.get("higher_is_better") is False
        ),
        shots=int(shots) if shots.isdecimal() and len(shots) < 6 else 0,
        of=of,
        limit=most,
    )


_MODEL = frozenset(("model_name", "revision", "dtype", "model_dtype"))


def _beside(path: Path, time: str) -> Path:
    """Returns the results file of the run: results/MODEL/ stands beside details/MODEL/TIME/."""
    name = f"results_{time}.json"
    for folder in path.parents[:6]:
        if (folder / name).is_file():
            return folder / name
        if folder.name == "details":
            inside = path.parent.parent.relative_to(folder)
            if (found := folder.parent / "results" / inside / name).is_file():
                return found
    raise UsageError(
        f"{path}: {name}, which says what model and settings these samples are of, is neither beside it nor "
        "in the folder results/ of the same run"
    )


def _settings(
    general: Mapping[str, Any],
    model: Mapping[str, Any],
    config: Mapping[str, Any],
    metrics: Sequence[Mapping[str, Any]],
    shots: str,
) -> dict[str, JSON]:
    commit = text_of(general.get("lighteval_sha"))
    generation = model.get("generation_parameters")
    scoring = {text_of(one.get("metric_name")): one.get("sample_level_fn") for one in metrics}
    found: dict[str, JSON] = {
        "version": "" if commit == "?" else commit[:12],
        "task version": config.get("version"),
        "shots": int(shots) if shots.isdecimal() else None,
        "scoring": short(scoring),
        "system_prompt": short(model.get("system_prompt")),
    }
    if isinstance(generation, dict):
        found |= {name: short(value) for name, value in generation.items()}
    own = {name: short(value) for name, value in config.items() if name not in _UNSIGNED}
    return {name: value for name, value in {**own, **found}.items() if value is not None}


def _printed(results: object) -> Iterator[tuple[str, float]]:
    if isinstance(results, dict):
        for name, value in results.items():
            figure = number_of(value)
            if figure is not None and not name.endswith("_stderr"):
                yield str(name), figure


def _samples(path: Path) -> Iterator[Scored]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            absent = {"doc", "metric", "model_response"} - set(file.schema_arrow.names)
            if absent:
                raise UsageError(
                    f"{path} has no column {', '.join(sorted(absent))}: details of lighteval from 0.9 on have"
                )
            row = 0
            for batch in file.iter_batches(_AT_ONCE, columns=["doc", "metric", "model_response"]):
                for record in batch.to_pylist():
                    row += 1
                    yield _sample(record, f"{path}, row {row}")
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} cannot be read as Parquet ({error}): the file may have been cut off"
        ) from None


def _sample(record: Mapping[str, Any], where: str) -> Scored:
    doc = mapping(record["doc"], where, "doc")
    said = mapping(record["model_response"], where, "model_response")
    metric = mapping(record["metric"], where, "metric")
    name = doc.get("id")
    if name in (None, ""):
        raise UsageError(f"{where}: doc has no id: samples of two runs cannot be paired without one")
    choices = tuple(map(text_of, doc.get("choices") or []))
    gold = doc.get("gold_index")
    right = [one for one in (gold if isinstance(gold, list) else [gold]) if isinstance(one, int)]
    values = {key: number for key, one in metric.items() if (number := number_of(one)) is not None}
    asked, answer = _asked(said, doc, choices)
    return Scored(
        id=text_of(name),
        where=where,
        input=text_of(doc.get("original_query")) or text_of(doc.get("query")),
        target=tuple(choices[one] for one in right if 0 <= one < len(choices)),
        choices=choices if len(choices) > 1 else (),
        answer=answer,
        values=values,
        asked=(asked,),
        compared=isinstance(said.get("input"), str) and said.get("input") == doc.get("query"),
    )


def _asked(
    said: Mapping[str, Any], doc: Mapping[str, Any], choices: Sequence[str]
) -> tuple[Asked, str | None]:
    """Returns the request, and the answer that was scored."""
    given = said.get("input")
    prompt: JSON = text_of(given)
    if isinstance(given, list) and all(isinstance(turn, dict) and "role" in turn for turn in given):
        prompt = [{"role": text_of(one["role"]), "content": text_of(one.get("content"))} for one in given]
    texts = tuple(map(text_of, said.get("text") or []))
    if texts:
        cleaned = said.get("text_post_processed") or texts
        reasonings = [one for one in said.get("reasonings") or [] if one]
        first = text_of(reasonings[0]) if reasonings else ""
        return Asked(prompt=prompt, text=texts[0], more=texts[1:], reasoning=first), text_of(cleaned[0])
    logprobs = [number_of(one) for one in said.get("logprobs") or []]
    if len(logprobs) == len(choices) > 0:
        known = [(value, -at) for at, value in enumerate(logprobs) if value is not None]
        likelihoods = tuple((text, value, None) for text, value in zip(choices, logprobs, strict=True))
        return Asked(prompt=prompt, likelihoods=likelihoods), choices[-max(known)[1]] if known else None
    return Asked(prompt=prompt), ""
