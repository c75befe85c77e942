"""The Python interface: one call evaluates a model and returns the table. The command line uses it too."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from evalkit.data.base import data_options
from evalkit.data.lock import read_lock
from evalkit.engine.bounds import bounded
from evalkit.engine.budget import Spent, check_prices, left_to_ask
from evalkit.engine.chosen import TaskLike
from evalkit.engine.client import Stopped
from evalkit.engine.events import Events, emit, run_events
from evalkit.engine.plan import Plan, make_plan
from evalkit.engine.progress import Progress, Silent, make_progress
from evalkit.engine.run import Options, execute, open_run
from evalkit.engine.waits import RetryPolicy
from evalkit.errors import UsageError
from evalkit.models import judge_key
from evalkit.models.base import Model
from evalkit.models.parameters import typed_value
from evalkit.models.prices import read_prices
from evalkit.models.python_given import ModelLike, model_of
from evalkit.report.table import Table, build_table, flat
from evalkit.samples import JSON, JUDGE

Judges: TypeAlias = "ModelLike | Mapping[str, ModelLike] | None"
"""A judge model, or several by role."""
_F = TypeVar("_F", bound=Callable[..., Any])
_ARGUMENTS = """

    Arguments, each like the option of `evalkit run` with the same name:

    model: a name such as "openai/my-model"; a function (prompt) → text, plain or async; or a model. The
        function receives a tuple of messages, or a text if its parameter is annotated as `str`.
        `evalkit.as_model` gives a function a name, or states what determines its answers.
    tasks: a name such as "gsm8k:8-shot-cot", a `Task`, or a function marked with `@evalkit.task`; or a list
        of these. (task, "protocol") selects a protocol of a task other than its first.
    output: the run file. If it contains a part of the run, only the rest is evaluated. Default:
        runs/MODEL_TASKS_TIME.db in the current folder; `Table.paths` has the path.
    base_url: URL of the model's endpoint, or the URLs of several that serve the same model. Default:
        OPENAI_BASE_URL, or OpenAI's.
    judge: model that scores answers, given like `model`; or several models by role. A judge at another URL
        is given as `evalkit.open_model(name, base_url=…)`. Default: none.
    data: folder in the Hub's layout, or "builtin" for evalkit's own small sets. Default: the Hub.
    limit: number of samples of each task, or of each of its groups, from the first. Default: all.
    seed: seed of sampled draws. Default: 0.
    settings: overrides, as for `--set`: {"shots": 4, "extra.top_a": 0.5}. Default: the protocol's settings.
    strict: whether to refuse a run that is not comparable with the report. Default: it is only marked.
    concurrency: number of requests in flight. Default: as many as the endpoint handles well.
    retries: number of further attempts after a temporary failure of a request. Default: 5.
    timeout: seconds for one request to a model given by name, or for one call of a copy. Default: 600.
    ray_address: the Ray cluster for a model named `ray/…`, as HOST:PORT. Default: RAY_ADDRESS, or else one on
        this machine.
    api_key_env: environment variable with the endpoint's key. Default: the backend's, as OPENAI_API_KEY.
    same_model: whether to resume a run although the endpoint has another URL. Default: this is refused.
    shard: "2/8" asks the second of eight parts of the samples, and `evalkit.merge` puts the parts together.
        Default: all samples.
    lock: a lock file of `evalkit data lock`; a file that differs from it is refused. Default: none.
    verify_fraction: share of the greedy requests that are sent twice. Default: 0.
    batch: whether requests are sent by the provider's batch routes, at half the price and within hours.
        Default: they are not.
    draws_per_request: the most draws of one prompt in a request, if evalkit models --probe found that the
        endpoint returns several; 1: each draw has a request and a seed of its own. Default: 64.
    max_cost: US dollars; the run stops with `Stopped` before they are passed. Default: no limit.
    prices: a TOML file with prices of models (docs/cost.md). Default: evalkit's own table.
    progress: True writes the progress to standard error; an object receives it. Default: no progress.

    Models are closed at the end, and open again when they are used again. Raises `UsageError` before the
    first request, `Stopped` if the endpoint no longer answers (the run file keeps all answers), and
    `StorageError` if an answer cannot be stored.
    """


def _with_arguments(function: _F) -> _F:
    """Adds the arguments of `run` and `evaluate` to their docstrings, so that `help` shows them for both."""
    function.__doc__ = f"{(function.__doc__ or '').rstrip()}{_ARGUMENTS}"
    return function


@_with_arguments
async def evaluate(
    model: ModelLike,
    tasks: TaskLike | Sequence[TaskLike],
    *,
    output: str | Path | None = None,
    base_url: str | Sequence[str] = "",
    judge: Judges = None,
    data: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    settings: Mapping[str, JSON] | None = None,
    strict: bool = False,
    concurrency: int | None = None,
    retries: int = 5,
    timeout: float = 600.0,  # noqa: ASYNC109 — of a request
    verify_fraction: float = 0.0,
    batch: bool | None = None,
    draws_per_request: int | None = None,
    max_cost: float | None = None,
    prices: str | Path | None = None,
    api_key_env: str = "",
    ray_address: str = "",
    same_model: bool = False,
    shard: str = "",
    lock: str | Path | None = None,
    progress: Progress | bool = False,
) -> Table:
    """Evaluates `model` on `tasks` inside an event loop: `table = await evalkit.evaluate(…)`."""
    opened: list[Model] = []
    bounded("timeout", timeout)
    try:
        given: dict[str, Any] = {"timeout": timeout, "ray_address": ray_address}
        opened.append(model_of(model, base_url=base_url, key_env=api_key_env, **given))
        judges = _opened_judges(judge, given, opened)
        plan = make_plan(
            opened[0],
            tasks,
            settings={key: typed_value(key, value) for key, value in (settings or {}).items()},
            data=data_options(data),
            limit=limit,
            seed=seed,
            strict=strict,
            judges=judges,
            same_model=same_model,
            shard=shard,
            lock=None if lock is None else read_lock(Path(lock)),
        )
        path = default_output(plan) if output is None else Path(output)
        options = _options(concurrency, retries, verify_fraction, batch, draws_per_request, max_cost, prices)
        reporter = make_progress() if progress is True else progress or None
        try:
            return await execute_plan(plan, path, options, reporter)
        except Stopped as stopped:
            raise type(stopped)(
                f"{stopped}. The answers so far are in {path}; the same call with this output resumes it",
                usage=stopped.usage,
            ) from None
    finally:
        for closing in opened:
            await closing.aclose()


@_with_arguments
def run(
    model: ModelLike,
    tasks: TaskLike | Sequence[TaskLike],
    *,
    output: str | Path | None = None,
    base_url: str | Sequence[str] = "",
    judge: Judges = None,
    data: str | Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    settings: Mapping[str, JSON] | None = None,
    strict: bool = False,
    concurrency: int | None = None,
    retries: int = 5,
    timeout: float = 600.0,
    verify_fraction: float = 0.0,
    batch: bool | None = None,
    draws_per_request: int | None = None,
    max_cost: float | None = None,
    prices: str | Path | None = None,
    api_key_env: str = "",
    ray_address: str = "",
    same_model: bool = False,
    shard: str = "",
    lock: str | Path | None = None,
    progress: Progress | bool = False,
) -> Table:
    """Evaluates `model` on `tasks` and returns the table.

    If an event loop is running, as in a notebook, the evaluation has its own loop in a thread, and the
    running loop waits for it. An async function that uses something of the running loop, such as a session
    that was opened there, needs `await evalkit.evaluate(…)` instead, which takes the same arguments.
    """
    return _run_here(
        evaluate(
            model,
            tasks,
            output=output,
            base_url=base_url,
            judge=judge,
            data=data,
            limit=limit,
            seed=seed,
            settings=settings,
            strict=strict,
            concurrency=concurrency,
            retries=retries,
            timeout=timeout,
            verify_fraction=verify_fraction,
            batch=batch,
            draws_per_request=draws_per_request,
            max_cost=max_cost,
            prices=prices,
            api_key_env=api_key_env,
            ray_address=ray_address,
            same_model=same_model,
            shard=shard,
            lock=lock,
            progress=progress,
        )
    )


def _run_here(evaluation: Coroutine[Any, Any, Table]) -> Table:
    """Runs the evaluation in a new event loop, in another thread if this one has a running loop."""
    if not _in_a_loop():
        return asyncio.run(evaluation)
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = Future()

    async def begin() -> Table:
        task = asyncio.current_task()
        assert task is not None
        begun.set_result((asyncio.get_running_loop(), task))
        return await evaluation

    with ThreadPoolExecutor(1, "evalkit-run") as thread:
        running = thread.submit(contextvars.copy_context().run, asyncio.run, begin())
        try:
            return running.result()
        except KeyboardInterrupt:  # only this thread receives Ctrl-C; the other one must be cancelled
            loop, task = begun.result()
            with contextlib.suppress(RuntimeError):  # the loop has already ended
                loop.call_soon_threadsafe(task.cancel)
            raise


def _in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _by_role(judge: Judges) -> list[tuple[str, ModelLike]]:
    if judge is None:
        return []
    return [*judge.items()] if isinstance(judge, Mapping) else [(JUDGE, judge)]


def _opened_judges(judge: Judges, given: Mapping[str, Any], opened: list[Model]) -> dict[str, Model]:
    """The judge models by role; each is added to `opened` at once, to be closed if a later one fails."""
    judges = {}
    for role, one in _by_role(judge):
        key_env = judge_key(one) if isinstance(one, str) else ""
        judges[role] = model_of(one, key_env=key_env, **given)
        opened.append(judges[role])
    return judges


def _options(
    concurrency: int | None,
    retries: int,
    verify_fraction: float,
    batch: bool | None,
    draws_per_request: int | None,
    max_cost: float | None,
    prices: str | Path | None,
) -> Options:
    """Raises `UsageError` for a value that is out of range, and for a file of prices that cannot be read."""
    if draws_per_request is not None:
        bounded("draws-per-request", draws_per_request, "draws_per_request")
    return Options(
        _positive(concurrency),
        RetryPolicy(attempts=1 + bounded("retries", retries)),
        verify_fraction,
        batch,
        draws_per_request,
        None if max_cost is None else bounded("max_cost", max_cost),
        read_prices(None if prices is None else Path(prices)),
    )


def _positive(concurrency: int | None) -> int | None:
    if concurrency is not None and concurrency < 1:
        raise UsageError(f"concurrency must be at least 1, or None, not {concurrency}")
    return None if concurrency is None else bounded("concurrency", concurrency)


async def execute_plan(
    plan: Plan, path: Path, options: Options | None = None, progress: Progress | None = None
) -> Table:
    """Runs `plan` into the run file at `path`, which may contain a part of the run already."""
    options = options or Options()
    check_prices(plan, options.prices, options.max_cost)
    with open_run(path, plan) as store, run_events(plan, path):
        try:
            await execute(plan, store, options, Events(progress or Silent()))
        except Spent as spent:
            raise Spent(f"{spent}; {left_to_ask(plan, store)}") from None
        table = build_table([store])
        for cell in table.cells:
            emit("figure", logging.INFO, **flat(cell))
        return table


def default_output(plan: Plan) -> Path:
    """The default run file of `plan`: `runs/MODEL_TASKS_TIME.db` in the current folder.

    A shard's has `shard-I-of-N` before the time, because all shards may start at the same moment.
    """
    tasks = dict.fromkeys(cell.task.name for cell in plan.cells)
    name = f"{plan.model.name}_{'+'.join(tasks)}"
    slug = re.sub(r"[^\w.+-]+", "-", name)[:80].strip("-")
    if plan.shard is not None:
        slug += f"_shard-{plan.shard.index}-of-{plan.shard.of}"
    return Path("runs", f"{slug}_{datetime.now().astimezone():%Y%m%d-%H%M%S}.db")
