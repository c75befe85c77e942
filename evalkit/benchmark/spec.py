"""What a run file says of a cell, typed: what was asked, and by what code it was read, scored and measured.

`evalkit.engine.cell` makes it of a task and a protocol; everything that reads a run file reads this. It holds
plain data only, so a run file explains itself where its task file has moved or gone, and reading it runs no
code of anybody's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.benchmark.protocol import SIGNED, ProtocolSettings
from evalkit.benchmark.signature import digest
from evalkit.metrics.spec import MetricSpec
from evalkit.samples import JSON

_ALWAYS = ("api", "shots", "draws", "temperature", "top_p", "max_tokens", "stop")
"""Fields of a protocol that a signature has also at their defaults."""
_DEFAULTS = ProtocolSettings(name="")
BY = " | by "
"""Between the identity of a scorer and the judge models that it asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """Identities of a variant's extractor, reader and scorer, "" where they are the task's or protocol's own."""

    name: str
    extract: str = ""
    reader: str = ""
    scorer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """One task under one protocol."""

    task: str
    source: str
    """How `find_task` finds its code: a name of the index, or `FILE.py:name`."""
    protocol: ProtocolSettings
    options: Mapping[str, str] = field(default_factory=dict)
    """The task's own options that are not at their defaults."""
    solver: str = ""
    reader: str = ""
    prompt: str = ""
    extract: str = ""
    scorer: str = ""
    """The scorer, and behind `BY` the judge models that it asks."""
    model_extractor: str = ""
    """The model that reads what the rules cannot, and how; "" where none does."""
    fallback: str = ""
    """The protocol that a routed answer falls back to, and digests of how it asks and how it reads."""
    variants: tuple[VariantSpec, ...] = ()
    metrics: tuple[MetricSpec, ...] = ()
    notes: Mapping[str, JSON] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    """Where the records came from (`Records.origin`)."""
    records: int | None = None
    """How many there are, where that is known."""
    limit: int | None = None
    limit_by_group: bool = False
    """Whether `limit` is of each group, as where the figure is a mean over groups; else of all."""
    wanted: int | None = None
    """How many samples the run asks, where that is known before it has asked them."""
    size: int | None = None
    """How many the benchmark has, as its authors count; None where the task does not say."""
    group_sizes: Mapping[str, int] = field(default_factory=dict)
    report: str = ""
    """The table of the report that prints it."""
    summary: str = ""
    code: str = ""
    """The text of the task's file, where it is no task of evalkit's."""

    @property
    def name(self) -> str:
        """`gsm8k:8-shot-cot`."""
        return f"{self.task}:{self.protocol.name}"

    @property
    def label(self) -> str:
        """The name with what was overridden, for people: `gsm8k:8-shot-cot[shots=4]`."""
        return f"{self.task}:{self.protocol.label}"

    @property
    def width(self) -> int:
        """How many statistics each sample has."""
        return sum(len(metric.columns) for metric in self.metrics)

    def variant(self, name: str) -> VariantSpec:
        """The variant of that name; an empty one for the headline and a branch."""
        return next((variant for variant in self.variants if variant.name == name), VariantSpec(name=name))

    def signed(self, metric: MetricSpec) -> dict[str, JSON]:
        """The parts of a signature that the spec decides, for figures of `metric`.

        The prompt's identity is none of them, nor are the task's options: what they change shows in the
        questions, the prompts or another identity, and what they do not change is no difference.
        """
        read = self.variant(metric.variant)
        parts: dict[str, JSON] = {
            **signed_settings(self.protocol),
            "solver": self.solver,
            "reader": read.reader or self.reader,
            "extract": read.extract or self.extract,
            "scorer": read.scorer or self.scorer,
        }
        if metric.traits.average:
            parts["average"] = metric.traits.average
        if self.model_extractor:
            parts["model_extractor"] = self.model_extractor
        if self.protocol.fallback:
            parts["fallback"] = self.fallback
        return parts


def signed_settings(protocol: ProtocolSettings) -> dict[str, JSON]:
    """The fields of a protocol that decide what is asked; those at their defaults are mostly left out.

    So a field that a later version of evalkit adds changes no signature of those that do not use it.
    """
    found: dict[str, JSON] = {}
    for name in SIGNED:
        value = getattr(protocol, name)
        if name == "fallback" or (name not in _ALWAYS and value == getattr(_DEFAULTS, name)):
            continue
        found[name] = list(value) if isinstance(value, tuple) else value
    if protocol.max_pixels:
        found["resample"] = protocol.resample
    if protocol.frames:
        found["frame_rule"] = protocol.frame_rule
    if protocol.logprobs:
        found["likelihood"] = protocol.likelihood
    if protocol.fallback:
        found["threshold"] = threshold_text(protocol.threshold)
    return found


def threshold_text(threshold: float | None) -> JSON:
    if threshold is None:
        return "chosen on the validation split"
    return "never" if threshold == float("inf") else threshold


def fallback_text(protocol: ProtocolSettings, solver: str, reader: str, extract: str) -> str:
    """A branch's protocol as one line, how it asks and how it reads.

    What matters is whether two are equal.
    """
    asks = digest({**signed_settings(protocol), "solver": solver})
    reads = digest({"reader": reader, "extract": extract})
    return f"{protocol.name} {asks.hex()[:8]} {reads.hex()[:8]}"
