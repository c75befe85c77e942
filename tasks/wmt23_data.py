"""WMT23's files: the test sets of the general task, their documents, and the organisers' examples.

Source: `wmt-conference/wmt23-news-systems` on GitHub at 99b5b9d, the organisers' release (Kocmi et al. 2023);
the Hub has no copy with a stable owner. Its README states no licence. Texts are read from `txt/`, which has
one segment per line and leaves out the documents of test suites, as sacreBLEU does (mjpost/sacrebleu,
sacrebleu/dataset/wmt_xml.py). sacreBLEU downloads an archive of an earlier commit with the same files, but
without the examples. The documents are named only in `xml/`, which also has all systems' outputs and is
therefore large: about 220 MB for the 14 pairs, against 7 MB of texts.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from evalkit.api import DataError, DataOptions, Record, Records, Repository, lines_of

SIZES = {
    "cs-uk": 2017,
    "de-en": 549,
    "en-cs": 2074,
    "en-de": 557,
    "en-he": 2074,
    "en-ja": 2074,
    "en-ru": 2074,
    "en-uk": 2074,
    "en-zh": 2074,
    "he-en": 1910,
    "ja-en": 1992,
    "ru-en": 1723,
    "uk-en": 1826,
    "zh-en": 1976,
}
"""The number of segments of each pair. Those of en-de and de-en are whole paragraphs."""
TWO_REFERENCES = ("en-he", "he-en")
LANGUAGES = {
    "cs": "Czech", "de": "German", "en": "English", "he": "Hebrew", "ja": "Japanese", "ru": "Russian",
    "uk": "Ukrainian", "zh": "Chinese",
}  # fmt: skip
WMT23 = Repository(
    "wmt-conference/wmt23-news-systems",
    "99b5b9de2a535c2c5542fd4ec404682903299894",
    {
        "tools/LLM-prompt/data-shots/shots.cs-uk.json": "268a9546dff64701eb7968b1c92048a4c75c8d96",
        "tools/LLM-prompt/data-shots/shots.de-en.json": "5be4d1d710e1c1893c7ace806c7e622700f9a50d",
        "tools/LLM-prompt/data-shots/shots.en-cs.json": "856bb412437dbb1132145609b96bb3465321b85b",
        "tools/LLM-prompt/data-shots/shots.en-de.json": "83c326d1bfdb9a227a41875bfb0a3b19bbbb4289",
        "tools/LLM-prompt/data-shots/shots.en-he.json": "b47ca9f02ec62bd8e2ee94ec9efb54c2e593cea0",
        "tools/LLM-prompt/data-shots/shots.en-ja.json": "a4b05dd377833e905f93d24c2f8f672300704907",
        "tools/LLM-prompt/data-shots/shots.en-ru.json": "ce2d46aec50d9e1c894d10623ce5b88c524bae3a",
        "tools/LLM-prompt/data-shots/shots.en-uk.json": "62b32031da3a822c8a4099d9e8f4da38755014ec",
        "tools/LLM-prompt/data-shots/shots.en-zh.json": "9a4888973cf8b578017ec12785810d289c602674",
        "tools/LLM-prompt/data-shots/shots.he-en.json": "e8fab520c4b69af396d415f52574ec6aeb93ab09",
        "tools/LLM-prompt/data-shots/shots.ja-en.json": "0ac480ee5fa8b43daf56259569d157508fc72485",
        "tools/LLM-prompt/data-shots/shots.ru-en.json": "067d24f71cf70f90780684dc1452cd8873a3d896",
        "tools/LLM-prompt/data-shots/shots.uk-en.json": "65da920baee2d6b7c3883dbbdd69f4b362d1ef80",
        "tools/LLM-prompt/data-shots/shots.zh-en.json": "e3b051a16154ae507b4060bbc3884b5cd8020ba1",
        "txt/references/generaltest2023.cs-uk.ref.refA.uk": "c7fb88f1f1219a7c09d9d5da4be27e326ef47b43",
        "txt/references/generaltest2023.de-en.ref.refA.en": "6c5fe65074d0519f837983029a28877ddb26cecc",
        "txt/references/generaltest2023.en-cs.ref.refA.cs": "c4c38379e438132ba73e3a099167b34bcbd76184",
        "txt/references/generaltest2023.en-de.ref.refA.de": "cf477b874b64328400f7830232b44ad228ba62e9",
        "txt/references/generaltest2023.en-he.ref.refA.he": "f57a68f75e122f2fa9dbb0444c7c33d62c45dcc8",
        "txt/references/generaltest2023.en-he.ref.refB.he": "db24b12653eb8335eacb17c72004b74ed51cfb1c",
        "txt/references/generaltest2023.en-ja.ref.refA.ja": "2e03bbacda080c018b5404956e39212a51658655",
        "txt/references/generaltest2023.en-ru.ref.refA.ru": "92dbe2890cecacba17c9b20ede1c5db5e2d687ff",
        "txt/references/generaltest2023.en-uk.ref.refA.uk": "86092505647fabcf3f5c2dc7cb5189048f42d305",
        "txt/references/generaltest2023.en-zh.ref.refA.zh": "9d4ffd29c11b40adb1a284e06e552aae0e98282d",
        "txt/references/generaltest2023.he-en.ref.refA.en": "19640786b957cd67043cd0e4f0029f503ff03747",
        "txt/references/generaltest2023.he-en.ref.refB.en": "1b100be3b3d73f6f43fae95b302a29d40afd1f07",
        "txt/references/generaltest2023.ja-en.ref.refA.en": "e793aae5fa14e52c838aee72fab005d3f7ad3224",
        "txt/references/generaltest2023.ru-en.ref.refA.en": "2ec2e20d16daffc54c0efc6cb4f04a85457ea0ef",
        "txt/references/generaltest2023.uk-en.ref.refA.en": "6e4603531d614cda21c8817e48f18fa914754a74",
        "txt/references/generaltest2023.zh-en.ref.refA.en": "2ee1c9aa852da81205fedadca2f8dc7b837597b9",
        "txt/sources/generaltest2023.cs-uk.src.cs": "08db8083cd4b8fc1722dbb98098947d11feb7057",
        "txt/sources/generaltest2023.de-en.src.de": "d0d621b56d983c0af6b535234f0108256e91def9",
        "txt/sources/generaltest2023.en-cs.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.en-de.src.en": "c7322cd2fd1330089917047113ca865a21e70578",
        "txt/sources/generaltest2023.en-he.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.en-ja.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.en-ru.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.en-uk.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.en-zh.src.en": "b4e08960201b3ff6b15bac6c3c6f0d2b5e153ef0",
        "txt/sources/generaltest2023.he-en.src.he": "a46dc192724cdebee855fbf41e61eec359091540",
        "txt/sources/generaltest2023.ja-en.src.ja": "326277b41ee9ac83d5029961ea593a76e112ab59",
        "txt/sources/generaltest2023.ru-en.src.ru": "fa4a19bed5ce702234d7e161837288fb7e4b0ee0",
        "txt/sources/generaltest2023.uk-en.src.uk": "7103c4881b47614ed148d2548d4a948e799f2726",
        "txt/sources/generaltest2023.zh-en.src.zh": "976095ad9b2502990c3d45bfdfedd07ed676f2f3",
        "xml/wmttest2023.cs-uk.all.xml": "ba01cd9a1e5e8ce5e68c1bd8282af0d06dcb4ff3",
        "xml/wmttest2023.de-en.all.xml": "01b427c09a6583a2edc06598436b865bdf523dfb",
        "xml/wmttest2023.en-cs.all.xml": "7ba207f6cf6c0576f09467e05aa1d41794b9213f",
        "xml/wmttest2023.en-de.all.xml": "5cf07fac9767d3979d83988bfcbffb29f4f6749e",
        "xml/wmttest2023.en-he.all.xml": "1a51c5c452758a1b2e7b4f2416008ec4f2e67cff",
        "xml/wmttest2023.en-ja.all.xml": "7ff20f8613d1dfb320fe52b6c29ad6184a2f63a0",
        "xml/wmttest2023.en-ru.all.xml": "4e9d63cccdfcb85ad8fffaa00b35d53cb2d857ed",
        "xml/wmttest2023.en-uk.all.xml": "d27ecf492e7d3d5d73c12f244660bb8e5afea651",
        "xml/wmttest2023.en-zh.all.xml": "37dccdf176c8cf44c4046b7f6cdc1c1378402de3",
        "xml/wmttest2023.he-en.all.xml": "2b4fa67d0a5e0e1d75c5bcd766f10d70052445b9",
        "xml/wmttest2023.ja-en.all.xml": "0adefbb151fa52d3eea18bb8b9dca807d81d8cbe",
        "xml/wmttest2023.ru-en.all.xml": "d1adf9c4fcdc72f0084597c95c318fdf8cb18863",
        "xml/wmttest2023.uk-en.all.xml": "48d46c09ca9d6e0a491c3cd19809eecf75391009",
        "xml/wmttest2023.zh-en.all.xml": "79e83fd6d8195cc63c15d136ef1c904b089718ee",
    },
)


@dataclass(frozen=True, slots=True)
class Pair:
    """The segments of one pair, such as en-de.

    A record has `pair`, `source`, `references` by name (refA, for Hebrew also refB), `document` ("" where the
    documents are not read) and `nth`, how many earlier segments of the pair have the same source.

    `documents`: whether the documents are read, if the user's folder has them.
    """

    pair: str
    documents: bool = True

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the segments. Raises `DataError` if a file is missing, or the files do not fit together."""
        options = options or DataOptions()
        known = self.documents and WMT23.holds(self._xml, options)
        rows = self._rows(options, known)
        config = self.pair if known else f"{self.pair} without documents"
        return Records(WMT23.origin(config, "test", options), len(rows), lambda: iter(rows))

    @property
    def _xml(self) -> str:
        return f"xml/wmttest2023.{self.pair}.all.xml"

    def _rows(self, options: DataOptions, known: bool) -> list[Record]:
        source, target = self.pair.split("-")
        sources = lines_of(WMT23.path(f"txt/sources/generaltest2023.{self.pair}.src.{source}", options))
        names = ("refA", "refB") if self.pair in TWO_REFERENCES else ("refA",)
        references = {
            name: lines_of(
                WMT23.path(f"txt/references/generaltest2023.{self.pair}.ref.{name}.{target}", options)
            )
            for name in names
        }
        for name, lines in references.items():
            if len(lines) != len(sources):
                raise DataError(
                    f"WMT23 {self.pair}: {len(sources)} sources, but {len(lines)} references in {name}: "
                    "copy both files again"
                )
        documents = self._documents(options, sources) if known else [""] * len(sources)
        return [
            {
                "pair": self.pair,
                "source": text,
                "references": {name: lines[i] for name, lines in references.items()},
                "document": documents[i],
                "nth": nth,
            }
            for i, (text, nth) in enumerate(_numbered(sources))
        ]

    def _documents(self, options: DataOptions, sources: list[str]) -> list[str]:
        """The document of each segment. Raises `DataError` if `xml/` does not have the segments of `txt/`."""
        path = WMT23.path(self._xml, options)
        try:
            found = list(_segments(path))
        except (ElementTree.ParseError, ValueError, OSError) as error:
            raise DataError(f"{path} cannot be read ({error}): copy it again") from error
        if [" ".join(text.split()) for _, text in found] != [" ".join(text.split()) for text in sources]:
            raise DataError(
                f"{path} has other segments than txt/sources: copy both again, or leave the documents out "
                "with --set documents=no"
            )
        return [document for document, _ in found]


