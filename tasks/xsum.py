"""XSum: articles of the BBC and the one sentence that sums each up (Narayan et al. 2018, arXiv 1808.08745).

The report counts XSum among its five benchmarks of summarisation (appendix 10.3) and prints no figure of it.
PaLM 2's report prints ROUGE-2 of 23.23 for PaLM 2-L, 1-shot, in table 19; the protocol `1-shot` is named
after it. The headline is rouge_score's ROUGE-L as in table 5's XLSum, without stemming; the same with
Porter's stemmer, which much other work uses, stands beside it. `--set rules=stemmed,plain` makes it
the headline.

Data: `EdinburghNLP/xsum`, split test, 11,334 articles; its main branch is a script, so the Hub's own
conversion to Parquet is read. Its card has no licence. Prompt, examples and stop: `evalkit.tasks.summaries`.
"""

from __future__ import annotations

from evalkit.api import CONVERTED, Hub, Mapped, Record, Sample, Task, task

from .summaries import first_records, protocols_of, rules_of, summarisation


def to_sample(record: Record) -> Sample:
    """An article and its summary."""
    return Sample(
        id=str(record["id"]),
        input=record["document"],
        target=(record["summary"],),
        meta={
            "language": "english",
            "instruction": "Summarize the article in one sentence.",
            "document": "Article",
            "summary": "Summary",
        },
    )


@task("xsum")
def xsum(*, rules: str = "plain,stemmed", tokenizer: str = "") -> Task:
    """One-sentence summaries of news in English (Narayan et al. 2018)"""
    columns = ("id", "document", "summary")

    def part(split: str) -> Hub:
        return Hub("EdinburghNLP/xsum", "default", split=split, revision=CONVERTED, columns=columns)

    return summarisation(
        data=part("test"),
        dev=Mapped(part("validation"), first_records),
        sample=to_sample,
        rules=rules_of(rules, tokenizer, ("english",)),
        protocols=protocols_of(
            1, 128, "PaLM 2 technical report, table 19, which prints no prompt; this one is evalkit's", 3
        ),
        macro=False,
        size=11334,
    )
