"""Printed tables: every figure against a second transcription, and what can be recomputed, recomputed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import pytest
from evalkit.reports import reserved
from evalkit.tasks import INDEX

from evalkit.benchmark.task import load_task
from evalkit.errors import UsageError
from evalkit.report.paper import Figure, PaperRow, PaperTable, load_paper, load_tables, papers

TABLES = {table.id: table for table in load_paper("gemini-1.0").tables}
NUMBERS = [*range(2, 12), *range(14, 19)]
SECOND = Path(__file__).with_name("gemini-1.0.txt")
_CELL = re.compile(
    r"(?P<text>[^ ]+)(?: \[(?P<low>[^,]+), (?P<high>[^\]]+)\])?(?: \((?P<protocol>[^)]+)\))?"
    r"(?: \{(?P<marks>[^}]+)\})?"
)


def second() -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """(table, columns, rows as words) of the second transcription."""
    for block in SECOND.read_text("utf-8").split("\n\n")[1:]:
        head, *rows = block.strip().splitlines()
        found = re.fullmatch(r"\[(\S+)\] (.*)", head)
        assert found
        yield found[1], found[2].split(" | "), [row.split(" | ") for row in rows]


def test_every_table_is_there() -> None:
    assert papers() == ("gemini-1.0",)
    assert set(TABLES) == {*(f"table-{number}" for number in NUMBERS), "figure-9"}


def by_benchmark(name: str, columns: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """A printed table with a benchmark a row: four are printed with benchmarks as columns.

    Of table 16, whose rows are locales, each figure is a row: preferences in one column, differences in the
    other.
    """
    if name in ("table-6", "table-15", "table-18"):
        by_column = zip(*(cells for _, *cells in rows), strict=True)
        return [label for label, *_ in rows], [
            [column, *of] for column, of in zip(columns, by_column, strict=True)
        ]
    if name == "table-16":
        turned = []
        for place, column in enumerate(columns):
            for locale, *cells in rows:
                pair = [cells[place], "-"] if "SxS" in column else ["-", cells[place]]
                turned.append([f"{column}, {locale}", *pair])
        return ["SxS", "difference"], turned
    return columns, rows


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_is_as_printed(name: str) -> None:
    (columns, rows) = next((columns, rows) for table, columns, rows in second() if table == name)
    columns, rows = by_benchmark(name, columns, rows)
    table = TABLES[name]
    assert list(table.columns) == columns
    assert len(table.rows) == len(rows)
    turned = any("the other way round" in note for note in table.notes)
    assert turned == (name in ("table-6", "table-15", "table-16", "table-18"))
    for row, (label, *cells) in zip(table.rows, rows, strict=True):
        assert words(row.name)[0] == words(label)[0]
        if name == "table-16":
            assert words(row.name)[-1] == words(label)[-1]
        printed = {column: cell for column, cell in zip(columns, cells, strict=True) if cell != "-"}
        assert list(printed) == [column for column in columns if column in row.figures]
        for column, cell in printed.items():
            same(row.figures[column], cell)


def words(label: str) -> list[str]:
    return re.findall(r"[\w-]+", label.lower().replace("score eval", "greedy").replace("-of-", " of "))


def same(figure: Figure, cell: str) -> None:
    found = _CELL.fullmatch(cell)
    assert found, cell
    assert figure.text == found["text"]
    assert figure.protocol == (found["protocol"] or "")
    assert sorted(figure.marks) == (found["marks"].split(", ") if found["marks"] else [])
    spread = re.fullmatch(r"([+-]?[\d.]+)±([\d.]+)%?", figure.text)
    if spread:
        value, half = map(float, spread.groups())
        assert (figure.low, figure.high) == pytest.approx((value - half, value + half))
    else:
        assert (figure.low, figure.high) == (
            found["low"] and float(found["low"]),
            found["high"] and float(found["high"]),
        )
    number = re.match(r"[+-]?[\d.]+", figure.text)
    assert number
    assert figure.value == float(number[0])


def test_the_second_transcription_is_whole() -> None:
    cells = [cell for _, _, rows in second() for row in rows for cell in row[1:] if cell != "-"]
    assert len(cells) == 331 == sum(len(row.figures) for table in TABLES.values() for row in table.rows)


def test_what_a_row_names_is_evalkits() -> None:
    """Tasks, protocols and measures that rows name exist, or the name is kept for a task to come."""
    kept = set()
    for table in TABLES.values():
        for row in table.rows:
            assert row.task, (table.id, row.name)
            if row.task not in INDEX:
                kept.add(row.task)
                continue
            task = load_task(row.task)
            protocols = {protocol.name for protocol in task.protocols}
            for figure in row.figures.values():
                assert set(figure.match) <= protocols, (table.id, row.name)
            metrics = {metric.name for metric in task.metrics}
            assert row.measure in {"", *metrics}, (table.id, row.name)
    listed = {one.task for members in load_paper("gemini-1.0").capabilities.values() for one in members}
    assert kept <= set(reserved())
    assert set(reserved()) - kept <= listed - set(INDEX)


def test_a_name_is_reserved_once_and_for_one_benchmark() -> None:
    names = reserved()
    assert not set(names) & set(INDEX)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name) for name in names)
    assert all(names.values())
    assert len({meaning.casefold() for meaning in names.values()}) == len(names)


def test_no_two_rows_of_a_table_are_of_one_figure() -> None:
    """But for rows that are told apart by their protocols: a run goes to the one with its own."""
    for table in TABLES.values():
        seen: dict[object, list[PaperRow]] = {}
        for row in table.rows:
            seen.setdefault((row.task, *row.figure), []).append(row)
        for alike in seen.values():
            protocols = [{figure.protocol for figure in row.figures.values()} for row in alike]
            for first, other in combinations(protocols, 2):
                assert first != other, (table.id, [row.name for row in alike])


def test_a_reserved_name_is_explained_where_a_task_is_asked_for() -> None:
    with pytest.raises(
        UsageError, match=r"'realtimeqa' \(RealtimeQA\) is a row of the report .* see docs/tables"
    ):
        load_task("realtimeqa")
    with pytest.raises(UsageError, match="unknown task 'realtimeqb'"):
        load_task("realtimeqb")


def figures(table: str, column: str) -> dict[str, Figure]:
    return {row.name: row.figures[column] for row in TABLES[table].rows if column in row.figures}


def values(table: str, column: str) -> dict[str, float]:
    return {name: figure.value or 0.0 for name, figure in figures(table, column).items()}


def rounded(value: float, printed: Figure) -> bool:
    """Whether `value` may have been rounded to what is printed."""
    decimals = len(printed.text.rstrip("%").partition(".")[2])
    assert printed.value is not None
    return abs(value - printed.value) <= 0.5 * 10.0**-decimals + 1e-9


def wrong_of(checks: dict[str, bool]) -> set[str]:
    return {name for name, holds in checks.items() if not holds}


def test_table_8_weighted_means() -> None:
    """Ultra's Maj@32 is the one that the report gets wrong: its disciplines give 63.25."""
    checks, odd = {}, set()
    for column in TABLES["table-8"].columns:
        found = values("table-8", column)
        overall = figures("table-8", column)["Overall (900)"]
        del found["Overall (900)"]
        sizes = {name: int(re.findall(r"\((\d+)\)", name)[0]) for name in found}
        assert sum(sizes.values()) == 900
        mean = sum(sizes[name] * value for name, value in found.items()) / 900
        checks[f"{column}: {mean:.2f}"] = rounded(mean, overall)
        for name, value in found.items():
            right = round(value * sizes[name] / 100)
            if not rounded(100 * right / sizes[name], figures("table-8", column)[name]):
                odd.add(f"{column}, {name}")
    assert wrong_of(checks) == {"Ultra Maj@32: 63.25"}
    assert odd == {"Ultra Maj@32, Technology & Engineering (210)"}
    notes = " ".join(TABLES["table-8"].notes)
    assert "63.25" in notes
    assert "not a multiple of 1/210" in notes
    ahead = {
        column: [
            name
            for name, value in values("table-8", column).items()
            if not name.startswith("Overall") and value > values("table-8", "GPT-4V pass@1")[name]
        ]
        for column in ("Ultra Maj@32", "Ultra pass@1")
    }
    assert [len(names) for names in ahead.values()] == [5, 4]


