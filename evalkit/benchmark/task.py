"""A benchmark as a value, the decorator that names it, and finding one by name."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from typing import Protocol as Shape

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Extract, Reader
from evalkit.data.base import Data, Record
from evalkit.errors import ScorerError, UsageError, unknown
from evalkit.identity.user_file import import_file
from evalkit.metrics.base import Metric, traits_of
from evalkit.samples import JSON, JUDGE, Medium, Prompt, Sample
from evalkit.samples import Verdict as Verdict

PromptBuilder: TypeAlias = Callable[[Sample, Protocol], Prompt]


_T = TypeVar("_T")


class JudgeContext(Shape):
    """What a `ModelScorer` works with, for one answer."""

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
        """What `read` makes of the reply of the judge model in `role`.

        `read` returns None for a reply that it cannot read; the prompt is then asked again, `attempts` times
        in all. Raises `JudgeError` when none could be read: the sample failed, and is outside the figure.
        """
        ...


Scorer: TypeAlias = Callable[[str, Sample], "Verdict | Awaitable[Verdict]"]
"""(answer, sample) → right or wrong; a `ModelScorer` is one too.

Raises `SandboxError` when it could not be found out.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScorer:
    """A scorer that asks judge models (`--judge MODEL`, `--judge ROLE=MODEL`).

    A run without them is refused before its first request; where only a variant scores so, the variant is left out.
    `score`: (answer, sample, context) → right or wrong.
    """

    score: Callable[[str, Sample, JudgeContext], Awaitable[Verdict]]
    roles: tuple[str, ...] = (JUDGE,)

    def __call__(self, answer: str, sample: Sample) -> Verdict:
        """Raises `ScorerError`: without a context there is no judge model to ask."""
        raise ScorerError("judge: it asks a judge model, and there is none")


def no_gold(sample: Sample, protocol: Protocol) -> str:
    """`Task.gold` of a task whose right responses nobody can write down. Raises `ScorerError`."""
    raise ScorerError("gold: the task has no response that is known to be right")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Another way to read or score the same responses, shown beside the headline and never instead of it.

    `extract`, `reader`, `scorer`: the task's and the protocol's own where None. A metric with this `variant`
    measures it, and `evalkit report --disputes` lists the samples that it judges otherwise. `takes_gold`:
    whether `evalkit check` holds it to giving the reference full marks.
    """

    name: str
    extract: Extract | None = None
    reader: Reader | None = None
    scorer: Scorer | None = None
    takes_gold: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelExtractor:
    """How a model reads an answer where the rules find none: used with `--judge MODEL` and never else.

    `prompt`: (response text, sample) → what the judge is asked, greedily. `read`: its reply → the answer.
    """

    prompt: Callable[[str, Sample], Prompt]
    read: Extract
    max_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Submitted:
    """A sample's answer, for a server that keeps the references. `answer` None: there was none."""

    id: str
    meta: Mapping[str, JSON]
    answer: str | None


Submission: TypeAlias = Callable[[Iterable[Submitted]], JSON]
"""Answers in the data set's order → the document that the benchmark's server takes."""


