"""Languages of very few resources: FLORES-200 and NTREX-128, both ways between English and each language.

The report prints chrF, 1-shot, averaged over both directions: 27.0 for Ultra and 25.3 for PaLM 2-L, on
Tamazight and Kanuri of FLORES-200, North Ndebele of NTREX and Quechua of a set of its authors that is not
public. So the printed figures are of another set; they stand in a note of table 4. The report does not say
which script of Kanuri, which example, which prompt, or chrF's settings.

- Data: FLORES-200 (NLLB Team 2022, arXiv 2207.04672) as `facebook/flores` at 994d4cd, split devtest: 1,012
  sentences in each language, by configs `eng_Latn`, `tzm_Tfng` (Central Atlas Tamazight; `taq` is another
  language), `knc_Latn` and `knc_Arab`; CC BY-SA 4.0. Sentences are joined by `id`; those of one article
  (`URL`) are a cluster. NTREX-128 (Federmann et al. 2022) as `MicrosoftTranslator/NTREX` on GitHub at
  8561f6a: 1,997 sentences of 123 documents, the clusters; CC BY-SA 4.0. `languages=` chooses some.
- Examples: the first five sentences of FLORES's dev split. NTREX has no other split, so its first document,
  16 sentences, is left out of the test and gives the examples: 1,981 are asked.
- Prompt: the one that the report's team printed one version later, with the first example; `5-shot` has five.
- Figures: the mean of the directions' corpus chrF2, sacreBLEU's default, with both scripts of Kanuri: 8
  directions. Beside it is the figure of a copy: the source scored as if it were the translation. In Latin
  script, names and numbers alone bring a copy far above 0.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evalkit.api import (
    JSON,
    PART,
    ChrF,
    Data,
    DataError,
    DataOptions,
    Hub,
    Macro,
    Parts,
    Prompt,
    Protocol,
    Record,
    Records,
    Repository,
    Sample,
    Task,
    bleu_signatures,
    lines_of,
    sample_id,
    task,
    versioned,
)

from .kit import first_reference
from .translation import chosen_from, expert_prompt, reply, score, wrong_responses

LANGUAGES = {
    "eng_Latn": "English", "tzm_Tfng": "Central Atlas Tamazight", "knc_Latn": "Central Kanuri (Latin script)",
    "knc_Arab": "Central Kanuri (Arabic script)", "nde_Latn": "North Ndebele",
}  # fmt: skip
ENGLISH = "eng_Latn"
NDEBELE = "nde_Latn"
CODES = tuple(code for code in LANGUAGES if code != ENGLISH)
FLORES_REVISION = "994d4cd204c67acac0cdacb5cd9edcbc64de5c71"
FLORES_SIZE, NTREX_SIZE = 1012, 1981
NTREX = Repository(
    "MicrosoftTranslator/NTREX",
    "8561f6a622db9edad1217683e5c83daefd8bb2bf",
    {
        "DOCUMENT_IDS.tsv": "2c8a58dffb487c515f6fbded5a3426e973a83028",
        "NTREX-128/newstest2019-ref.nde.txt": "534d28006ee3c296650794dba408249be8f19108",
        "NTREX-128/newstest2019-src.eng.txt": "ebc28ab1a5b3561d7e6fee2173441a7d2bfa1edd",
    },
)
EXAMPLES = 5

Split = Literal["devtest", "dev"]


@dataclass(frozen=True, slots=True)
class Flores:
    """The sentences of two languages of FLORES-200, joined by `id`; `dev` are the examples.

    A record has `source`, `reference`, `document` and `nth`, here the sentence's id.
    """

    source: str
    target: str
    split: Split

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the pairs. Reading raises `DataError` if the languages have other sentences."""
        options = options or DataOptions()
        sources, references = (self._hub(code).open(options) for code in (self.source, self.target))
        most = EXAMPLES if self.split == "dev" else None

        def read() -> Iterator[Record]:
            translations = {record["id"]: record["sentence"] for record in references}
            for record in itertools.islice(sources, most):
                if record["id"] not in translations:
                    raise DataError(
                        f"FLORES, {self.split}: sentence {record['id']} of {self.source} is not in "
                        f"{self.target}"
                    )
                yield {
                    "source": record["sentence"],
                    "reference": translations[record["id"]],
                    "document": record["URL"],
                    "nth": record["id"],
                }

        count = sources.count if sources.count is None or most is None else min(most, sources.count)
        return Records({**sources.origin, "config": f"{self.source}-{self.target}"}, count, read)

    def _hub(self, code: str) -> Hub:
        columns = ("id", "URL", "sentence")
        return Hub("facebook/flores", code, split=self.split, revision=FLORES_REVISION, columns=columns)