def test_table_9_averages() -> None:
    for column in TABLES["table-9"].columns:
        *languages, average = values("table-9", column).values()
        assert len(languages) == 7
        assert rounded(sum(languages) / 7, figures("table-9", column)["Average (of 7)"])
        assert average


def test_table_3_ratios_agree_with_one_pro() -> None:
    """Both ratios of a row allow a common Pro; table 2's is outside it for BIG-Bench-Hard alone."""
    pro = {
        "BIG-Bench-Hard (3-shot)": "BIG-Bench-Hard",
        "MATH (4-shot)": "MATH",
        "MMLU (5-shot)": "MMLU, 5-shot",
    }
    checks = {}
    for name in values("table-3", "Nano 1"):
        spans = []
        for nano in ("Nano 1", "Nano 2"):
            score, ratio = values("table-3", nano)[name], values("table-3", f"{nano} / Pro")[name]
            spans.append(((score - 0.05) / (ratio + 0.005), (score + 0.05) / (ratio - 0.005)))
        low, high = max(span[0] for span in spans), min(span[1] for span in spans)
        assert low < high, name
        if name in pro:
            printed = values("table-2", "Gemini Pro")[pro[name]]
            checks[f"{name}: {low:.1f} to {high:.1f}"] = low <= printed <= high
    assert wrong_of(checks) == {"BIG-Bench-Hard (3-shot): 73.2 to 73.8"}
    assert "73.2 to 73.8" in " ".join(TABLES["table-3"].notes)


