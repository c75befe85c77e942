"""Tasks: a benchmark as a value, the decorator that names it, and the functions that find it by name."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard, TypeVar
from typing import Protocol as Shape

from evalkit.benchmark.names import file_of, is_lm_eval
from evalkit.benchmark.plugged import plugged_build, plugged_task, plugin_of
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Extract, Reader
from evalkit.benchmark.shape import check_shape, shown
from evalkit.benchmark.spec import HeatMap
from evalkit.data.base import Data, DataOptions, Record
from evalkit.data.inventory import Reads
from evalkit.errors import EvalkitError, ScorerError, UsageError, one_line, unknown
from evalkit.identity.user_file import file_of_module, import_file
from evalkit.metrics.base import Metric, traits_of
from evalkit.samples import JSON, JUDGE, Medium, Prompt, Sample
from evalkit.samples import Verdict as Verdict

PromptBuilder: TypeAlias = Callable[[Sample, Protocol], Prompt]
_T = TypeVar("_T")


class JudgeContext(Shape):
    """The interface that a `ModelScorer` uses, for one answer."""

    def ask(
        self,
        prompt: Prompt,
        read: Callable[[str], _T | None],
        *,
        role: str = JUDGE,
        attempts: int = 3,
        max_tokens: int = 1024,
        temperature: float = 0.0,
    ) -> Awaitable[_T]:
        """Sends `prompt` to the judge model of `role` and returns its reply as parsed by `read`.

        `read` returns None for a reply that it cannot parse; the prompt is then sent again, `attempts` times
        in all. Raises `JudgeError` if no reply could be parsed: the sample has failed, and the figure leaves
        it out.
        """
        ...


Scorer: TypeAlias = Callable[[str, Sample], "Verdict | Awaitable[Verdict]"]
"""(answer, sample) → verdict. A `ModelScorer` is a scorer too.

A scorer that runs programs raises `SandboxError` if the sandbox fails.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScorer:
    """A scorer that asks judge models (`--judge MODEL`, `--judge ROLE=MODEL`).

    Without them, a run is refused before its first request, and a variant with such a scorer is left out.
    `score`: (answer, sample, context) → verdict. `roles`: the roles of the judge models that it asks.
    """

    score: Callable[[str, Sample, JudgeContext], Awaitable[Verdict]]
    roles: tuple[str, ...] = (JUDGE,)

    def __call__(self, answer: str, sample: Sample) -> Verdict:
        """Raises `ScorerError`, because without a context there is no judge model to ask."""
        raise ScorerError("judge: this scorer asks a judge model, and none is given")


