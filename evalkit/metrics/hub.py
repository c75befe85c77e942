"""`HubMetric`: a metric of Hugging Face's `evaluate` library, from the Hub, a Space or a folder."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from evalkit.errors import ScorerError, UsageError
from evalkit.identity.declared import OWN, Declared, code_identity
from evalkit.metrics.base import MetricBase, NotDrawn, Ratio, Scored
from evalkit.metrics.hub_code import Code, code_of, compute, load, said
from evalkit.metrics.hub_inputs import Item, chosen, digest_of, items_of, weighted
from evalkit.metrics.hub_results import figure, values
from evalkit.samples import Final, Sample

if TYPE_CHECKING:
    from evalkit.data.base import DataOptions
    from evalkit.metrics.base import Figures, Floats

EVERY = 10
"""Of this many draws of samples, one is computed: 200 for an interval, 400 for a comparison."""
INTERVAL_DRAWS = 2_000
"""How many draws an interval has (`evalkit.stats.resample`)."""
SECONDS = 60.0
"""Draws that would take longer than this are not computed: the figure then has no interval."""
Inputs = Callable[[str, Sample], Item]
"""(answer, sample) → its item."""
_TRIED = 8


class HubMetric(MetricBase):
    """A metric of the `evaluate` library: `HubMetric("bertscore", "f1", per_sample=True, lang="en")`.

    Its code is loaded and tried on some references before a run's first request, and never when a run file is
    read without its task file. A figure of all samples is computed by the module's `compute` for all of
    them, and its interval from `compute` for draws of the samples (`EVERY`, `SECONDS`).
    """

    any_range: ClassVar[bool] = True
    outcome: ClassVar[Literal["answered"]] = "answered"
    denominator: ClassVar[str] = "samples"

    def __new__(cls, *_given: object, per_sample: bool = False, **_options: object) -> HubMetric:
        kind = cls if cls is not HubMetric else _OfSamples if per_sample else _OfAll
        return super().__new__(kind)

    def __init__(
        self,
        name: str | Path,
        key: str = "",
        *,
        config: str = "",
        revision: str = "",
        per_sample: bool = False,
        unit: str = "",
        scale: float = 1.0,
        higher_is_better: bool = True,
        unanswered: str | None = "",
        inputs: Inputs | None = None,
        label: str = "",
        variant: str = "",
        **options: Any,
    ) -> None:
        """`name`: as `evaluate.load` takes it: `wer`, `owner/space`, or the path of a folder or a script.

        `key`: the figure of the returned dictionary; "" means the only one, the one of the module's name, or
        `score`. `config`: the module's configuration. `revision`: a commit or branch of the Space.
        `per_sample`: whether the figure is the mean of the list under `key`, which has a value for each
        sample. `unit`, `scale`: the figure is multiplied by `scale` and is in `unit`, such as 100 and "%".
        `unanswered`: the prediction for a response without an answer; None leaves such responses out.
        `inputs`: (answer, sample) → the module's columns, for modules that take more than texts or numbers.
        `label`: the name in tables. `options`: further arguments of the module's `compute`.
        """
        self._given, self._local, self._key, self._config = str(name), isinstance(name, Path), key, config
        self._revision, self._unit, self._scale, self._higher = revision, unit, scale, higher_is_better
        self._unanswered, self._inputs, self._label, self._variant = unanswered, inputs, label, variant
        self._options = options

    @property
    def name(self) -> str:
        stem = Path(self._given).resolve().name.removesuffix(".py")
        name = self._label or (stem if self._key in ("", stem) else f"{stem} {self._key}")
        return f"{name} ({self._variant})" if self._variant else name

    @property
    def unit(self) -> str:
        return self._unit

    @property
    def higher_is_better(self) -> bool:
        return self._higher

    @property
    def variant(self) -> str:
        return self._variant

    @property
    def columns(self) -> tuple[str, ...]:
        return ("value", "samples")

    @property
    def _identity(self) -> Declared:
        """Of the module's code, the packages that it imports, and what it is called with. Finds the code."""
        code = self._code
        given: dict[str, object] = {
            "key": self._key, "config": self._config, "scale": self._scale, "unanswered": self._unanswered,
            "inputs": self._inputs,
            **{f"options.{name}": value for name, value in sorted(self._options.items())},
        }  # fmt: skip
        usual: dict[str, object] = {"key": "", "config": "", "scale": 1.0, "unanswered": "", "inputs": None}
        texts = [
            f"name={code.name!r}",
            f"code={OWN}{code.digest}",
            *(f"package={package}" for package in code.packages),
        ]
        for name, value in given.items():
            if name not in usual or value != usual[name]:
                texts.append(f"{name}={code_identity(value) if callable(value) else repr(value)}")
        return Declared("hub_metric", 1, ("evaluate",), ",".join(texts))

    def note(self, options: DataOptions) -> None:
        """Lists the files of the module's code in the inventory, and compares them with the lock.

        Raises `DataError`, or `UsageError` if there is no such module.
        """
        self._code.note(options)

    def try_on(self, samples: Sequence[Sample]) -> None:
        """Loads the module and computes it for the references of some of `samples`. Raises `UsageError`.

        The trial is before the first request, and finds a missing package, an option that the module does not
        have, references that do not fit, and a key that it does not return.
        """
        module = self._module
        with_target = {sample.target[0]: sample for sample in samples if sample.target}
        tried = [*with_target.values()][:_TRIED]
        try:
            items = [one for sample in tried for one in self._items([Final(sample.target[0])], sample)]
            if self._unanswered is not None:
                for sample in tried[:1]:
                    self._items([Final(None)], sample)
            if items:
                self.try_result(compute(module, items, self._options), len(items))
        except UsageError:
            raise
        except ScorerError as error:
            raise UsageError(f"{error}") from error
        except (Exception, SystemExit) as error:
            if len(tried) < 2 and isinstance(error, ValueError):  # such as of a correlation
                return
            what = f"tried with {len(tried)} references of the data as answers"
            raise UsageError(f"{self._where}, {what}, fails: {said(error)}") from error

    def statistics(self, sample: Sample, scored: Scored, *prepared: Any) -> Sequence[float]:
        """(the value of a sample, or what identifies its items; whether it counts). Raises `ScorerError`."""
        raise NotImplementedError

    def try_result(self, returned: Any, count: int) -> None:
        """Raises `ScorerError` if `compute` returned no figure."""
        raise NotImplementedError

    @functools.cached_property
    def _code(self) -> Code:
        return code_of(self._given, self._revision, self._local)

    @functools.cached_property
    def _module(self) -> Any:
        return load(self._code, self._config)

    @functools.cached_property
    def _features(self) -> Mapping[str, Any]:
        features: Mapping[str, Any] = chosen(self._module.features)
        return features

    @functools.cached_property
    def _names(self) -> set[str]:
        return set(self._features)

    @property
    def _where(self) -> str:
        return f"HubMetric {self._given!r}"

    def _items(self, finals: Sequence[Final], sample: Sample) -> list[Item]:
        """The items of a sample's answers. Raises `ScorerError`."""
        given = [self._unanswered if final.value is None else final.value for final in finals]
        texts = [text for text in given if text is not None]
        if not texts:
            return []
        try:
            if self._inputs is not None:
                return [self._checked(self._inputs(text, sample)) for text in texts]
            return [*items_of(self._features, texts, sample)]
        except ScorerError as error:
            if all(final.value is not None for final in finals):
                raise ScorerError(f"{self._where}: {error}") from error
            raise ScorerError(
                f"{self._where}: a response without an answer counts as {self._unanswered!r}, which does not "
                f"fit ({error}): set unanswered= to what it counts as, or to None to leave such responses out"
            ) from error

    def _checked(self, item: object) -> Item:
        if isinstance(item, Mapping) and item.keys() == self._names:
            return item
        columns = ", ".join(sorted(self._names))
        given = ", ".join(map(str, item)) if isinstance(item, Mapping) else f"{item!r:.60}"
        raise ScorerError(f"the metric takes {columns}, and inputs returned {given}")

    def _of(self, scored: Scored, sample: Sample) -> list[Item]:
        """The items of a scored sample. Raises `ScorerError`."""
        if not self._variant:
            return self._items(scored.answer.finals, sample)
        if self._variant not in scored.answer.branches:
            raise ScorerError(f"{self._where}: it measures answers and their branches, not {self._variant!r}")
        return self._items(scored.answer.branches[self._variant], sample)

    def _returned(self, items: Sequence[Item]) -> Any:
        """What `compute` returns. Its exceptions are its own."""
        return compute(self._module, items, self._options)

    def _number(self, returned: Any) -> float:
        """The figure in `unit`; NaN if the module has none. Raises `ScorerError`."""
        with self._named():
            return self._scale * figure(returned, self._key, self._code.name)

    def _values(self, returned: Any, count: int) -> list[float]:
        with self._named():
            return values(returned, self._key, self._code.name, count)

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except ScorerError as error:
            raise ScorerError(f"{self._where} {error}") from error

    def _fault(self, error: BaseException, items: Sequence[Item], names: Sequence[str]) -> ScorerError:
        """A failure of `compute`, with the first sample on which it fails alone, if there is one."""
        found = self._alone(items, names)
        return ScorerError(f"{self._where} fails{f' on {found}' if found else ''} ({said(error)})")

    def _alone(self, items: Sequence[Item], names: Sequence[str]) -> str:
        """The name of an item that `compute` fails on by itself, found in the halves that fail; or ""."""
        while len(items) > 1:
            half = len(items) // 2
            failing = next(
                (part for part in (slice(None, half), slice(half, None)) if self._fails(items[part])), None
            )
            if failing is None:
                return ""
            items, names = items[failing], names[failing]
        return f"sample {names[0]}"

    def _fails(self, items: Sequence[Item]) -> bool:
        try:
            self._returned(items)
        except (Exception, SystemExit):  # noqa: BLE001 — the module may raise anything
            return True
        return False


