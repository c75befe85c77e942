"""Makes a task of evalkit from a name such as `lm-eval:gsm8k`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.task import Task, TaskFactory, task
from evalkit.data.base import DataOptions, Record, Records, Stretch
from evalkit.errors import DataError, SampleError, ScorerError, UsageError
from evalkit.identity.declared import versioned
from evalkit.lmeval.index import version
from evalkit.lmeval.loaded import Loaded, Member, Settings, gold
from evalkit.lmeval.loading import tree
from evalkit.lmeval.names import Place, parsed
from evalkit.lmeval.reading import Filters, Scores
from evalkit.lmeval.requests import GENERATE, Ask, most_tokens, prompt_of, stops
from evalkit.lmeval.rows import Row, grouped, metric_of
from evalkit.metrics.base import Metric
from evalkit.metrics.lm_eval import HarnessMean
from evalkit.models.parameters import LIMITS, SAMPLING
from evalkit.samples import Sample

_HANDLED = {*LIMITS, "until", "do_sample", "temperature", "top_p", *SAMPLING}
_ON = {"on": True, "off": False}


def factory(name: str, data: DataOptions) -> TaskFactory:
    """The function that builds the task called `name`, which begins with `lm-eval:`.

    `data`: where its data is read from, which happens when it is built. Raises `UsageError`.
    """
    place = parsed(name)

    @task(place.short)
    def lm_eval_task(
        *, shots: str = "", chat: str = "off", multiturn: str = "on", system: str = "", prefix: str = ""
    ) -> Task:
        settings = Settings(
            _shots(shots), _switch("chat", chat), _switch("multiturn", multiturn), system, prefix
        )
        return _task(place, settings, data)

    lm_eval_task.__doc__ = f"{place.root} of lm-evaluation-harness {version()}"
    return lm_eval_task


def _shots(text: str) -> int | None:
    if text and not text.isdecimal():
        raise UsageError(f"--set shots={text}: must be a whole number")
    return int(text) if text else None


def _switch(name: str, text: str) -> bool:
    if text not in _ON:
        raise UsageError(f"--set {name}={text}: must be on or off")
    return _ON[text]


def _task(place: Place, settings: Settings, data: DataOptions) -> Task:
    if data.small_sets:
        raise DataError(
            f"{place.short}: evalkit's small data sets are not lm-eval's: use --data DIR, or the Hub"
        )
    data.without_revision("a task of lm-eval names its data itself, and")
    found = tree(place)
    if found.parts:
        raise UsageError(
            f"{place.short} has no figures of its own: name its members, {', '.join(found.parts[:3])}, …"
        )
    members = [Member(leaf, settings, data) for leaf in found.leaves]
    for member in members:
        _check(member)
    if settings.shots is not None and all(member.given_shots == 0 for member in members):
        raise UsageError(
            f"--set shots={settings.shots}: {place.short} has no examples by its file (num_fewshot: 0), "
            "and lm-eval then ignores the number"
        )
    loaded = Loaded(members, found.group)
    rows = _rows(loaded)
    loaded.headline = rows[0][0].metric
    metrics = _metrics(loaded, rows)
    if not metrics:
        raise UsageError(f"{place.short} has no metric")
    number = str(found.group.version) if found.group is not None else members[0].version
    return Task(
        data=Documents(loaded, data),
        sample=loaded.sample,
        prompt=prompt_of,
        answer=as_it_is,
        scorer=Scores(loaded),
        metrics=metrics,
        protocols=(_protocol(loaded, settings, "" if number == "N/A" else number),),
        gold=_gold,
        reference_free=True,
        max_shots=max(member.shots for member in members),
        limit_by_group=found.group is not None,
    )


def _check(member: Member) -> None:
    """Raises `UsageError` for a task that evalkit cannot run, or that runs code of the model."""
    from evalkit.sandbox import unsafe_allowed

    if getattr(member.task, "MULTIMODAL", False):
        raise UsageError(f"lm-eval:{member.name} shows pictures or plays clips, which evalkit cannot ask yet")
    if getattr(member.task, "UNSAFE_CODE", False) and not unsafe_allowed():
        raise UsageError(
            f"lm-eval:{member.name} runs programs of the model with your own rights, outside of evalkit's "
            "sandbox: only --unsafe-execution allows it"
        )
    if not len(member.docs):
        raise DataError(f"lm-eval:{member.name} has no documents")


@versioned("lm_eval_text", 1)
def as_it_is(text: str, sample: Sample) -> str:
    """The response itself: lm-eval's filters read the answers of these tasks."""
    return text


def _gold(sample: Sample, protocol: Protocol) -> str:
    found = gold(sample)
    if not isinstance(found, str):
        raise ScorerError("gold: the task does not say which response is right")
    return found