@dataclass(frozen=True, slots=True)
class Ntrex:
    """The sentences of NTREX in English and North Ndebele, as in `Flores`; `dev` is the first document."""

    into_english: bool
    split: Split

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the sentences. Raises `DataError` if a file is missing or the files do not fit together."""
        options = options or DataOptions()
        english, ndebele, documents = (
            lines_of(NTREX.path(file, options)) for file in sorted(NTREX.files, key=_order)
        )
        if not len(english) == len(ndebele) == len(documents):
            raise DataError(
                f"NTREX: {len(english)} lines in English, {len(ndebele)} in North Ndebele, {len(documents)} "
                "documents: copy the three files again"
            )
        rows: list[Record] = [
            {
                "source": ndebele[i] if self.into_english else english[i],
                "reference": english[i] if self.into_english else ndebele[i],
                "document": document,
                "nth": i,
            }
            for i, document in enumerate(documents)
            if (document == documents[0]) == (self.split == "dev")
        ]
        rows = rows[:EXAMPLES] if self.split == "dev" else rows
        config = "nde-eng" if self.into_english else "eng-nde"
        return Records(NTREX.origin(config, self.split, options), len(rows), lambda: iter(rows))


def _order(file: str) -> int:
    return ("src.eng" not in file) + ("DOCUMENT" in file)


def _data(direction: str, split: Split) -> Data:
    source, target = direction.split("-")
    if NDEBELE in (source, target):
        return Ntrex(target == ENGLISH, split)
    return Flores(source, target, split)


def to_sample(record: Record) -> Sample:
    direction = str(record[PART])
    source, target = direction.split("-")
    return Sample(
        id=sample_id(direction, record["source"], str(record["nth"])),
        input=record["source"],
        target=(record["reference"],),
        group=direction,
        tags=("into English" if target == ENGLISH else "from English",),
        cluster=record["document"],
        meta={"from": LANGUAGES[source], "into": LANGUAGES[target], "target": target},
    )


@versioned("flores_low.prompt", 1)
def prompt(sample: Sample, protocol: Protocol) -> Prompt:
    return expert_prompt(sample, protocol)


@task("flores-low", report="Table 4")
def flores_low(*, languages: str = "all") -> Task:
    """Languages of very few resources: Tamazight, Kanuri (FLORES-200), North Ndebele (NTREX), both ways"""
    chosen = chosen_from(languages, CODES, "language")
    directions = [way for code in chosen for way in (f"{ENGLISH}-{code}", f"{code}-{ENGLISH}")]
    sizes = {way: NTREX_SIZE if NDEBELE in way else FLORES_SIZE for way in directions}
    return Task(
        data=Parts({way: _data(way, "devtest") for way in directions}, sizes),
        dev=Parts({way: _data(way, "dev") for way in directions}),
        sample=to_sample,
        prompt=prompt,
        answer=reply,
        scorer=score,
        metrics=(Macro(ChrF()), Macro(ChrF(name="chrF2 of a copy", copied=True))),
        size=sum(sizes.values()),
        group_sizes=sizes,
        protocols=tuple(
            Protocol(
                name=f"{shots}-shot", shots=shots, max_tokens=1024,
                source="Gemini 1.0 report, section 5.1.4 (1-shot, chrF); prompt: Gemini 1.5 report, 12.16.15",
            )
            for shots in (1, EXAMPLES)
        ),
        max_shots=EXAMPLES,
        notes=_notes,
        gold=first_reference,
        wrong_responses=wrong_responses,
    )  # fmt: skip


def _notes(protocol: Protocol) -> dict[str, JSON]:
    return {"chrF2": bleu_signatures()["chrF2"]}
