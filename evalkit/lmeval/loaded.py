"""Tasks of lm-eval with their data: they build requests, filter responses and score answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from evalkit.data.base import DataOptions, Record
from evalkit.errors import UsageError
from evalkit.lmeval.index import quietly
from evalkit.lmeval.loading import OTHER_SEED, Leaf, build, plain, seeded, source_digest
from evalkit.lmeval.reading import from_text, values_of
from evalkit.lmeval.requests import GENERATE, LIKELIHOOD, ROLLING, Chat, sample_of
from evalkit.lmeval.rows import Row
from evalkit.samples import JSON, Sample

_TRIED = {GENERATE: "", LIKELIHOOD: (-1.0, False), ROLLING: -1.0}
"""A result of each kind, for the trial that shows which metrics a task has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `--set` changes of a task, as lm-eval's options of the same meaning do.

    `shots`: `--num_fewshot`, None: the task's own. `chat`: `--apply_chat_template`. `multiturn`:
    `--fewshot_as_multiturn`. `system`: `--system_instruction`. `prefix`: the text of the token before a text
    without context.
    """

    shots: int | None = None
    chat: bool = False
    multiturn: bool = True
    system: str = ""
    prefix: str = ""

    @property
    def text(self) -> str:
        """The settings that are not at their defaults and that no field of the protocol shows."""
        parts = ["multiturn=off"] if self.chat and not self.multiturn else []
        parts += [f"system={self.system!r}"] if self.system else []
        return ", ".join([*parts, f"prefix={self.prefix!r}"] if self.prefix else parts)


class Member:
    """One task of lm-eval with its data."""

    def __init__(self, leaf: Leaf, settings: Settings, options: DataOptions) -> None:
        self.name, self.groups, self.settings = leaf.name, leaf.groups, settings
        self.task: Any = build(leaf, options)
        self.given_shots = self.task.get_config("num_fewshot")
        if settings.shots is not None and self.given_shots != 0:  # as in simple_evaluate
            self.task.set_config(key="num_fewshot", value=settings.shots)
        self.shots = int(self.task.get_config("num_fewshot") or 0)
        self.docs: Any = getattr(self.task, "task_docs", None)
        if self.docs is None:
            self.docs = self.task.eval_docs
        if not hasattr(self.docs, "__getitem__"):  # a task in Python may give an iterator
            self.docs = [*self.docs]
        self.repeats = int(self.task.get_config("repeats") or 1)
        self.filters = [ensemble.name for ensemble in self.task._filters]
        self.kind = str(self.task.OUTPUT_TYPE)
        digest = source_digest(leaf)
        self.identity = " ".join(filter(None, (self.name, self.version, digest)))
        self._first: Sample | None = None

    @property
    def version(self) -> str:
        """The task's version, such as 3.0; "" if it has none."""
        version = self.task.VERSION
        return "" if version in (None, "Yaml") else str(version)

    @property
    def greedy(self) -> bool:
        """Whether a score depends on whether a continuation is the greedy one."""
        return self.kind == LIKELIHOOD or "exact_match" in (self.task.aggregation() or {})

    @property
    def _many_inputs(self) -> bool:
        """Whether the choices are in the prompts, each followed by the same continuation."""
        return bool(getattr(self.task, "multiple_input", None))

    def first(self) -> Sample:
        """The sample of the first document. Raises `SampleError`."""
        if self._first is None:
            self._first = sample_of(next(self.records()), grouped=False)
        return self._first

    def records(self) -> Iterator[Record]:
        """Yields the documents with their requests, in order: each draw of examples follows the last one."""
        random, sampler = Random(OTHER_SEED), Random(OTHER_SEED)  # noqa: S311 — examples, not secrets
        seen: Counter[str] = Counter()
        for doc_id, doc in enumerate(self.docs):
            self.task.fewshot_rnd = random
            if hasattr(self.task, "sampler"):
                self.task.sampler.rnd = sampler
            record: dict[str, Any] = {"task": self.name, "doc_id": doc_id}
            try:
                record["doc"] = plain(doc)
                text = json.dumps(record["doc"], sort_keys=True, ensure_ascii=False)
                name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
                seen[name] += 1
                record["id"] = name if seen[name] == 1 else f"{name}-{seen[name]}"
                record["instances"] = self._instances(doc_id, doc)
                record |= self._shown(doc, record["instances"])
            except Exception as error:  # noqa: BLE001 — a document that the task's code cannot handle
                record["error"] = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            yield record

    def _instances(self, doc_id: int, doc: Any) -> list[Any]:
        """lm-eval's requests for a document, made as in `Task.build_all_requests`."""
        settings, task = self.settings, self.task
        template = Chat.of if settings.chat else None
        with quietly():
            context = task.fewshot_context(
                doc,
                num_fewshot=self.shots,
                system_instruction=settings.system or None,
                apply_chat_template=settings.chat,
                fewshot_as_multiturn=settings.chat and settings.multiturn,
                chat_template=template,
                gen_prefix=task.doc_to_prefix(doc),
            )
            found = task.construct_requests(
                doc=doc,
                ctx=context,
                metadata=(self.name, doc_id, self.repeats),
                apply_chat_template=settings.chat,
                chat_template=template,
            )
        return found if isinstance(found, list) else [found]

    def _shown(self, doc: Any, instances: Sequence[Any]) -> dict[str, Any]:
        """The references and choices of a document, for display, and a response that is right, if known."""
        shown: dict[str, Any] = {"target": (), "choices": (), "gold": None}
        try:
            with quietly():
                target = self.task.doc_to_target(doc)
                listed = self.task.doc_to_choice(doc) if self.task.get_config("doc_to_choice") else ()
                if self.kind == "multiple_choice" and self._many_inputs:
                    return {**shown, "target": (str(target),), "choices": tuple(map(str, listed))}
        except Exception:  # noqa: BLE001 — a task may have no such text; its own scores do not need it
            return shown
        shown["choices"] = tuple(map(str, listed))
        targets = target if isinstance(target, list | tuple) else [target]
        places = [one for one in targets if isinstance(one, int) and 0 <= one < len(listed)]
        if self.kind == "multiple_choice":
            places = places or [listed.index(one) for one in targets if one in listed]
            shown["target"] = tuple(str(listed[place]) for place in places)
            shown["gold"] = instances[places[0]].args[1] if places else None
        elif self.kind == ROLLING:
            shown["gold"] = ""  # no response is right or wrong
        else:
            texts = [str(listed[place]) for place in places] if listed else [str(one) for one in targets]
            shown |= {"target": tuple(texts), "gold": texts[0] if texts else None}
        return shown

    def filtered(self, sample: Sample, results: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
        """The results of a sample's requests under each filter. `results`: for each request, its draws."""
        from lm_eval.api.instance import Instance

        requests: Any = sample.meta["requests"]
        doc_id: Any = sample.meta["doc_id"]
        instances = [
            Instance(
                request_type=kind,
                doc=self.docs[doc_id],
                arguments=(),
                idx=number,
                metadata=(self.name, doc_id, self.repeats),
                resps=[*drawn] if len(drawn) > 1 else [*drawn] * self.repeats,  # greedy repeats are equal
            )
            for number, ((kind, *_), drawn) in enumerate(zip(requests, results, strict=True))
        ]
        with quietly():
            for ensemble in self.task._filters:
                ensemble.apply(instances)
        return {name: [one.filtered_resps[name] for one in instances] for name in self.filters}

    def scored(self, results: Sequence[Any], sample: Sample) -> dict[str, Any]:
        """The values that the task gives to results, by metric."""
        doc_id: Any = sample.meta["doc_id"]
        with quietly():
            return values_of(self.task.process_results(self.docs[doc_id], [*results]))

    def rows(self) -> list[Row]:
        """The task's metrics under each of its filters, in lm-eval's order."""
        functions = values_of(self.task.aggregation() or {})
        higher = values_of(self.task.higher_is_better() or {})
        examples: dict[str, Any] = dict.fromkeys(functions)
        with contextlib.suppress(Exception):  # a task's code may not accept the trial's empty response
            sample = self.first()
            requests: Any = sample.meta["requests"]
            tried = self.filtered(sample, [[_TRIED[kind]] for kind, *_ in requests])
            with seeded():
                examples = self.scored(tried[self.filters[0]], sample)
            functions = values_of(self.task.aggregation() or {})  # a trial may add some
        return [
            Row(metric, name, functions.get(metric), higher.get(metric, True) is not False, example)
            for name in self.filters
            for metric, example in examples.items()
            if metric != "bypass"
        ]


class Loaded:
    """The tasks that one name stands for: one, or those of a group with figures together."""

    def __init__(self, members: Sequence[Member], group: Any = None) -> None:
        self.members = {member.name: member for member in members}
        first = members[0]
        self.filters = [*dict.fromkeys(name for member in members for name in member.filters)]
        for member in members:
            if member.filters[0] != first.filters[0] or member.repeats != first.repeats:
                raise UsageError(
                    f"the tasks {first.name} and {member.name} of a group have different filters or repeats, "
                    "which evalkit cannot ask together: name the group's tasks instead"
                )
        self.group = group
        self.headline = ""
        parts = [member.identity for member in members]
        self.identity = parts[0]
        if group is not None:
            digest = hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:8]
            self.identity = f"{group.name} {group.version} {digest}"

    @property
    def first(self) -> Member:
        return next(iter(self.members.values()))

    def member(self, sample: Sample) -> Member:
        return self.members[str(sample.meta["task"])]

    def filtered(self, sample: Sample, results: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
        return self.member(sample).filtered(sample, results)

    def scored(self, answer: str, sample: Sample) -> dict[str, Any]:
        """The values that lm-eval gives an answer, by metric."""
        requests: Any = sample.meta["requests"]
        return self.member(sample).scored(from_text(answer, [kind for kind, *_ in requests]), sample)

    def sample(self, record: Mapping[str, Any]) -> Sample:
        """Makes a record's sample. Raises `SampleError`."""
        grouped = self.group is not None
        tags = self.members[record["task"]].groups if grouped else ()
        return sample_of(record, grouped=grouped, tags=tags)


def gold(sample: Sample) -> JSON:
    """The response that the task says is right; None if it does not."""
    return sample.meta.get("gold")