def _rows(loaded: Loaded) -> list[tuple[Row, bool | None]]:
    """(row, whether a group weighs its tasks by size; None: the group has no figure of it), in order."""
    rows = [(member, row) for member in loaded.members.values() for row in member.rows()]
    distinct = {(row.metric, row.filter): row for _, row in reversed(rows)}
    ordered = [distinct[key] for key in dict.fromkeys((row.metric, row.filter) for _, row in rows)]
    if loaded.group is None:
        return [(row, True) for row in ordered]
    found: dict[tuple[str, str], tuple[Row, bool | None]] = {}
    for config in loaded.group.aggregate_metric_list:
        metric = getattr(config.metric, "__name__", config.metric)
        for row in ordered:
            if row.metric == metric and (config.filter_list is None or row.filter in config.filter_list):
                found[row.metric, row.filter] = (row, bool(config.weight_by_size))
    return [*found.values(), *((row, None) for row in ordered if (row.metric, row.filter) not in found)]


def _metrics(loaded: Loaded, rows: Sequence[tuple[Row, bool | None]]) -> tuple[Metric, ...]:
    metrics: list[Metric] = []
    only = len(loaded.filters) == 1
    for row, by_size in rows:
        metric = metric_of(
            row, first=loaded.filters[0], only=only, items=loaded.scored, given=loaded.identity
        )
        if loaded.group is None:
            metrics.append(metric)
        elif by_size is None:
            metrics += [metric] if isinstance(metric, HarnessMean) else []
        else:
            metrics.append(grouped(metric, by_size, [*loaded.members]))
    return tuple(metrics)


def _protocol(loaded: Loaded, settings: Settings, number: str) -> Protocol:
    generations: list[dict[str, Any]] = []
    likelihood = False
    for member in loaded.members.values():
        try:
            requests: Any = member.first().meta["requests"]
        except SampleError as error:
            raise DataError(f"lm-eval:{member.name}: {error}") from error
        generations += [request[2] for request in requests if request[0] == GENERATE]
        likelihood = likelihood or any(request[0] != GENERATE for request in requests)
    first = generations[0] if generations else {}
    others = [{key: one for key, one in each.items() if key not in LIMITS} for each in generations]
    sampling = [{key: each.get(key) for key in ("top_p", *SAMPLING)} for each in others]
    extra = [{key: one for key, one in each.items() if key not in _HANDLED} for each in others]
    if any(one != sampling[0] for one in sampling) or any(one != extra[0] for one in extra):
        raise UsageError("the tasks of the group sample differently: name the group's tasks instead")
    temperature = float(first.get("temperature") or 0.0)
    repeats = loaded.first.repeats
    shots = {member.shots for member in loaded.members.values()}
    prefilled = settings.chat and any(m.task.get_config("gen_prefix") for m in loaded.members.values())
    needs = ("chat", "lm-eval") if settings.chat and likelihood else ()
    given: dict[str, Any] = {key: one for key, one in (sampling or [{}])[0].items() if one is not None}
    return Protocol(
        name=f"v{number}" if number else "unversioned",
        solver=Ask(settings.prefix, settings.text),
        reader=Filters(loaded, settings.prefix),
        api="chat" if settings.chat and not likelihood else "completion",
        likelihood="prompt" if likelihood else "next-token",
        shots=max(shots),
        draws=repeats if temperature > 0 else 1,
        temperature=temperature,
        max_tokens=most_tokens(first) if generations else 1,
        stop=stops(first),
        branches=tuple(loaded.filters[1:]),
        extra=(extra or [{}])[0],
        needs=(*needs, *(("prefill",) if prefilled else ())),
        source=f"lm-evaluation-harness {version()}, {loaded.identity}",
        **given,
    )


@dataclass(frozen=True, slots=True)
class Documents:
    """The documents of loaded tasks, as the records of a data set. A group has a part for each task."""

    loaded: Loaded
    options: DataOptions
    at_hand: ClassVar[bool] = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the records; they were read when the task was built, with lm-eval's own code.

        Raises `UsageError` with a lock.
        """
        if options is not None and (options.lock or options.inventory):
            raise UsageError("data of lm-eval's tasks cannot be locked: lm-eval's own code reads it")
        members = [*self.loaded.members.values()]
        stretches = [Stretch(one.name, len(one.docs), _opened(one, self.options)) for one in members]

        def read() -> Iterator[Record]:
            for stretch in stretches:
                yield from stretch.open()

        if self.loaded.group is None:
            return stretches[0].open()
        origin = {**_origin(members[0], self.options), "name": str(self.loaded.group.name), "config": ""}
        return Records(origin, sum(len(one.docs) for one in members), read, tuple(stretches))


def _opened(member: Member, options: DataOptions) -> Any:
    return lambda: Records(_origin(member, options), len(member.docs), member.records)


def _origin(member: Member, options: DataOptions) -> dict[str, str]:
    task = member.task
    path = str(task.DATASET_PATH or member.name)
    here = options.folder is not None and (options.folder / path).is_dir()
    split = task.get_config("test_split") if task.has_test_docs() else task.get_config("validation_split")
    files = "data_files" in (task.get_config("dataset_kwargs") or {})
    return {
        "kind": "folder" if here else "file" if files else "hub",
        "name": path,
        "config": str(task.DATASET_NAME or ""),
        "split": str(split or ""),
        "revision": "",
        "where": str(options.folder) if here else "as lm-eval loads it",
    }