@dataclass(frozen=True, slots=True)
class Examples:
    """The five examples that the organisers gave GPT-4 for one pair, as records like those of `Pair`."""

    pair: str

    def open(self, options: DataOptions | None = None) -> Records:
        """Returns the examples. Raises `DataError` if the file is missing or damaged."""
        options = options or DataOptions()
        path = WMT23.path(f"tools/LLM-prompt/data-shots/shots.{self.pair}.json", options)
        try:
            rows: list[Record] = [
                {
                    "pair": self.pair,
                    "source": example["source"],
                    "references": {"refA": example["target"]},
                    "document": "",
                    "nth": 0,
                }
                for example in json.loads(path.read_text("utf-8"))
            ]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} cannot be read ({error!r}): it must be a list of objects with source and target"
            ) from error
        return Records(WMT23.origin(self.pair, "examples", options), len(rows), lambda: iter(rows))


def _numbered(texts: list[str]) -> Iterator[tuple[str, int]]:
    """Yields each text with how many equal ones come before it."""
    seen: Counter[str] = Counter()
    for text in texts:
        yield text, seen[text]
        seen[text] += 1


def _segments(path: Path) -> Iterator[tuple[str, str]]:
    """Yields (document, source) of each segment that has a reference, without documents of test suites."""
    for _, element in ElementTree.iterparse(path):  # noqa: S314 — its git id was checked, or it is the user's own
        if element.tag != "doc":
            continue
        source = element.find("src")
        if "testsuite" not in element.attrib and source is not None:
            translated = {
                segment.get("id") for reference in element.iter("ref") for segment in reference.iter("seg")
                if segment.text
            }  # fmt: skip
            for segment in sorted(source.iter("seg"), key=lambda one: int(one.attrib["id"])):
                if segment.get("id") in translated:
                    yield element.attrib["id"], segment.text or ""
        element.clear()  # the systems' outputs are most of the file
