"""Specs: what a run file stores about a cell: what was asked, and which code read, scored and measured it.

`evalkit.engine.cell` makes a spec from a task and a protocol; everything that reads a run file uses it. A
spec holds plain data only, so a run file can be read after its task file was moved or deleted, and reading
it runs no user's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from evalkit.benchmark.protocol import SIGNED, ProtocolSettings, shown_threshold
from evalkit.benchmark.signature import digest
from evalkit.convert import to_json
from evalkit.metrics.spec import MetricSpec
from evalkit.samples import JSON

_ALWAYS = ("api", "shots", "draws", "temperature", "top_p", "max_tokens", "stop")
"""Fields of a protocol that a signature includes even at their defaults."""
_DEFAULTS = ProtocolSettings(name="")
BY = " | by "
"""The separator between the identity of a scorer and the judge models that it asks."""
SCORED_AS = "scored as"
"""The entry of `CellSpec.imported` that names the task and protocol by whose rules evalkit scored it."""
ACROSS = " · "
"""The separator between the two keys of a group that a heat map shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """The identities of a variant's extractor, reader and scorer; "" means the task's or the protocol's."""

    name: str
    extract: str = ""
    reader: str = ""
    scorer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Two keys by which a task's samples are grouped, and by which reports show its figures as a heat map.

    `rows`, `columns`: what the keys are, such as "length in tokens". The samples' `group` is `group` of both.
    """

    rows: str
    columns: str

    def group(self, row: str, column: str) -> str:
        """`Sample.group` of the samples in a row and a column: `8k · 40–60 %`."""
        return f"{row}{ACROSS}{column}"

    def keys(self, group: str) -> tuple[str, str] | None:
        """(row, column) of a group; None for a tag or another name."""
        row, found, column = group.partition(ACROSS)
        return (row, column) if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellSpec:
    """The spec of a cell: one task under one protocol."""

    task: str
    source: str
    """The name with which `find_task` finds its code: a name in the index, or `FILE.py:name`."""
    protocol: ProtocolSettings
    options: Mapping[str, str] = field(default_factory=dict)
    """The task's own options that differ from their defaults."""
    solver: str = ""
    reader: str = ""
    prompt: str = ""
    extract: str = ""
    scorer: str = ""
    """The scorer's identity, followed by `BY` and the judge models that it asks, if any."""
    model_extractor: str = ""
    """The model that extracts answers that the rules do not find, and how it does so; "" if none does."""
    fallback: str = ""
    """The protocol to which a routed answer falls back, with digests of how it asks and how it reads."""
    variants: tuple[VariantSpec, ...] = ()
    metrics: tuple[MetricSpec, ...] = ()
    notes: Mapping[str, JSON] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)
    """Where the records came from (`Records.origin`)."""
    records: int | None = None
    """The number of records, if known."""
    limit: int | None = None
    limit_by_group: bool = False
    """Whether `limit` applies to each group, as for a mean over groups, rather than to all samples."""
    wanted: int | None = None
    """How many samples the run asks, if known beforehand."""
    size: int | None = None
    """The number of samples in the benchmark as its authors count them; None if the task does not give it."""
    group_sizes: Mapping[str, int] = field(default_factory=dict)
    heat_map: HeatMap | None = None
    """The keys of the groups, if reports show them as a heat map."""
    report: str = ""
    """The table of the report that contains the benchmark."""
    summary: str = ""
    code: str = ""
    """The text of the task's file, if the task is not one of evalkit's."""
    imported: Mapping[str, JSON] = field(default_factory=dict)
    """For results of another tool: the tool, the task and their settings; they are its signature.

    If a task of evalkit scored the responses, it has `SCORED_AS` too, and the spec has the task's scorer."""

    @property
    def name(self) -> str:
        """`gsm8k:8-shot-cot`."""
        return f"{self.task}:{self.protocol.name}"

    @property
    def label(self) -> str:
        """The name with its overrides, for display: `gsm8k:8-shot-cot[shots=4]`."""
        return f"{self.task}:{self.protocol.label}"

    @property
    def width(self) -> int:
        """The number of statistics of each sample."""
        return sum(len(metric.columns) for metric in self.metrics)

    @property
    def scored_elsewhere(self) -> bool:
        """Whether another tool scored the answers, so that none of evalkit's rules decided the figures."""
        return bool(self.imported) and not self.scored_as

    @property
    def scored_as(self) -> str:
        """The task and protocol by whose rules evalkit scored imported responses: `gsm8k:8-shot-cot`."""
        return str(self.imported.get(SCORED_AS, ""))

    @property
    def reading(self) -> str:
        """The name of the task's protocol by which answers are read."""
        return self.scored_as.partition(":")[2] or self.protocol.name

    def variant(self, name: str) -> VariantSpec:
        """The variant called `name`; an empty one for the headline and for a branch."""
        return next((variant for variant in self.variants if variant.name == name), VariantSpec(name=name))

    def signed(self, metric: MetricSpec) -> dict[str, JSON]:
        """The parts of a signature that the spec decides, for figures of `metric`.

        They do not include the prompt's identity or the task's options: whatever these change appears in the
        questions, the prompts or another identity.
        """
        if self.scored_elsewhere:
            return dict(self.imported)
        read = self.variant(metric.variant)
        parts: dict[str, JSON] = {
            **(self.imported or {**signed_settings(self.protocol), "solver": self.solver}),
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
    """The fields of a protocol that decide what is asked; most of those at their defaults are left out.

    A field that a later version of evalkit adds thus changes no signature of a protocol that does not use it.
    """
    settings: dict[str, JSON] = {}
    for name in SIGNED:
        value = getattr(protocol, name)
        if name == "fallback" or (name not in _ALWAYS and value == getattr(_DEFAULTS, name)):
            continue
        settings[name] = to_json(value)
    if protocol.max_pixels:
        settings["resample"] = protocol.resample
    if protocol.frames:
        settings["frame_rule"] = protocol.frame_rule
    if protocol.logprobs:
        settings["likelihood"] = protocol.likelihood
    if protocol.fallback:
        settings["threshold"] = threshold_text(protocol.threshold)
    return settings


def threshold_text(threshold: float | None) -> JSON:
    if threshold is None:
        return "chosen on the validation split"
    return shown_threshold(threshold)


def fallback_text(protocol: ProtocolSettings, solver: str, reader: str, extract: str) -> str:
    """A fallback protocol as one line: its name and digests of how it asks and how it reads.

    The line serves only to tell whether two of them are equal.
    """
    asks = digest({**signed_settings(protocol), "solver": solver})
    reads = digest({"reader": reader, "extract": extract})
    return f"{protocol.name} {asks.hex()[:8]} {reads.hex()[:8]}"