def no_gold(sample: Sample, protocol: Protocol) -> str:
    """The `Task.gold` of a task without known right responses. Raises `ScorerError`."""
    raise ScorerError("gold: the task has no response that is known to be right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another way to read or score the same responses, shown beside the headline and never instead of it.

    `extract`, `reader`, `scorer`: None means the task's or the protocol's. A metric with this `variant`
    measures it, and `evalkit report --disputes` lists the samples for which its verdict differs from the
    headline's. `takes_gold`: whether `evalkit check` requires that it gives the reference full marks.
    """

    name: str
    extract: Extract | None = None
    reader: Reader | None = None
    scorer: Scorer | None = None
    takes_gold: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelExtractor:
    """A model that extracts an answer if the rules find none. It is used only with `--judge MODEL`.

    `prompt`: (response text, sample) → the prompt for the judge model, which answers it greedily. `read`:
    (reply, sample) → the answer, or None.
    """

    prompt: Callable[[str, Sample], Prompt]
    read: Extract
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Submitted:
    """A sample's answer, for a server that keeps the references. `answer` is None if there was none."""

    id: str
    meta: Mapping[str, JSON]
    answer: str | None


Submission: TypeAlias = Callable[[Iterable[Submitted]], JSON]
"""Answers in the data set's order → the document that the benchmark's server accepts."""


def _group(sample: Sample) -> str:
    return sample.group


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark: where its records are, how they are asked, and what counts as right.

    `answer`, `scorer` and `prompt` are plain functions. The first of `metrics` is the headline, and the first
    of `protocols` is the one that the report uses. `evalkit check` verifies every task with its `gold` and
    `wrong_responses`.
    """

    data: Data
    sample: Callable[[Record], Sample]
    prompt: PromptBuilder
    answer: Mapping[str, Extract] | Extract
    """How the answer is extracted from a response; a mapping by protocol or by api if these differ."""
    scorer: Scorer
    metrics: tuple[Metric, ...]
    protocols: tuple[Protocol, ...]
    gold: Callable[[Sample, Protocol], str] = no_gold
    """A response that must score full marks."""
    wrong_responses: Callable[[Sample, Protocol], Sequence[str]] = lambda sample, protocol: ()
    """Responses that must score nothing."""
    reference_free: bool = False
    """Whether answers are scored without references (instructions followed, a judge's grade, toxicity). If
    not, samples without references are answered and exported, but not scored."""
    size: int | None = None
    """The number of samples in the split that is read, as the benchmark's authors count them; a run of fewer
    or more samples is marked. None: the benchmark has no fixed size."""
    group_sizes: Mapping[str, int] = field(default_factory=dict)
    """The number of samples in each `Sample.group`, if known."""
    limit_by_group: bool = False
    """Whether `--limit` applies to each group; it always does if the headline is a mean over groups."""
    heat_map: HeatMap | None = None
    """The two keys of `Sample.group`, if it has two: reports show the figures as a heat map."""
    max_shots: int = 0
    dev: Data | None = None
    """Solved examples for `Sample.shots`, in order; they are read into memory."""
    shots_by: Callable[[Sample], str] = _group
    """The key that assigns solved examples to samples: a sample gets those with the same key, by default
    those of the same group. With `lambda sample: ""` every sample gets all of them."""
    reads: tuple[Reads, ...] = ()
    """Further files from which prompts are made, such as exemplars in a package, for `evalkit data lock`."""
    validation: Data | None = None
    """The data on which a protocol's threshold is chosen; never the data that is scored."""
    variants: tuple[Variant, ...] = ()
    media: tuple[Medium, ...] = ()
    """The kinds of media in its prompts; a run with a model that does not accept them is refused."""
    model_extractor: ModelExtractor | None = None
    submission: Submission | None = None
    needs: Callable[[], None] = lambda: None
    """Raises `UsageError` if this machine lacks what scoring needs. It is called before the first request."""
    notes: Callable[[Protocol], Mapping[str, JSON]] = lambda protocol: {}
    """Further information for the reader of a signature, such as a fixed source; printed, not compared."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Protocols of a paper that cannot be followed, with the reason."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The factory's options that `--set` changed from their defaults."""
    name: str = ""
    report: str = ""
    """The table of the report that contains the benchmark."""
    summary: str = ""
    source: str = field(default="", init=False, compare=False)
    """What `load_task` takes to give it again; "" where nothing does, as for a task of a notebook. What
    `dataclasses.replace` makes of a task is another one, and keeps none."""

    def protocol(self, name: str = "") -> Protocol:
        """The protocol called `name`, or the first if `name` is "". Raises `UsageError` if there is none."""
        if not name:
            return self.protocols[0]
        if name in self.unavailable:
            raise UsageError(f"{self.name}:{name} cannot be asked: {self.unavailable[name]}")
        for protocol in self.protocols:
            if protocol.name == name:
                return protocol
        raise unknown(f"protocol of {self.name}", name, (p.name for p in self.protocols))

    def extract(self, protocol: Protocol) -> Extract:
        """The function that extracts the answer from a response under `protocol`."""
        if callable(self.answer):
            return self.answer
        return self.answer.get(protocol.name) or self.answer[protocol.api]


TaskFactory: TypeAlias = Callable[..., Task]
"""A function that builds a task. Its parameters, if any, are keyword-only texts with defaults: the task's
options, which `--set` fills."""
_F = TypeVar("_F", bound=TaskFactory)
_NONE: Mapping[str, str] = {}
TASK = "__evalkit_task__"
"""What `task` gives a function: the name of the task that it builds."""


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    report: str = field(default="")


def task(name: str, *, report: str = "") -> Callable[[_F], _F]:
    """Marks a function that builds a `Task` as the benchmark called `name`.

    The first line of the function's docstring is the benchmark's summary.
    """
    if not isinstance(name, str) or not name:
        raise UsageError(f"@task needs a name, such as @task('my-task'), not {shown(name)}")

    def mark(factory: _F) -> _F:
        factory.__evalkit_task__ = _Named(name, report)  # type: ignore[attr-defined]
        return factory

    return mark


def build(factory: TaskFactory, settings: Mapping[str, str] = _NONE) -> Task:
    """The task that `factory` builds, with its name, report table and summary filled in.

    `Task.options` gets those of `settings` that the factory accepts and that differ from its defaults.
    Raises `UsageError` for an error in a user's file.
    """
    named: _Named = factory.__evalkit_task__  # type: ignore[attr-defined]
    summary = (factory.__doc__ or "").strip().partition("\n")[0]
    defaults = options_of(factory)
    options = {key: text for key, text in settings.items() if key in defaults and text != defaults[key]}
    plugin = plugin_of(factory)
    try:
        built = factory(**options) if plugin is None else plugged_build(plugin, factory, options)
    except EvalkitError:
        raise
    except (Exception, SystemExit) as error:
        if not (file := file_of_module(factory.__module__)):
            raise
        at = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == file]
        place = f"{file}, line {at[-1]}" if at else file
        raise UsageError(f"{place}: the task {named.name} cannot be built: {one_line(error, 300)}") from error
    if not isinstance(built, Task):
        raise UsageError(f"the function of the task {named.name} returns {shown(built)} and no Task")
    check_shape(named.name, built)
    found = dataclasses.replace(built, name=named.name, report=named.report, summary=summary, options=options)
    object.__setattr__(found, "source", _source(factory, named.name))
    return found


def is_factory(value: object) -> TypeGuard[TaskFactory]:
    """Whether it is a function marked with `@task`."""
    return isinstance(getattr(value, TASK, None), _Named)


def _source(factory: TaskFactory, name: str) -> str:
    """The task's name in evalkit's index, or its place in a file; "" if it is in neither."""
    if plugin_of(factory) is not None or index().get(name, "").partition(":")[0] == factory.__module__:
        return name
    code = getattr(inspect.unwrap(factory), "__code__", None)
    at_the_top = "<locals>" not in getattr(factory, "__qualname__", "<locals>")
    if code is None or not at_the_top or not Path(code.co_filename).is_file():
        return ""
    return f"{Path(code.co_filename).resolve()}:{name}"


def options_of(factory: TaskFactory) -> dict[str, str]:
    """The factory's options with their defaults."""
    return {name: str(p.default) for name, p in inspect.signature(factory).parameters.items()}


def load_task(name: str, settings: Mapping[str, str] = _NONE, data: DataOptions | None = None) -> Task:
    """The task called `name`, built with those of `settings` that it accepts. Raises `UsageError`.

    `data`: as for `find_task`.
    """
    return build(find_task(name, data), settings)


def find_task(name: str, data: DataOptions | None = None) -> TaskFactory:
    """The factory of the task called `name` in evalkit's index, in a file, `./my_task.py[:name]`, of
    lm-eval, `lm-eval:NAME`, or of an installed package.

    It imports only the module of that task. `data`: where a task of lm-eval reads its data, which it does
    when it is built. Raises `UsageError`, with similar names, if there is none.
    """
    if is_lm_eval(name):
        found: TaskFactory = importlib.import_module("evalkit.lmeval").factory(name, data or DataOptions())
        return found
    file = file_of(name)
    if file is not None:
        return _from_file(*file)
    if name not in index():
        from evalkit.reports import reserved

        if name in reserved():
            raise UsageError(
                f"{name!r} ({reserved()[name]}) is a row of the report for which evalkit has no task yet; "
                f"a task file of your own with @task({name!r}) fills that row: see docs/tables.md"
            )
        return plugged_task(name, index())
    module, _, attribute = index()[name].partition(":")
    factory: TaskFactory = getattr(importlib.import_module(module), attribute)
    return factory


def index() -> Mapping[str, str]:
    """The location of each of evalkit's tasks, by name: `module:function`.

    The module is imported by name because tasks import this module.
    """
    locations: Mapping[str, str] = importlib.import_module("evalkit.tasks").INDEX
    return locations


def _from_file(path: Path, name: str) -> TaskFactory:
    if not path.is_file():
        raise UsageError(f"no task file {str(path)!r} in {Path.cwd()}")
    marked = _marked(import_file(path))
    found: dict[str, TaskFactory] = {f.__evalkit_task__.name: f for f in marked}
    if len(found) < len(marked):
        raise UsageError(f"{path} defines two tasks of the same name, among {', '.join(sorted(found))}")
    if not found:
        raise UsageError(f"{path} defines no task: mark the function that builds it with @task('name')")
    if not name and len(found) > 1:
        raise UsageError(f"{path} defines several tasks: name one, such as {path}:{sorted(found)[0]}")
    if name and name not in found:
        raise unknown(f"task in {path}", name, found)
    return found[name or next(iter(found))]


def _marked(module: Any) -> list[Any]:
    """The functions marked with `@task` that `module` defines, without those that it imports."""
    return [
        value
        for value in vars(module).values()
        if hasattr(value, "__evalkit_task__") and value.__module__ == module.__name__
    ]


@functools.cache
def all_tasks() -> tuple[Task, ...]:
    """Every task of the index, sorted by name. This imports every task module."""
    return tuple(load_task(name) for name in sorted(index()))


def judge_for(role: str, given: Mapping[str, _T]) -> _T | None:
    """The entry of `given` for `role`, or else that for `JUDGE`, which serves every role."""
    return given.get(role) or given.get(JUDGE)


def judge_argument(role: str, model: str) -> str:
    """The value of `--judge` for a model in a role: `MODEL`, or `grader=MODEL`."""
    return model if role == JUDGE else f"{role}={model}"


def judge_roles(task: Task) -> tuple[str, ...]:
    """The roles of the judge models that score the task's headline and its variants."""
    scorers = (task.scorer, *(variant.scorer for variant in task.variants))
    return tuple(dict.fromkeys(role for s in scorers if isinstance(s, ModelScorer) for role in s.roles))


def limits_groups(task: Task) -> bool:
    """Whether a limit of samples applies to each group of the task."""
    return task.limit_by_group or averages_groups(task)


def averages_groups(task: Task) -> bool:
    """Whether the task's headline figure is the unweighted mean of the figures of its groups."""
    return bool(traits_of(task.metrics[0]).average)


def sample_id(*parts: str) -> str:
    """A stable id for a record that has none: the first 12 hex digits of the SHA-256 of `parts`."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
