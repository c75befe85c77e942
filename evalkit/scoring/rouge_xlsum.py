"""The tokens of XL-Sum's authors, for ROUGE in many languages (Hasan et al. 2021, arXiv 2106.13822).

csebuetnlp/xl-sum at afcd803, `multilingual_rouge_scoring/`, with `use_stemmer=True`, as their
`seq2seq/utils.py` calls it: lower case; control characters dropped; punctuation (Unicode's and ASCII's)
dropped and split at. Then Chinese, Japanese, Thai and Burmese are segmented (jieba; MeCab with UniDic;
PyThaiNLP's newmm; syllables), and other languages are split as by OpenNMT's "aggressive" tokeniser: runs of
letters, runs of digits, each symbol alone, and each CJK character alone. Tokens of more than three characters
are stemmed in Bengali, Hindi, Turkish and the languages of NLTK's Snowball stemmers, where NLTK's stop words
stay as they are. Other languages are not stemmed.

Differences that are meant: NLTK's Arabic stemmer remembers earlier words, so that identical texts may differ;
here each word is stemmed alone. Longer texts than 2,000 characters are segmented in pieces, because jieba
takes quadratic time. The segmenters see white space, and jieba and newmm return it as tokens, which
count; this is kept. Japanese needs a dictionary: UniDic if it was downloaded, as the authors did, or else
unidic-lite, whose words differ; the signature names it.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.identity.declared import Declared
from evalkit.needs import installed, load
from evalkit.scoring.rouge import FIX, pieces
from evalkit.scoring.rouge_stems import bengali_stem, hindi_stem

_WHAT = "ROUGE by XL-Sum's rule"
_NAMES = {"chinese_simplified": "chinese", "chinese_traditional": "chinese"}
SNOWBALL = (
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian",
    "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish",
)  # fmt: skip
"""The languages of NLTK's Snowball stemmers."""
_PACKAGES = {
    "bengali": (), "burmese": (), "hindi": (),
    "chinese": ("jieba",), "japanese": ("mecab-python3",), "thai": ("pythainlp",),
    "turkish": ("TurkishStemmer",), **dict.fromkeys(SNOWBALL, ("nltk",)),
}  # fmt: skip
_DICTIONARIES = ("unidic", "unidic_lite")

_CJK = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip
_RESERVED = str.maketrans("￭￨▁", "■│_")
"""Signs that OpenNMT's tokeniser uses itself, and what it writes for those of the text."""
_DOT, _ASAT, _STACK = "\u1037", "\u103a", "\u1039"
_DEPENDENT = frozenset(
    chr(point)
    for first, last in ((0x102B, 0x1032), (0x1036, 0x1038), (0x103A, 0x103E))
    for point in range(first, last + 1)
)
_RUNS = re.compile("L[LM]*|N[NM]*|SM*|C|(?<=C)M[LM]*|M+")


