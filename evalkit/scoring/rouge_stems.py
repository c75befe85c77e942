"""The stemmers of Bengali and Hindi that XL-Sum's authors use, which no maintained package has.

Bengali: Rafi Kamal's suffixes as in abhik1505040/bengali-stemmer at 375186c, `rafikamal2014/` (BanglaKit,
MIT). In four passes, the first of a pass's suffixes that a word has is taken off, or replaced. Two of
its suffixes hold a full stop, which no token has, and are left out. Hindi: the suffixes of Ramanathan and Rao
2003 (A lightweight stemmer for Hindi), the longest first.
"""

from __future__ import annotations

_YYA = "\u09df"  # one sign, which Unicode's normal forms would take apart
_BENGALI = tuple(
    tuple(rule.partition(">")[::2] for rule in group.replace("Y", _YYA).split())
    for group in (
        "ই ও তো",
        "কে তে রা",
        "চ্ছি চ্ছিল চ্ছে চ্ছিস চ্ছিলেন চ্ছ Yেছে েছ েছে েছেন রছ>র রব>র েল েলো ওYা েYে>া Y Yে "
        "Yেছিল েYেছিল>া েছিল েYেছিলেন>া েছিলেন লেন দের ের ার েন বেন িস ছিস ছিলি ছি ছে লি বি ে",
        "টি টির েরটা েরটার টা টার গুলো গুলোর েরগুলো েরগুলোর",
    )
)
_VOWEL_SIGNS = frozenset("ািীেুূো")
_HINDI = tuple(
    frozenset(group.split())
    for group in (
        "ाएंगी ाएंगे ाऊंगी ाऊंगा ाइयाँ ाइयों ाइयां",
        "ाएगी ाएगा ाओगी ाओगे एंगी ेंगी एंगे ेंगे ूंगी ूंगा ातीं नाओं नाएं ताओं ताएं ियाँ ियों ियां",
        "ाकर ाइए ाईं ाया ेगी ेगा ोगी ोगे ाने ाना ाते ाती ाता तीं ाओं ाएं ुओं ुएं ुआं",
        "कर ाओ िए ाई ाए ने नी ना ते ीं ती ता ाँ ां ों ें",
        "ो े ू ु ी ि ा",
    )
)


def bengali_stem(word: str) -> str:
    """`word` without its endings. A suffix is only taken off if more than vowel signs remains."""
    for group in _BENGALI:
        for suffix, instead in group:
            if word.endswith(suffix):
                rest = word[: -len(suffix)]
                if instead:
                    word = rest + instead
                elif any(sign not in _VOWEL_SIGNS for sign in rest):
                    word = rest
                break
    return word


def hindi_stem(word: str) -> str:
    """`word` without its longest suffix, if at least two characters remain."""
    for length, suffixes in zip((5, 4, 3, 2, 1), _HINDI, strict=True):
        if len(word) > length + 1 and word[-length:] in suffixes:
            return word[:-length]
    return word
