"""Compares evalkit with lm-eval's own command, sample by sample, on the same server, tasks and rows.

    python -m bench.agreement MODEL --base-url http://localhost:8000/v1 --data FOLDER -t gsm8k,drop
    python -m bench.agreement model.gguf --data FOLDER -t gsm8k

Both ask one request after the other, greedily as the tasks say. A file in GGUF is served by llama.cpp on a
loopback port with one slot and without a prompt cache, so that equal requests get equal answers. FOLDER is
laid out like the Hub. The exit code is 1 if a value or a figure differs.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from bench.rows import say
from evalkit.benchmark.spec import CellSpec
from evalkit.lmeval.index import package_folder
from evalkit.runfile.store import Store


def by_lm_eval(
    model: str,
    url: str,
    tasks: Sequence[str],
    folders: Sequence[Path] = (),
    arguments: dict[str, Any] | None = None,
    **settings: Any,
) -> Any:
    """Returns the results of lm-eval's own evaluation, with data sets from the working directory.

    `url`: the server's, which ends in /v1. `folders`: where the tasks' files are; all of lm-eval's if there
    are none. `arguments`: further `model_args`. `settings`: of `lm_eval.evaluator.simple_evaluate`.
    """
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    chat = bool(settings.get("apply_chat_template"))
    route, kind = (
        ("chat/completions", "local-chat-completions") if chat else ("completions", "local-completions")
    )
    return simple_evaluate(
        model=kind,
        model_args={"model": model, "base_url": f"{url}/{route}", "max_length": 100000, **(arguments or {})},
        tasks=[*tasks],
        bootstrap_iters=0,
        task_manager=TaskManager(include_defaults=not folders, include_path=[*folders] or None),
        **settings,
    )


def same(mine: Any, theirs: Any) -> bool:
    return math.isclose(float(mine), float(theirs), rel_tol=1e-12, abs_tol=1e-12)


def compared(path: Path, theirs: Any) -> tuple[int, list[str]]:
    """Returns (number of values compared, differences) of the samples and the figures in a run file.

    `theirs`: what `by_lm_eval` returned for the same tasks.
    """
    count, wrong = 0, []
    with Store.open(path) as store:
        for cell in store.cells():
            rows = store.connection.execute(
                "SELECT meta, answer FROM sample WHERE cell = ? ORDER BY position", (cell.id,)
            )
            for meta, answer in (map(orjson.loads, row) for row in rows):
                logged = [s for s in theirs["samples"][meta["task"]] if s["doc_id"] == meta["doc_id"]]
                for name, mine, value in _values(answer, logged):
                    count += 1
                    if not same(mine, value):
                        wrong.append(f"{meta['task']} {meta['doc_id']} {name}: {mine} {value}")
            for figure in (one for one in store.figures(cell) if not one.group):
                name, value = _figure(cell.spec, figure.metric, theirs)
                if value is None:
                    continue
                count += 1
                if figure.value is None or not same(figure.value, value):
                    wrong.append(f"{name}: {figure.value} {value}")
    return count, wrong


def _values(answer: Any, logged: list[Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yields (name, evalkit's value, lm-eval's) of a sample, by metric and filter."""
    assert logged
    readings = {logged[0]["filter"]: answer["finals"], **answer["branches"]}
    for sample in logged:
        (final,) = readings[sample["filter"]]
        for metric in sample["metrics"]:
            value = sample[metric]
            several = isinstance(value, tuple | list)
            many = [(f"{metric}[{i}]", one) for i, one in enumerate(value)] if several else [(metric, value)]
            for name, one in many:
                if hasattr(one, "__float__"):  # texts are compared by the figure alone
                    yield f"{sample['filter']} {name}", final["values"].get(name, math.nan), one