class _OfSamples(HubMetric, Ratio):
    """The mean of values that the module returns for each sample."""

    __evalkit_identity__ = property(lambda self: self._identity)

    @property
    def scale(self) -> float:
        """The factor of the mean."""
        return self._scale

    def prepare_answers(self, answered: Iterable[tuple[Sample, Scored]]) -> Iterator[tuple[float, float]]:
        """The statistics of all samples in their order, from one call of `compute`. Raises `ScorerError`."""
        items, names, counts = list[Item](), list[str](), list[int]()
        for sample, scored in answered:
            try:
                found = self._of(scored, sample)
            except ScorerError as error:
                raise ScorerError(f"{error} (sample {sample.id})") from error
            items += found
            names += [sample.id] * len(found)
            counts.append(len(found))
        try:
            returned = self._returned(items) if items else []
        except (Exception, SystemExit) as error:
            raise self._fault(error, items, names) from error
        numbers = iter(self._values(returned, len(items)) if items else ())
        own = ([next(numbers) for _ in range(count)] for count in counts)
        return ((sum(found) / len(found), 1.0) if found else (0.0, 0.0) for found in own)

    def statistics(self, sample: Sample, scored: Scored, *prepared: Any) -> Sequence[float]:
        found: tuple[float, float] = next(prepared[0])
        return found

    def try_result(self, returned: Any, count: int) -> None:
        self._values(returned, count)