def shares(first: float, second: float, whole: float) -> tuple[float, float]:
    """Least and most weight of `first` with which the mean of two rounded figures is `whole`."""
    found = []
    for weight in range(10_001):
        w = weight / 10_000
        if abs(w * first + (1 - w) * second - whole) <= 0.1 + 1e-9:
            found.append(w)
    return min(found), max(found)


def test_table_4_all_languages() -> None:
    """Between its groups for every model; no weights of the two resources fit Nano 1 and the others."""
    spans = {}
    for column in TABLES["table-4"].columns:
        high, mid, out, into, whole = values("table-4", column).values()
        assert min(high, mid) <= whole <= max(high, mid)
        assert min(out, into) <= whole <= max(out, into)
        spans[column] = shares(high, mid, whole)
    least, most = spans["Nano 2"]
    apart = {column for column, (low, high) in spans.items() if high < least or low > most}
    assert apart == {"Nano 1"}
    assert max(low for column, (low, _) in spans.items() if column not in apart) <= min(
        high for column, (_, high) in spans.items() if column not in apart
    )
    assert [round(100 * share) for share in (*spans["Nano 2"], spans["Nano 1"][1])] == [43, 71, 14]
    assert "43 to 71 %" in TABLES["table-4"].notes[0]
    assert "at most 14 %" in TABLES["table-4"].notes[0]


def test_table_17_differences() -> None:
    compared = values("table-17", "difference")
    assert len(compared) == 6
    for name in compared:
        gain = values("table-17", "Gemini API Ultra")[name] - values("table-17", "pre-trained")[name]
        assert gain == pytest.approx(compared[name]), name


def test_figures_that_are_printed_twice_agree() -> None:
    """MMLU's greedy letter is the one that does not: 83.7 in table 2 and 83.96 in figure 9."""
    overall = (
        values("table-8", "Ultra Maj@32")["Overall (900)"],
        values("table-8", "Ultra pass@1")["Overall (900)"],
    )
    seen = values("table-7", "Ultra")
    assert (seen["MMMU (val), Maj1@32"], seen["MMMU (val)"]) == overall
    assert values("table-17", "Gemini API Ultra") == seen
    gpt4v, best = values("table-7", "GPT-4V"), figures("table-7", "Prior SOTA")
    again = {name for name, figure in best.items() if figure.protocol == "GPT-4V 0-shot"}
    assert len(again) == 4
    assert {name: best[name].value for name in again} == {name: gpt4v[name] for name in again}
    every = {column: values("table-4", column)["All languages"] for column in TABLES["table-4"].columns}
    text = {
        column: values("table-2", column)["WMT23"]
        for column in ("Gemini Ultra", "Gemini Pro", "GPT-4", "PaLM 2-L")
    }
    assert list(text.values()) == [every[column] for column in ("Ultra", "Pro", "GPT-4", "PaLM 2-L")]
    letter, _, routed = values("figure-9", "Gemini Ultra").values()
    assert values("table-2", "Gemini Ultra")["MMLU"] == routed == 90.04
    assert values("table-2", "GPT-4")["MMLU"] == list(values("figure-9", "GPT-4").values())[2]
    assert values("table-2", "Gemini Ultra")["MMLU, 5-shot"] != letter == 83.96
    assert any("83.96" in note for note in TABLES["figure-9"].notes)


