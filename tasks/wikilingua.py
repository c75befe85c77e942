"""WikiLingua: instructions of wikiHow and the headlines of their steps (Ladhak et al. 2020, 2010.03093).

The report prints BLEURT (table 5): 48.9 for Ultra under 5-shot and 47.8 for Pro. It says neither which
checkpoint nor which languages, prompt and examples. BLEURT is the headline with `--set bleurt=FOLDER` or
`bleurt=BLEURT-20` (`evalkit.scoring.bleurt`), and only BLEURT-20's figures stand beside the printed ones
without a mark. **Without it, the headline is ROUGE**, as in PaLM 2's report for the same data, which must not
be compared with BLEURT.

* Languages: the seven of which PaLM 2's report prints figures, each summarised in itself. `--set languages=`
  takes others: `all` 18, `non-english`, or codes separated by commas. The figure is the mean over them.
* ROUGE: `plain` by default, with its zeros outside the Latin script; `--set rules=xlsum,plain` and `--set
  tokenizer=FILE` compute rules for all scripts (`evalkit.tasks.summaries`).
* Prompt: PaLM 2's task is to write the headlines of the steps. The wording is evalkit's. `3-shot` is what the
  report says of PaLM 2, and `5-shot`, of Ultra.

Data: `GEM/wiki_lingua`, split test, configs by language (version 2 of GEM's splits). The main branch is a
script, so the Hub's own conversion to Parquet is read. CC BY-NC-SA 3.0. Some English articles are long.
"""

from __future__ import annotations

from evalkit.api import CONVERTED, PART, Hub, Mapped, Parts, Record, Sample, Task, list_of, task

from .speech_recognition import chosen
from .summaries import first_records, protocols_of, rules_of, summarisation
from .with_bleurt import PRECISION, with_bleurt

PALM = ("ar", "en", "ja", "ko", "ru", "th", "tr")
LANGUAGES = {
    "ar": "arabic", "cs": "czech", "de": "german", "en": "english", "es": "spanish", "fr": "french", "hi":
    "hindi", "id": "indonesian", "it": "italian", "ja": "japanese", "ko": "korean", "nl": "dutch", "pt":
    "portuguese", "ru": "russian", "th": "thai", "tr": "turkish", "vi": "vietnamese", "zh": "chinese",
}  # fmt: skip
SETS = {"palm2": PALM, "non-english": tuple(key for key in PALM if key != "en"), "all": tuple(LANGUAGES)}


def to_sample(record: Record) -> Sample:
    """Instructions and the headlines of their steps; GEM's `references`, or else its `target`."""
    code = record[PART]
    name = LANGUAGES[code]
    return Sample(
        id=f"{code}/{record['gem_id']}",
        input=record["source"],
        target=tuple(list_of(record["references"] or [], "references")) or (record["target"],),
        group=code,
        meta={
            "language": name,
            "instruction": f"Write the headlines of the steps of these instructions in {name.capitalize()}.",
            "document": "Instructions",
            "summary": "Headlines",
        },
    )


@task("wikilingua", report="Table 5")
def wikilingua(
    *,
    languages: str = "palm2",
    rules: str = "plain,stemmed",
    tokenizer: str = "",
    bleurt: str = "",
    bleurt_precision: str = PRECISION,
) -> Task:
    """Headlines of the steps of instructions in seven languages, by ROUGE (Ladhak et al. 2020)"""
    keys = chosen(languages, LANGUAGES, SETS, "WikiLingua")
    columns = ("gem_id", "source", "target", "references")

    def parts(split: str) -> dict[str, Hub]:
        return {
            key: Hub("GEM/wiki_lingua", key, split=split, revision=CONVERTED, columns=columns) for key in keys
        }

    found = summarisation(
        data=Parts(parts("test")),
        dev=Mapped(Parts(parts("validation")), first_records),
        sample=to_sample,
        rules=rules_of(rules, tokenizer, (LANGUAGES[key] for key in keys)),
        protocols=protocols_of(
            5, 512, "Gemini 1.0 report, table 5 and its text, without a prompt; this one is evalkit's", 3
        ),
        macro=True,
    )
    return with_bleurt(found, bleurt, bleurt_precision)