class _OfAll(HubMetric):
    """A number that the module computes from all samples.

    A run file stores a digest of each sample's items. The items themselves are made again from the stored
    answers (`recall`) by those who have the code: the run itself, or a comparison with the task file.
    """

    __evalkit_identity__ = property(lambda self: self._identity)
    whole_corpus: ClassVar[bool] = True

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self._kept: dict[float, tuple[str, Sequence[Item]]] = {}
        """(name, items) of the samples, by their digests."""
        self._all, self._pace = 0, math.nan
        """How many samples the cell has that was recalled last, and the seconds that an item takes."""

    def statistics(self, sample: Sample, scored: Scored, *prepared: Any) -> Sequence[float]:
        items = self._of(scored, sample)
        return (self._digest(items), 1.0) if items else (0.0, 0.0)

    def recall(self, answered: Iterable[tuple[Sample, Scored]]) -> None:
        """Keeps the items of a cell's scored samples, for `aggregate`."""
        self._all = 0
        for sample, scored in answered:
            if items := self._of(scored, sample):
                self._kept[self._digest(items)] = (sample.id, items)
                self._all += 1

    def aggregate(self, values: Floats) -> Figures:
        """(samples, columns) statistics → a function of (draws, samples) weights → (draws,) figures."""
        missing = [row for row in values[:, 0] if float(row) not in self._kept]
        if missing:
            raise ScorerError(
                f"{self._where} is computed from answers, by a run or a comparison that has them"
            )
        kept = [self._kept[float(row)] for row in values[:, 0]]

        def figures(weights: Floats) -> Floats:
            once = len(weights) == 1 and bool((weights == 1).all())
            return self._one(kept, weights) if once else self._drawn(kept, weights)

        return figures

    def each(self, values: Floats) -> Floats:
        """NaN: the module has no figure of a sample by itself."""
        return values[:, 0] * math.nan

    def try_result(self, returned: Any, count: int) -> None:
        self._number(returned)

    def _one(self, kept: Sequence[tuple[str, Sequence[Item]]], weights: Floats) -> Floats:
        """The figure of a group or of all samples. Of a group on which `compute` fails, it is NaN."""
        import numpy as np

        items, names = weighted(kept, weights[0])
        start = time.monotonic()
        try:
            returned = self._returned(items)
        except (Exception, SystemExit) as error:
            if len(kept) < self._all:
                return np.full(1, math.nan)
            raise self._fault(error, items, names) from error
        self._pace = (time.monotonic() - start) / len(items)
        return np.full(1, self._number(returned))

    def _drawn(self, kept: Sequence[tuple[str, Sequence[Item]]], weights: Floats) -> Floats:
        """The figures of some draws; NaN for those that are not computed, or on which `compute` fails."""
        import numpy as np

        if math.isnan(self._pace):
            self._one(kept, np.ones((1, len(kept))))
        count = sum(len(items) for _, items in kept)
        rows = range(0, len(weights), EVERY)
        needed = self._pace * count * len(rows) * INTERVAL_DRAWS / len(weights)
        if needed > SECONDS:
            raise NotDrawn(
                f"{self.name} has no interval and is not compared: draws of samples would take "
                f"{needed:,.0f} s, because it takes {self._pace * count:.1f} s for {count:,} answers"
            )
        found = np.full(len(weights), math.nan)
        for row in rows:
            items, _ = weighted(kept, weights[row])
            with contextlib.suppress(Exception, SystemExit):
                found[row] = self._number(self._returned(items)) if items else math.nan
        if np.isnan(found[rows]).sum() > len(rows) / 2:
            raise NotDrawn(
                f"{self.name} has no interval and is not compared: most draws of samples have no figure"
            )
        return found

    def _digest(self, items: Sequence[Item]) -> float:
        return digest_of(items, self._where)