def _figure(spec: CellSpec, metric: str, theirs: Any) -> tuple[str, float | None]:
    """Returns (name, lm-eval's figure in evalkit's unit) of a metric; None if a group has no figure of it."""
    found = next(one for one in spec.metrics if one.name == metric)
    task = spec.task.removeprefix("lm-eval:")
    samples = theirs["samples"].get(task) or next(iter(theirs["samples"].values()))
    own = found.innermost[1].get("value") or found.name.partition(" (")[0]
    key = f"{own},{found.variant or samples[0]['filter']}"
    figures = theirs["groups"] if task in theirs.get("groups", {}) else theirs["results"]
    value = figures[task].get(key)
    return f"{task} {key}", None if value is None else value * (100 if found.unit == "%" else 1)


@contextlib.contextmanager
def served(model: str, url: str) -> Iterator[tuple[str, str]]:
    """Yields (the model's name, the address of its server). A GGUF file is served here."""
    if url:
        yield model, url
        return
    from evalkit.models.llama_cpp import LlamaCppModel

    path = Path(model)
    own = LlamaCppModel(path, path.name, slots=1, prompt_cache=False, context=8192, threads=1, timeout=600)
    client = asyncio.run(own.start())
    try:
        yield path.name, str(client.identity["endpoint"])
    finally:
        asyncio.run(own.aclose())


_TOKENIZERS: dict[str, dict[str, Any]] = {
    "none": {"tokenizer_backend": None, "tokenized_requests": False},
    "remote": {"tokenizer_backend": "remote"},
}
"""lm-eval's `model_args`: for tasks that only generate, and for a server that serves its tokenizer."""


def measured(model: str, url: str, options: argparse.Namespace) -> tuple[int, list[str]]:
    """Returns what `compared` finds, with the data sets of the working directory."""
    import datasets

    import evalkit

    tasks = options.tasks.split(",")
    mine, theirs = dict[str, str](), dict[str, Any]()
    if options.max_tokens:
        mine["max_tokens"] = str(options.max_tokens)
        theirs["gen_kwargs"] = {"max_gen_toks": options.max_tokens}
    if options.chat:
        mine["chat"] = "on"
        theirs |= {"apply_chat_template": True, "fewshot_as_multiturn": True}
    with tempfile.TemporaryDirectory() as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder) / "datasets"
        run = Path(folder) / "run.db"
        names = ",".join(f"lm-eval:{task}" for task in tasks)
        evalkit.run(
            f"openai/{model}", names, base_url=url, data=".", output=run, limit=options.limit,
            concurrency=1, settings=mine,
        )  # fmt: skip
        found = by_lm_eval(
            model,
            url,
            tasks,
            [package_folder() / one for one in options.folder],
            {"num_concurrent": 1, **_TOKENIZERS.get(options.tokenizer, {"tokenizer": options.tokenizer})},
            limit=options.limit,
            **theirs,
        )
        return compared(run, found)


def main() -> int:
    """Returns 0 if all values are equal, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.agreement", description="Compares evalkit with lm-eval's own command."
    )
    parser.add_argument("model", metavar="MODEL", help="the model's name on the server, or a GGUF file")
    parser.add_argument("--base-url", default="", metavar="URL", help="the server's address, with /v1")
    parser.add_argument("-t", "--tasks", required=True, help="names of lm-eval's tasks, separated by commas")
    parser.add_argument("--data", required=True, type=Path, help="a folder laid out like the Hub")
    parser.add_argument(
        "--folder", action="append", default=[], help="only read this folder of lm-eval's tasks"
    )
    parser.add_argument(
        "--tokenizer",
        default="none",
        help="for lm-eval's likelihoods: the tokenizer's name on the Hub, or remote: the server's",
    )
    parser.add_argument("--limit", type=int, default=10, help="samples of each task")
    parser.add_argument("--max-tokens", type=int, help="in place of the tasks' own")
    parser.add_argument("--chat", action="store_true", help="ask by the chat endpoint")
    options = parser.parse_args()
    model = str(Path(options.model).resolve()) if not options.base_url else options.model
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.chdir(options.data)
    with served(model, options.base_url) as (name, url):
        count, wrong = measured(name, url, options)
    for line in wrong:
        say(line)
    say(f"{count - len(wrong)} of {count} values of samples and figures are equal")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