def test_claims_about_wins() -> None:
    """30 of 32 = 10 of 12 of text, 9 of images unless fine-tuned, 6 of video, 5 of speech without Ultra."""
    lost = set()
    text = {row.name.split(",")[0]: row for table in ("table-2", "table-5") for row in TABLES[table].rows}
    firsts = [row for row in (*TABLES["table-2"].rows, *TABLES["table-5"].rows) if "," not in row.name]
    assert len(text) == len(firsts) == 12
    for row in firsts:
        scores = {column: figure.value or 0.0 for column, figure in row.figures.items()}
        if max(scores, key=lambda column: scores[column]) not in ("Gemini Ultra", "Ultra"):
            lost.add(row.name)
    assert lost == {"HellaSwag", "WikiLingua"}
    images = [row for row in TABLES["table-7"].rows if "," not in row.name]
    tuned = {
        row.name
        for row in images
        if (row.figures["Prior SOTA"].value or 0) > (row.figures["Ultra"].value or 0)
    }
    assert tuned == {"AI2D (test)", "VQAv2 (test-dev)"}
    assert len(images) == 8
    for row in TABLES["table-10"].rows:
        assert max(row.figures, key=lambda column: row.figures[column].value or 0) == "Ultra"
    assert "Ultra" not in TABLES["table-11"].columns
    assert len(TABLES["table-11"].rows) == 5
    for row in TABLES["table-11"].rows:
        ours = [row.figures[column].value or 0 for column in ("Pro", "Nano-1")]
        others = [row.figures[column].value or 0 for column in ("Whisper", "USM")]
        assert (min(ours) < min(others)) if not row.higher_is_better else (max(ours) > max(others))


def test_claims_about_changes() -> None:
    before, after = (
        values("table-6", column)["Factuality: inaccurate rate"] for column in TABLES["table-6"].columns
    )
    assert round(100 * (after / before - 1)) == -43  # "halved"
    assert "43 %" in " ".join(TABLES["table-6"].notes)
    sxs = values("table-16", "SxS")
    assert len(sxs) == 5
    low = {name for name, value in sxs.items() if not value > 0.1}
    assert low == {"Quality, de-DE"}  # "more than 0.1 for all"
    assert "de-DE" in " ".join(TABLES["table-16"].notes)
    listed = load_paper("gemini-1.0").capabilities
    assert {name: len(names) for name, names in listed.items()} == {
        "Factuality": 6, "Long-Context": 6, "Math/Science": 8, "Reasoning": 7, "Summarization": 5,
        "Multilinguality": 11, "Image": 9, "Video": 6, "Audio": 5,
    }  # fmt: skip
    assert any("five benchmarks of factuality but lists six" in note for note in TABLES["table-2"].asides)


def test_marks_have_footnotes_and_every_footnote_is_used() -> None:
    for table in TABLES.values():
        used = {mark for row in table.rows for figure in row.figures.values() for mark in figure.marks}
        assert used == set(table.footnotes), table.id


OWN = """
title = "Ours"
columns = ["A", "B"]
[footnotes]
"old" = "from last year"
[[rows]]
name = "GSM8K"
task = "gsm8k"
metric = "accuracy"
unit = "%"
higher_is_better = true
figures."A" = { text = "50.1%", protocol = "8-shot", match = ["8-shot-cot"] }
figures."B" = { text = "−3", marks = ["old"], low = -4, high = -2 }
"""


