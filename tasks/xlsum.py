"""XL-Sum: articles of the BBC in 45 languages and their summaries (Hasan et al. 2021, arXiv 2106.13822).

The report prints 17.6 for Ultra and 16.2 for Pro, "3-shot, average rougeL" (table 5), without the languages,
the prompt, the examples or how ROUGE makes tokens; so
**no figure here is the report's for certain**. evalkit uses:

* Languages: the eleven of PaLM 2's report, which are TyDi QA's. `--set languages=` takes others: `all`,
  `non-english` (the other ten), or names of configs separated by commas. The figure is the mean over them.
* ROUGE: `plain`, which is rouge_score as it is. The report's PaLM 2-L has 15.4 here, below the mean ROUGE-2
  of 21.2 over these languages that PaLM 2's own report prints with mT5's pieces. ROUGE-L is hardly ever below
  ROUGE-2, so the report's tokens or languages were others, and only rouge_score's zeros for seven of the
  eleven scripts would explain such a figure; this is an inference. `--set rules=plain,xlsum` shows XL-Sum's
  own rule beside it, and `--set tokenizer=FILE` the pieces of mT5 (`evalkit.tasks.summaries`). English alone
  (`--set languages=english`) is comparable everywhere.
* Prompt, examples and stop: `evalkit.tasks.summaries`.

Data: `csebuetnlp/xlsum`, split test; its main branch is a script, so the Hub's own conversion to Parquet
(`refs/convert/parquet`) is read, and the run file has its commit. Sizes: csebuetnlp/xl-sum at afcd803.
CC BY-NC-SA 4.0. The two Chinese sets have the same articles, and so have the two Serbian ones: each pair of
them is one cluster.
"""

from __future__ import annotations

from evalkit.api import CONVERTED, PART, Hub, Mapped, Parts, Record, Sample, Task, task

from .speech_recognition import chosen
from .summaries import first_records, protocols_of, rules_of, summarisation

TYDI = (
    "arabic", "bengali", "english", "indonesian", "japanese", "korean", "russian", "swahili", "telugu",
    "thai", "turkish",
)  # fmt: skip
SIZES = {
    "amharic": 719, "arabic": 4689, "azerbaijani": 809, "bengali": 1012, "burmese": 570,
    "chinese_simplified": 4670, "chinese_traditional": 4670, "english": 11535, "french": 1086, "gujarati":
    1139, "hausa": 802, "hindi": 8847, "igbo": 522, "indonesian": 4780, "japanese": 889, "kirundi": 718,
    "korean": 550, "kyrgyz": 500, "marathi": 1362, "nepali": 725, "oromo": 757, "pashto": 1794, "persian":
    5906, "pidgin": 1151, "portuguese": 7175, "punjabi": 1026, "russian": 7780, "scottish_gaelic": 500,
    "serbian_cyrillic": 909, "serbian_latin": 909, "sinhala": 500, "somali": 745, "spanish": 4763, "swahili":
    987, "tamil": 2027, "telugu": 1302, "thai": 826, "tigrinya": 681, "turkish": 3397, "ukrainian": 5399,
    "urdu": 8458, "uzbek": 590, "vietnamese": 4013, "welsh": 1216, "yoruba": 793,
}  # fmt: skip
"""The articles of the test splits."""
SETS = {"tydi": TYDI, "non-english": tuple(key for key in TYDI if key != "english"), "all": tuple(SIZES)}
_NAMES = {
    "chinese_simplified": "Chinese (simplified)", "chinese_traditional": "Chinese (traditional)",
    "pidgin": "West African Pidgin English", "scottish_gaelic": "Scottish Gaelic",
    "serbian_cyrillic": "Serbian (in Cyrillic script)", "serbian_latin": "Serbian (in Latin script)",
}  # fmt: skip


def to_sample(record: Record) -> Sample:
    """An article and its summary."""
    language = record[PART]
    name = _NAMES.get(language, language.capitalize())
    family = language.partition("_")[0] if language.startswith(("chinese_", "serbian_")) else language
    return Sample(
        id=f"{language}/{record['id']}",
        input=record["text"],
        target=(record["summary"],),
        group=language,
        cluster=f"{family}/{record['id']}",
        meta={
            "language": language,
            "instruction": f"Summarize the article in {name}, in one or two sentences.",
            "document": "Article",
            "summary": "Summary",
        },
    )


@task("xlsum", report="Table 5")
def xlsum(*, languages: str = "tydi", rules: str = "plain,stemmed", tokenizer: str = "") -> Task:
    """Summaries of news in eleven languages, or others of 45 (Hasan et al. 2021)"""
    keys = chosen(languages, SIZES, SETS, "XL-Sum")
    columns = ("id", "text", "summary")

    def parts(split: str) -> dict[str, Hub]:
        return {
            key: Hub("csebuetnlp/xlsum", key, split=split, revision=CONVERTED, columns=columns)
            for key in keys
        }

    return summarisation(
        data=Parts(parts("test")),
        dev=Mapped(Parts(parts("validation")), first_records),
        sample=to_sample,
        rules=rules_of(rules, tokenizer, keys),
        protocols=protocols_of(
            3, 512, "Gemini 1.0 report, table 5, which prints no prompt; this one is evalkit's"
        ),
        macro=True,
        size=sum(SIZES[key] for key in keys),
        group_sizes={key: SIZES[key] for key in keys},
    )
