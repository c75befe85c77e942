"""WMT23: the general translation task in 14 language pairs, 24,994 segments (Kocmi et al. 2023).

The report prints BLEURT, 1-shot: 74.4 for Ultra and 71.7 for Pro over all pairs (tables 2 and 4). It does not
say which example is shown, which prompt, which checkpoint of BLEURT, or which pairs have high resources.

- BLEURT is the headline with `--set bleurt=FOLDER` or `bleurt=BLEURT-20` (`evalkit.scoring.bleurt`): the
  mean over the pairs of the mean over segments, each by the best of its references. BLEURT-20 is what its
  authors recommend, and the only checkpoint whose figures stand beside the printed ones without a mark.
  Without `bleurt=`, the printed figures stand beside chrF2 and are marked.
- Data: see `wmt23_data`. The pairs are groups, documents are clusters, and `pairs=` chooses some of them.
- Figures: the mean over the pairs of corpus chrF2 and BLEU, as sacreBLEU computes them; BLEU's tokeniser is
  `zh` for Chinese, `ja-mecab` for Japanese and `13a` for the others, which is sacreBLEU's choice and the
  organisers' (scores/autoWMT23.tex). Their file scores/automatic-scores.tsv has these figures, but Japanese
  by characters: `tokeniser=char` gives them, and any tokeniser for all pairs.
- Means over some pairs are those of the tags: `from English` (7 pairs), `into English` (6; cs-uk is in
  neither), and `high resource` and `mid resource`. The division by resources is evalkit's: pairs of Czech,
  German, Japanese, Russian and Chinese with English are high, which is 9 of 14 pairs; the report's figures
  allow shares of 43 to 71 % (see the note in table 4). `high=en-de,de-en,…` sets another division, in which
  all other pairs are mid. Rows of a table of one's own can average any pairs (`macro`, docs/tables.md).
- Reference: refA, but refB for Hebrew, as in sacreBLEU (the release says that Hebrew's refA may be an edited
  output of an online system). The organisers' file is from before there was a refB: its bleu-all and chrf-all
  are those of `reference=refA`. `reference=all` takes both.
- `1-shot`: the organisers' template and the first of the five examples that they gave GPT-4 for the pair: the
  only published examples for exactly these pairs. `5-shot` has all five, as GPT4-5shot in their release.
  `1-shot-expert`: the prompt that the report's team printed one version later, with the same example.
- Answer: the reply without its number, a label, or a chat's words around the text (`translation.reply`).
- `documents=no` leaves the documents out, and with them most of the download; intervals then resample
  segments.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from evalkit.api import (
    BY_TARGET,
    JSON,
    PART,
    Bleu,
    ChrF,
    Macro,
    Parts,
    Prompt,
    Protocol,
    Record,
    Sample,
    Task,
    UsageError,
    bleu_signatures,
    require_tokeniser,
    sample_id,
    task,
    tokeniser_for,
    unknown,
    versioned,
)

from .kit import first_reference
from .translation import chosen_from, expert_prompt, listed_prompt, reply, score, wrong_responses
from .with_bleurt import PRECISION, with_bleurt
from .wmt23_data import LANGUAGES, SIZES, TWO_REFERENCES, Examples, Pair

PAIRS = tuple(SIZES)
HIGH = "de-en,en-cs,en-de,en-ja,en-ru,en-zh,ja-en,ru-en,zh-en"
"""The pairs of high resources unless `--set high=` names others."""
EXPERT = "1-shot-expert"
PREFERRED = "preferred"
REFERENCES = (PREFERRED, "refA", "refB", "all")


def to_sample(record: Record, *, high: frozenset[str], reference: str) -> Sample:
    """`high`: the pairs of high resources. `reference`: one of `REFERENCES`."""
    pair = str(record[PART])
    source, target = pair.split("-")
    tags = ["high resource" if pair in high else "mid resource"]
    tags += ["from English"] if source == "en" else ["into English"] if target == "en" else []
    return Sample(
        id=sample_id(pair, record["source"], str(record["nth"])),
        input=record["source"],
        target=_references(record["references"], reference),
        group=pair,
        tags=tuple(tags),
        cluster=record["document"],
        meta={"from": LANGUAGES[source], "into": LANGUAGES[target], "target": target},
    )


def _references(given: Mapping[str, str], reference: str) -> tuple[str, ...]:
    """The references to use. A pair without refB has refA: `refB` is about the pairs that have both."""
    if reference == "all":
        return tuple(given.values())
    name = "refB" if reference == PREFERRED else reference
    return (given.get(name, given["refA"]),)


@versioned("wmt23.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return (expert_prompt if protocol.name == EXPERT else listed_prompt)(sample, protocol)


def needs(tokenisers: tuple[str, ...]) -> None:
    """Raises `UsageError` for a tokeniser whose package is not installed."""
    for tokeniser in tokenisers:
        require_tokeniser(tokeniser)


def notes(protocol: Protocol, *, tokenisers: Mapping[str, str], both: bool) -> dict[str, JSON]:
    """sacreBLEU's signatures, by the target language; `tokenisers` likewise."""
    known = {target: bleu_signatures(tokeniser) for target, tokeniser in tokenisers.items()}
    found: dict[str, JSON] = {f"BLEU into {target}": one["BLEU"] for target, one in known.items()}
    found["chrF2"] = next(iter(known.values()))["chrF2"]
    return {**found, "references of Hebrew": "refA and refB (nrefs:2)"} if both else found


