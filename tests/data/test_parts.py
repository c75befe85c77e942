"""Data sets as the parts of one, and records made of others' records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from evalkit.api import PART, Data, DataError, DataOptions, Hub, Mapped, Parts, Record, Records, UsageError


class Made:
    """A data set of so many records that remembers how often it was opened, and with what."""

    def __init__(self, name: str, size: int, *, told: bool = True, at_hand: bool = False) -> None:
        self.name, self.size, self.told, self.at_hand = name, size, told, at_hand
        self.opened: list[DataOptions | None] = []

    def open(self, options: DataOptions | None = None) -> Records:
        self.opened.append(options)

        def stream() -> Iterator[Record]:
            yield from ({"n": at} for at in range(self.size))

        return Records(
            {"kind": "made", "name": self.name, "config": "x"}, self.size if self.told else None, stream
        )


def test_parts_follow_each_other_and_say_their_name() -> None:
    parts = Made("a", 2), Made("b", 0), Made("c", 1)
    records = Parts(dict(zip(("de", "en", "fr"), parts, strict=True))).open()
    assert [(record[PART], record["n"]) for record in records] == [("de", 0), ("de", 1), ("fr", 0)]
    assert len(list(records)) == 3
    assert [len(part.opened) for part in parts] == [1, 1, 1], "each once, however often it is read"
    assert (records.count, records.origin["name"], records.origin["config"]) == (None, "a+b+c", "de+en+fr")


def test_a_part_is_opened_when_it_is_reached() -> None:
    first, second = Made("a", 2), Made("b", 2)
    options = DataOptions(revision="main")
    records = iter(Parts({"de": first, "en": second}).open(options))
    assert (first.opened, second.opened) == ([options], [])
    next(records), next(records)
    assert second.opened == []
    assert next(records)[PART] == "en"
    assert second.opened == [options]


def test_of_a_single_part_the_size_is_known() -> None:
    assert Parts({"de": Made("a", 5)}).open().count == 5


@pytest.mark.parametrize("options", [DataOptions(small_sets=True), DataOptions(folder=Path("x"))])
def test_of_parts_in_a_folder_the_size_is_known(options: DataOptions) -> None:
    """Nothing has to be downloaded to see it: a run that breaks off then says how much is missing."""
    records = Parts({"de": Made("a", 5), "en": Made("b", 2)}).open(options)
    assert records.count == 7
    assert [(part.name, part.count) for part in records.parts] == [("de", 5), ("en", 2)]


def test_stated_sizes_are_known_before_a_part_is_opened_and_held_against_it() -> None:
    late = Made("b", 3, told=False)
    records = Parts({"de": Made("a", 2), "en": late}, sizes={"de": 2, "en": 3}).open()
    assert (late.opened, records.count) == ([], 5)
    assert [(part.name, part.count) for part in records.parts] == [("de", 2), ("en", 3)]
    assert records.parts[1].open().count == 3
    assert len(list(records)) == 5


@pytest.mark.parametrize(
    ("size", "told", "said"),
    [
        (2, True, "part en of b has 2 records, but must have 3"),
        (2, False, "part en of b has 2 records, but must have 3"),
        (4, False, "part en of b has more records, but must have 3"),
    ],
)
def test_a_part_of_another_size_than_stated_is_an_error(size: int, told: bool, said: str) -> None:
    data = Parts({"de": Made("a", 1), "en": Made("b", size, told=told)}, sizes={"en": 3})
    with pytest.raises(DataError, match=said):
        list(data.open())
    elsewhere = data.open(DataOptions(folder=Path("x")))
    assert len(list(elsewhere)) == 1 + size, "other data of the user's have their own size"


def test_parts_at_hand_are_opened_at_once() -> None:
    far, near = Made("b", 4), Made("c", 3, at_hand=True)
    mapped = Mapped(near, same, count="same")
    records = Parts({"de": Made("a", 2), "en": far, "fr": mapped}).open()
    assert [part.count for part in records.parts] == [2, None, 3]
    assert (len(far.opened), len(near.opened)) == (0, 1)


def test_parts_of_parts_are_taken_apart() -> None:
    easy, hard = Made("a", 2), Made("b", 1)
    inner = Parts({"easy": easy, "hard": hard}, sizes={"easy": 2, "hard": 1})
    records = Parts({"en": inner, "de": Made("c", 1)}, sizes={"de": 1}).open()
    assert [record[PART] for record in records] == ["en/easy", "en/easy", "en/hard", "de"]
    assert [(part.name, part.count) for part in records.parts] == [("en/easy", 2), ("en/hard", 1), ("de", 1)]
    assert (records.count, records.origin["config"]) == (4, "en/easy+en/hard+de")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Parts({}), "must have at least one part"),
        (lambda: Parts({"": Made("a", 1)}), "must be a non-empty text"),
        (lambda: Parts({"a": Made("a", 1)}, sizes={"b": 2}), "has 'b', which is not the name of a part"),
        (
            lambda: Parts({"a": Parts({"b": Made("x", 1)}), "a/b": Made("y", 1)}).open(),
            "two parts are named 'a/b'",
        ),
    ],
)
def test_parts_that_cannot_be(make: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_the_origin_says_what_the_parts_are_before_they_are_opened() -> None:
    english = Hub("made/english", "default", "test", "a" * 40)
    others = Mapped(Hub("made/others", "fr", "test", "b" * 40), same)
    records = Parts({"de": Made("a", 1), "en": english, "fr": others}).open()
    assert records.origin == {
        "kind": "made", "name": "a+made/english+made/others", "config": "de+en+fr", "split": "test",
    }  # fmt: skip


def same(records: Iterable[Record]) -> Iterator[Record]:
    yield from records


def earlier(records: Iterable[Record]) -> Iterator[Record]:
    """Each with the numbers before it, as a question with the earlier ones of its passage."""
    before: list[int] = []
    for record in records:
        yield {**record, "earlier": tuple(before)}
        before.append(record["n"])


def odd(records: Iterable[Record]) -> Iterator[Record]:
    yield from (record for record in records if record["n"] % 2)


def test_a_generator_over_records() -> None:
    records = Mapped(Made("a", 3), earlier).open()
    assert [record["earlier"] for record in records] == [(), (0,), (0, 1)]
    assert [record["earlier"] for record in records] == [(), (0,), (0, 1)], "it begins anew"
    assert records.count is None, "a generator may leave out and add"
    assert records.origin["mapped"].startswith("earlier own#")
    assert records.origin["name"] == "a"


def test_no_more_is_read_than_is_taken() -> None:
    read: list[int] = []

    class Endless:
        def open(self, options: DataOptions | None = None) -> Records:
            def stream() -> Iterator[Record]:
                for n in range(10**9):
                    read.append(n)
                    yield {"n": n}

            return Records({"name": "endless"}, 10**9, stream)

    records = iter(Mapped(Endless(), odd).open())
    assert [next(records)["n"], next(records)["n"]] == [1, 3]
    assert read == [0, 1, 2, 3]


@pytest.mark.parametrize("told", [True, False])
def test_as_many_as_there_were_is_stated_and_held(told: bool) -> None:
    records = Mapped(Made("a", 4, told=told), earlier, count="same").open()
    assert records.count == (4 if told else None)
    assert len(list(records)) == 4
    with pytest.raises(DataError, match=r'odd makes 2 records from the 4 of a, but count="same"'):
        list(Mapped(Made("a", 4, told=told), odd, count="same").open())


def test_a_stated_number_is_held() -> None:
    assert Mapped(Made("a", 5), odd, count=2).open().count == 2
    assert len(list(Mapped(Made("a", 5), odd, count=2).open())) == 2
    for count, said in (
        (3, "a, mapped by odd, has 2 records, but must have 3"),
        (1, "has more records, but must have 1"),
    ):
        with pytest.raises(DataError, match=said):
            list(Mapped(Made("a", 5), odd, count=count).open())
    assert Mapped(Made("a", 5), odd, count=9).open(DataOptions(small_sets=True)).count is None


def test_what_is_no_record_is_an_error() -> None:
    def numbers(records: Iterable[Record]) -> Iterator[Any]:
        yield from (record["n"] for record in records)

    with pytest.raises(DataError, match="numbers must yield records from a, not int"):
        list(Mapped(Made("a", 1), numbers).open())


def nested() -> list[Data]:
    """The same three times: parts mapped, mapped parts, and both."""
    return [
        Parts({"de": Mapped(Made("a", 3), earlier), "en": Mapped(Made("b", 2), earlier)}),
        Mapped(Parts({"de": Made("a", 3), "en": Made("b", 2)}), earlier),
        Parts({"de": Mapped(Mapped(Made("a", 3), same), earlier), "en": Mapped(Made("b", 2), earlier)}),
    ]


@pytest.mark.parametrize("which", [0, 1, 2])
def test_parts_are_mapped_each_on_its_own(which: int) -> None:
    records = nested()[which].open()
    assert [(record[PART], record["earlier"]) for record in records] == [
        ("de", ()), ("de", (0,)), ("de", (0, 1)), ("en", ()), ("en", (0,))
    ]  # fmt: skip
    assert [part.name for part in records.parts] == ["de", "en"]
    assert [record["earlier"] for record in records.parts[1].open()] == [(), (0,)]


def test_a_function_sees_the_part_and_keeps_its_size() -> None:
    def marked(records: Iterable[Record]) -> Iterator[Record]:
        yield from ({"seen": record[PART]} for record in records)

    inner = Mapped(Parts({"easy": Made("a", 1), "hard": Made("b", 1)}, sizes={"hard": 1}), marked, "same")
    records = Parts({"en": inner}).open()
    assert [(record[PART], record["seen"]) for record in records] == [
        ("en/easy", "easy"),
        ("en/hard", "hard"),
    ]
    assert [part.count for part in records.parts] == [1, 1], "the second is stated, and not opened yet"


def test_mapped_twice_is_told_in_order() -> None:
    records = Mapped(Mapped(Made("a", 3), odd), earlier).open()
    first, _, then = records.origin["mapped"].partition(", then ")
    assert first.startswith("odd own#")
    assert then.startswith("earlier own#")