class _Table(dict[int, str]):
    """A table for `str.translate` that asks `rule` once for each character."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, point: int) -> str:
        found = self[point] = self._rule(chr(point))
        return found


def _sanitised(sign: str) -> str:
    kind = unicodedata.category(sign)
    if sign in "\t\n\r" or kind == "Zs":
        return " "
    if sign == "\ufffd" or kind[0] == "C":
        return ""
    ascii_sign = sign.isascii() and not sign.isalnum() and sign != " "
    return " " if ascii_sign or kind[0] == "P" else sign


def _kind(sign: str) -> str:
    """C: a CJK character; L, M, N: letter, mark, digit; S: a symbol; the space itself."""
    if sign == " ":
        return " "
    if any(first <= ord(sign) <= last for first, last in _CJK):
        return "C"
    kind = unicodedata.category(sign)[0]
    return kind if kind in "LMN" else "S"


_SANITISED, _KINDS = _Table(_sanitised), _Table(_kind)


def sanitised(text: str) -> str:
    """`text` in lower case, without control characters, with one space for white space and punctuation."""
    return " ".join(text.lower().strip().translate(_SANITISED).split())


def aggressive(text: str) -> list[str]:
    """The tokens of a sanitised text in languages without a segmenter: letters, digits, symbols, CJK.

    A combining mark belongs to the sign before it. After a space it is a token of its own, which OpenNMT's
    tokeniser writes with the escaped space.
    """
    kinds = text.translate(_KINDS)
    found = []
    for run in _RUNS.finditer(kinds):
        start, end = run.span()
        token = text[start:end].translate(_RESERVED)
        alone = kinds[start] == "M" and kinds[start - 1 : start] == " "
        found.append(f"％0020{token}" if alone else token)
    return found


def burmese(text: str) -> list[str]:
    """The syllables of a sanitised Burmese text (https://dl.acm.org/doi/fullHtml/10.1145/3325885).

    A vowel sign, a medial or a killer belongs to the sign before it. A short unit with a killer, which ends
    a syllable, belongs to the unit before it, unless that one was joined to another. Stacked consonants are
    one.
    """
    units: list[str] = []
    for sign in "".join(text.replace(_DOT + _ASAT, _ASAT + _DOT).split()):
        if sign in _DEPENDENT and units:
            units[-1] += sign
        else:
            units.append(sign)
    syllables, joined = units[:1], False
    for unit in units[1:]:
        ends = _ASAT in unit and len(unit) < 4
        if ends and not joined:
            syllables[-1] += unit
        else:
            syllables.append(unit)
        joined = ends
    return " ".join(syllables).replace(f" {_STACK} ", _STACK).split()


class XlSum:
    """XL-Sum's rule for the given languages, as XL-Sum names its configs.

    Its identity has the versions of the packages that these languages use, a digest of NLTK's stop words, and
    the dictionary of Japanese, so runs of other languages do not depend on packages that they do not use.
    """

    def __init__(self, languages: Iterable[str]) -> None:
        self.languages = tuple(sorted({_NAMES.get(language, language) for language in languages}))

    @property
    def packages(self) -> tuple[str, ...]:
        """The distributions that the languages use."""
        used = {package for language in self.languages for package in _PACKAGES.get(language, ())}
        return tuple(sorted(used))

    @functools.cached_property
    def __evalkit_identity__(self) -> Declared:
        given = []
        if "japanese" in self.languages:
            folder = _dictionary()
            version = f" {installed(folder.parent.name.replace('_', '-'))}" if folder else ""
            given.append(f"dictionary={folder.parent.name if folder else 'none'}{version}")
        if words := [language for language in self.languages if language in SNOWBALL]:
            given.append(f"stopwords={_digest_of_stopwords(words)}")
        return Declared("rouge_xlsum", 1, self.packages, ",".join(given))

    def __call__(self, text: str, language: str = "english") -> list[str]:
        language = _NAMES.get(language, language)
        stem, tokens = _stemmer(language), _tokens(text, language)
        stems = {token: stem(token) if len(token) > 3 else token for token in set(tokens)}
        return [stems[token] for token in tokens if stems[token]]

    def needs(self) -> None:
        """Raises `UsageError` if a package, NLTK's stop words or a dictionary of the languages is missing."""
        for language in self.languages:
            self("a", language)


def _tokens(text: str, language: str) -> list[str]:
    text = sanitised(text)
    segment = _segmenter(language)
    if segment is None:
        return aggressive(text)
    found = [token for piece in pieces(text) for token in segment(piece)]
    return found or aggressive(text)


@functools.cache
def _segmenter(language: str) -> Callable[[str], list[str]] | None:
    if language == "burmese":
        return burmese
    if language == "thai":
        package = load("pythainlp.tokenize", _WHAT, FIX)
        return functools.partial(package.word_tokenize, engine="newmm")
    if language == "chinese":
        return _jieba()
    if language == "japanese":
        return _mecab()
    return None


def _jieba() -> Callable[[str], list[str]]:
    """jieba's cut. Its dictionary is read from the package, and not from a cache that anyone may write."""
    words = load("jieba", _WHAT, FIX).Tokenizer()
    words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
    words.initialized = True
    cut: Callable[[str], list[str]] = words.lcut
    return cut


def _mecab() -> Callable[[str], list[str]]:
    package = load("MeCab", _WHAT, FIX)
    folder = _dictionary()
    if folder is None:
        raise UsageError(f"{_WHAT} needs a dictionary of Japanese, unidic-lite: {FIX}")
    tagger = package.Tagger(f'-r "{folder / "mecabrc"}" -d "{folder}" -O wakati -b 50000')
    return lambda text: str(tagger.parse(text)).split()


@functools.cache
def _dictionary() -> Path | None:
    """The folder of UniDic if it was downloaded, else of unidic-lite, else None."""
    for name in _DICTIONARIES:
        if installed(name.replace("_", "-")):
            folder = Path(str(load(name, _WHAT, FIX).DICDIR))
            if (folder / "sys.dic").is_file():
                return folder
    return None


@functools.cache
def _stemmer(language: str) -> Callable[[str], str]:
    if language in _OWN:
        return _OWN[language]
    if language == "turkish":
        stem: Callable[[str], str] = load("TurkishStemmer", _WHAT, FIX).TurkishStemmer().stem
        return stem
    if language in SNOWBALL:
        _stopwords(language)
        snowball = load("nltk.stem", _WHAT, FIX).SnowballStemmer(language, ignore_stopwords=True).stemmer
        if language == "arabic":
            return lambda word: str(copy.copy(snowball).stem(word))  # without what it remembers of others
        return lambda word: str(snowball.stem(word))
    return lambda word: word


_OWN = {"bengali": bengali_stem, "hindi": hindi_stem}


def _stopwords(language: str) -> list[str]:
    """NLTK's stop words. Raises `UsageError` if they are not on this machine."""
    corpus = load("nltk.corpus", _WHAT, FIX).stopwords
    try:
        return list(corpus.words(language))
    except LookupError as error:
        raise UsageError(
            f"{_WHAT} needs NLTK's stop words for {language}: python -m nltk.downloader stopwords"
        ) from error
    except OSError as error:
        raise UsageError(
            f"{_WHAT}: NLTK's stop words on this machine lack {language}: "
            "python -m nltk.downloader --force stopwords"
        ) from error


def _digest_of_stopwords(languages: Iterable[str]) -> str:
    """The beginning of the SHA-256 of the stop words, "none" if they are not on this machine."""
    try:
        listed = [
            f"{language}\0{word}" for language in languages for word in sorted(set(_stopwords(language)))
        ]
    except UsageError:
        return "none"
    return hashlib.sha256("\n".join(listed).encode()).hexdigest()[:12]