def own(tmp_path: Path, text: str = OWN) -> Sequence[PaperTable]:
    path = tmp_path / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return load_tables(str(path))


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    (table,) = own(tmp_path)
    assert (table.id, table.columns, table.footnotes) == ("ours", ("A", "B"), {"old": "from last year"})
    (row,) = table.rows
    assert isinstance(row, PaperRow)
    assert row.figures["A"].value == 50.1
    assert row.figures["B"] == Figure("−3", marks=("old",), low=-4.0, high=-2.0)
    assert row.figures["B"].value == -3
    (tmp_path / "paper.toml").write_text(
        'title = "T"\nurl = "U"\nversion = "1"\ntables = ["ours"]\n', encoding="utf-8"
    )
    assert load_tables(str(tmp_path)) == (table,)
    assert load_tables(f"{tmp_path}/ours") == (table,)
    assert load_paper(str(tmp_path)).title == "T"
    assert table.as_json()["rows"][0]["figures"]["B"]["value"] == -3  # type: ignore[index,call-overload]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Ours"', "", "ours.toml has no title"),
        ('title = "Ours"', "title = 3", "title = 3 must be a text in quotes"),
        ("title =", "titel =", "titel"),
        ('[[rows]]\nname = "GSM8K"', '[[rows]]\nnam = "GSM8K"', "row 1"),
        ("higher_is_better = true", 'higher_is_better = "yes"', "higher_is_better = 'yes'"),
        ('text = "50.1%"', 'text = "many"', "must begin with a number, not 'many'"),
        ('text = "50.1%"', "text = 50.1", "text = 50.1 must be a text in quotes"),
        ('marks = ["old"]', 'marks = ["new"]', "footnote in .*'new'"),
        ('figures."B"', 'figures."C"', "column in .*'C'"),
        ("[[rows]]", "[rows]", "list of TOML tables"),
        ("columns =", "columns = [", "is not valid TOML"),
        ('["A", "B"]', '["A", "B", "A"]', "each column name only once"),
        (OWN[OWN.index("[[rows]]") :], "", "must have at least one row"),
        ("task =", 'group = "en"\nmacro = ["*"]\ntask =', r"ours.toml, 'GSM8K': group is for one .* macro"),
        ('task = "gsm8k"', 'group = "en"', r"ours.toml, 'GSM8K': group needs the task"),
        ('task = "gsm8k"', 'macro = ["*"]', r"ours.toml, 'GSM8K': macro needs the task"),
        (
            "task =",
            'macro = ["en"]\ntask =',
            r"ours.toml, 'GSM8K': macro must be \[\"\*\"\], or at least two",
        ),
        ("task =", 'macro = ["en", "en"]\ntask =', "macro must be .* two names of groups"),
        ("task =", 'macro = ["en", "*"]\ntask =', "macro must be .* two names of groups"),
        ("task =", 'macro = ["en", "fr", ""]\ntask =', "macro must be .* two names of groups"),
        ("task =", 'macro = "en"\ntask =', r"row 1 \(GSM8K\): macro = 'en' must be"),
        (
            "[footnotes]",
            '[compared]\n"C" = { minus = "A" }\n[footnotes]',
            r"column in .*ours.toml, compared 'C'",
        ),
        (
            "[footnotes]",
            '[compared]\n"B" = { less = "A" }\n[footnotes]',
            r"key in .*ours.toml: compared, 'B' 'less'",
        ),
        (
            "[footnotes]",
            '[compared]\n"B" = {}\n[footnotes]',
            r"compared, 'B' needs the model that it is compared with",
        ),
        (
            "[footnotes]",
            '[compared]\n"B" = { minus = "A", relative_to = "A" }\n[footnotes]',
            "give either relative_to or minus",
        ),
        ("[footnotes]", '[compared]\n"B" = { minus = "B" }\n[footnotes]', "'B' must be a model's column"),
    ],
)
def test_a_wrong_table_is_refused_by_what_is_wrong(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in OWN
    with pytest.raises(UsageError, match=message):
        own(tmp_path, OWN.replace(old, new))


@pytest.mark.parametrize("tables", ['"ours"', "[]", "[3]", '["../ours"]', '["/etc/ours"]', '["ours", ""]'])
def test_the_tables_of_a_paper_are_names(tmp_path: Path, tables: str) -> None:
    own(tmp_path)
    (tmp_path / "paper.toml").write_text(
        f'title = "T"\nurl = "U"\nversion = "1"\ntables = {tables}\n', encoding="utf-8"
    )
    with pytest.raises(UsageError, match=r"paper\.toml: tables must be a list of names"):
        load_paper(str(tmp_path))


def test_unknown_papers_and_tables(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown paper .*a folder with a paper\.toml"):
        load_tables(str(tmp_path))
    with pytest.raises(UsageError, match=r"gemini-2.*gemini-1\.0"):
        load_tables("gemini-2")
    with pytest.raises(UsageError, match="table-12"):
        load_tables("gemini-1.0/table-12")
    with pytest.raises(UsageError, match=r"cannot read nowhere\.toml"):
        load_tables("nowhere.toml")