def _group(sample: Sample) -> str:
    return sample.group


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A benchmark: where its records are, how they are asked, and what counts as right.

    `answer`, `scorer` and `prompt` are plain functions; the first of `metrics` is the headline, the
    first of `protocols` the report's. `evalkit check` holds every task to what `gold` and `wrong_responses` say.
    """

    data: Data
    sample: Callable[[Record], Sample]
    prompt: PromptBuilder
    answer: Mapping[str, Extract] | Extract
    """How the answer is read; by protocol or by api where they differ."""
    scorer: Scorer
    metrics: tuple[Metric, ...]
    protocols: tuple[Protocol, ...]
    gold: Callable[[Sample, Protocol], str] = no_gold
    """A response that must score full marks."""
    wrong_responses: Callable[[Sample, Protocol], Sequence[str]] = lambda sample, protocol: ()
    """Responses that must score none."""
    reference_free: bool = False
    """Whether answers are scored without references (instructions followed, a judge's grade, toxicity); else
    samples without any are answered and exported, not scored."""
    size: int | None = None
    """How many samples the benchmark has as its authors count them, in the split that is read; a run of fewer
    or more is marked. None: it is no fixed set."""
    group_sizes: Mapping[str, int] = field(default_factory=dict)
    """The same for each `Sample.group`, where that is known."""
    max_shots: int = 0
    dev: Data | None = None
    """Solved examples for `Sample.shots`, in order; read into memory."""
    shots_by: Callable[[Sample], str] = _group
    """Which of them belong to which samples: those of the same key, by default of the same group. With
    `lambda sample: ""` all belong to all."""
    validation: Data | None = None
    """What a protocol's threshold is chosen on; never the data that is scored."""
    variants: tuple[Variant, ...] = ()
    media: tuple[Medium, ...] = ()
    """What its prompts show besides text; a model that does not take it is refused."""
    model_extractor: ModelExtractor | None = None
    submission: Submission | None = None
    needs: Callable[[], None] = lambda: None
    """Raises `UsageError` when this machine lacks what scoring needs; called before the first request."""
    notes: Callable[[Protocol], Mapping[str, JSON]] = lambda protocol: {}
    """What a signature's reader should know besides, such as a fixed source; printed, not compared."""
    unavailable: Mapping[str, str] = field(default_factory=dict)
    """Protocols that a paper names and that nobody can follow, with the reason."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What `--set` changed of the factory's defaults."""
    name: str = ""
    report: str = ""
    """The report's table that prints it."""
    summary: str = ""

    def protocol(self, name: str = "") -> Protocol:
        """The protocol called `name`, or the first. Raises `UsageError` for one that there is not."""
        if not name:
            return self.protocols[0]
        if name in self.unavailable:
            raise UsageError(f"{self.name}:{name} cannot be asked: {self.unavailable[name]}")
        for protocol in self.protocols:
            if protocol.name == name:
                return protocol
        raise unknown(f"protocol of {self.name}", name, (p.name for p in self.protocols))

    def extract(self, protocol: Protocol) -> Extract:
        """The function that reads the answer under `protocol`."""
        if callable(self.answer):
            return self.answer
        return self.answer.get(protocol.name) or self.answer[protocol.api]


TaskFactory: TypeAlias = Callable[..., Task]
"""Takes nothing, or keyword-only texts with defaults: the task's options, which `--set` fills."""
_F = TypeVar("_F", bound=TaskFactory)
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    report: str = field(default="")


def task(name: str, *, report: str = "") -> Callable[[_F], _F]:
    """Marks a function that builds a `Task` as the benchmark called `name`.

    The function's docstring's first line is the benchmark's summary.
    """

    def mark(factory: _F) -> _F:
        factory.__evalkit_task__ = _Named(name, report)  # type: ignore[attr-defined]
        return factory

    return mark


def build(factory: TaskFactory, settings: Mapping[str, str] = _NONE) -> Task:
    """The task that `factory` builds, with its name, report row and summary filled in.

    Those of `settings` that the factory takes and that are not its defaults become `Task.options`.
    """
    named: _Named = factory.__evalkit_task__  # type: ignore[attr-defined]
    summary = (factory.__doc__ or "").strip().partition("\n")[0]
    defaults = options_of(factory)
    options = {key: text for key, text in settings.items() if key in defaults and text != defaults[key]}
    built = factory(**options)
    _check_metrics(named.name, built.metrics)
    return dataclasses.replace(built, name=named.name, report=named.report, summary=summary, options=options)


def _check_metrics(task: str, metrics: Sequence[Metric]) -> None:
    """Raises `UsageError` for two metrics of one name, which nothing could tell apart in a run file."""
    names = [metric.name for metric in metrics]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{task}: two of its metrics are called {name!r}; give one of them another name")


def options_of(factory: TaskFactory) -> dict[str, str]:
    """The factory's options with their defaults."""
    return {name: str(p.default) for name, p in inspect.signature(factory).parameters.items()}


def load_task(name: str, settings: Mapping[str, str] = _NONE) -> Task:
    """The task called `name`, with those of `settings` that it takes. Raises `UsageError`."""
    return build(find_task(name), settings)


def find_task(name: str) -> TaskFactory:
    """What builds the task of that name in evalkit's index, or in a file: `./my_task.py[:name]`.

    Imports that one module and no other. Raises `UsageError` with the nearest names.
    """
    file = file_of(name)
    if file is not None:
        return _from_file(*file)
    if name not in index():
        from evalkit.reports import reserved

        if name in reserved():
            raise UsageError(
                f"{name!r} ({reserved()[name]}) is a row of the report that evalkit has no task for yet; "
                f"a file of your own with @task({name!r}) joins that row: see docs/tables.md"
            )
        raise unknown("task", name, index(), "evalkit tasks lists them")
    module, _, attribute = index()[name].partition(":")
    factory: TaskFactory = getattr(importlib.import_module(module), attribute)
    return factory


def index() -> Mapping[str, str]:
    """Where each task of evalkit's is, by its name: `module:function`.

    Found by name, as the tasks are: they are made of what is defined here.
    """
    found: Mapping[str, str] = importlib.import_module("evalkit.tasks").INDEX
    return found


def file_of(name: str) -> tuple[Path, str] | None:
    """(file, task in it or "") of `./file.py` or `./file.py:name`; None for a name of the index."""
    if name.endswith(".py"):
        return Path(name), ""
    path, mark, inside = name.partition(".py:")
    return (Path(f"{path}.py"), inside) if mark else None


def parse_spec(spec: str) -> tuple[str, str]:
    """`name:protocol` or `./file.py:name:protocol` → (what `load_task` takes, protocol or "")."""
    if spec.endswith(".py"):
        return spec, ""
    path, mark, rest = spec.partition(".py:")
    name, _, protocol = (rest if mark else spec).partition(":")
    if mark:
        name = f"{path}.py:{name}" if name else f"{path}.py"
    return name, protocol


def _from_file(path: Path, name: str) -> TaskFactory:
    if not path.is_file():
        raise UsageError(f"no task file {str(path)!r} in {Path.cwd()}")
    marked = _marked(import_file(path))
    found: dict[str, TaskFactory] = {f.__evalkit_task__.name: f for f in marked}
    if len(found) < len(marked):
        raise UsageError(f"{path} defines two tasks of one name, of {', '.join(sorted(found))}")
    if not found:
        raise UsageError(f"{path} defines no task: mark the function that builds it with @task('name')")
    if not name and len(found) > 1:
        raise UsageError(f"{path} defines several tasks, name one: {path}:{sorted(found)[0]}")
    if name and name not in found:
        raise unknown(f"task in {path}", name, found)
    return found[name or next(iter(found))]


def _marked(module: Any) -> list[Any]:
    """The functions of `module` marked with `@task`, not those it imports from elsewhere."""
    return [
        value
        for value in vars(module).values()
        if hasattr(value, "__evalkit_task__") and value.__module__ == module.__name__
    ]


@functools.cache
def all_tasks() -> tuple[Task, ...]:
    """Every task of the index, by name. Imports every task module."""
    return tuple(load_task(name) for name in sorted(index()))


def judge_for(role: str, given: Mapping[str, _T]) -> _T | None:
    """Of what is `given` by role, that of `role`: its own, else that of `JUDGE`, which serves every role."""
    return given.get(role) or given.get(JUDGE)


def judge_argument(role: str, model: str) -> str:
    """What `--judge` takes: `MODEL`, or `grader=MODEL`."""
    return model if role == JUDGE else f"{role}={model}"


def judge_roles(task: Task) -> tuple[str, ...]:
    """The roles of the judge models that its headline and its variants are scored with."""
    scorers = (task.scorer, *(variant.scorer for variant in task.variants))
    return tuple(dict.fromkeys(r for one in scorers if isinstance(one, ModelScorer) for r in one.roles))


def averages_groups(task: Task) -> bool:
    """Whether its headline figure is the mean of the figures of its groups, each counting the same."""
    return bool(traits_of(task.metrics[0]).average)


def sample_id(*parts: str) -> str:
    """A stable id for a record that has none: 12 hex digits over what identifies it."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]