@task("wmt23", report="Table 4")
def wmt23(
    *,
    pairs: str = "all",
    reference: str = PREFERRED,
    high: str = HIGH,
    documents: str = "yes",
    tokeniser: str = "",
    bleurt: str = "",
    bleurt_precision: str = PRECISION,
) -> Task:
    """WMT23, general translation in fourteen language pairs (Kocmi et al. 2023)"""
    chosen = chosen_from(pairs, PAIRS, "pair of WMT23")
    if reference not in REFERENCES:
        raise unknown("reference of WMT23", reference, REFERENCES)
    if documents not in ("yes", "no"):
        raise UsageError(f"documents must be yes or no, not {documents!r}")
    targets = sorted({pair.partition("-")[2] for pair in chosen})
    tokenisers = {target: tokeniser or tokeniser_for(target) for target in targets}
    sizes = {pair: SIZES[pair] for pair in chosen}
    resources = frozenset(chosen_from(high, PAIRS, "pair of WMT23") if high else ())
    found = Task(
        data=Parts({pair: Pair(pair, documents == "yes") for pair in chosen}, sizes),
        dev=Parts({pair: Examples(pair) for pair in chosen}),
        sample=functools.partial(to_sample, high=resources, reference=reference),
        prompt=prompt,
        answer=reply,
        scorer=score,
        metrics=(Macro(ChrF()), Macro(Bleu(tokeniser or BY_TARGET))),
        size=sum(sizes.values()),
        group_sizes=sizes,
        protocols=(
            Protocol(
                name="1-shot", shots=1, max_tokens=2048, stop=("\nTranslate this into 1.",),
                source="Gemini 1.0 report, table 4 (1-shot); prompt and example: WMT23's organisers",
            ),
            Protocol(
                name=EXPERT, shots=1, max_tokens=2048,
                source="Gemini 1.5 report, appendix 12.16.15; example: WMT23's organisers",
            ),
            Protocol(
                name="5-shot", shots=5, max_tokens=2048, stop=("\nTranslate this into 1.",),
                source="WMT23's organisers, GPT4-5shot (wmt23-news-systems at 99b5b9d, tools/LLM-prompt)",
            ),
        ),
        max_shots=5,
        needs=functools.partial(needs, tuple(sorted({*tokenisers.values()}))),
        notes=functools.partial(
            notes, tokenisers=tokenisers, both=reference == "all" and any(p in TWO_REFERENCES for p in chosen)
        ),
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip
    return with_bleurt(found, bleurt, bleurt_precision)
