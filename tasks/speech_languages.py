"""Languages of the speech benchmarks: their codes and names, and the lists of languages that were scored.

FLEURS names a language by ISO 639 and a country ("cmn_hans_cn"); the hint for an endpoint is ISO 639-1
("zh"), which nine of them do not have. Whisper's own code for Javanese is "jw" instead of "jv".

The report's FLEURS figure is over "62 lang". They are not listed anywhere: not in the Gemini 1.0 or 1.5
reports, and not in the USM paper that they follow (arXiv 2303.01037, section 3.3: 62 of the 102, "covered by
the training sets of both models", USM's and Whisper's; it lists neither). They are therefore among the 82
that Whisper's authors scored, which are printed: `WHISPER_FLEURS`, from openai/whisper at c0d2f62,
notebooks/Multilingual_ASR.ipynb, the columns of table 13 of their paper.

VoxPopuli has transcripts in 16 languages and a set of accented English (facebookresearch/voxpopuli at
f7a3bb9, `voxpopuli/__init__.py`). "14 lang" are those of Google's XTREME-S (arXiv 2203.10752; the list is in
`google/xtreme_s` at 27eeada, xtreme_s.py): all except Estonian and Lithuanian, which have three and two
hours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Language(NamedTuple):
    """A language. `code`: ISO 639-1, or ISO 639-3 (three letters) if there is none. `name`: in English."""

    code: str
    name: str


_FLEURS = """
af_za af Afrikaans|am_et am Amharic|ar_eg ar Arabic|as_in as Assamese|ast_es ast Asturian|az_az az Azerbaijani
be_by be Belarusian|bg_bg bg Bulgarian|bn_in bn Bengali|bs_ba bs Bosnian|ca_es ca Catalan|ceb_ph ceb Cebuano
ckb_iq ckb Sorani Kurdish|cmn_hans_cn zh Mandarin Chinese|cs_cz cs Czech|cy_gb cy Welsh|da_dk da Danish
de_de de German|el_gr el Greek|en_us en English|es_419 es Spanish|et_ee et Estonian|fa_ir fa Persian
ff_sn ff Fula|fi_fi fi Finnish|fil_ph tl Filipino|fr_fr fr French|ga_ie ga Irish|gl_es gl Galician
gu_in gu Gujarati|ha_ng ha Hausa|he_il he Hebrew|hi_in hi Hindi|hr_hr hr Croatian|hu_hu hu Hungarian
hy_am hy Armenian|id_id id Indonesian|ig_ng ig Igbo|is_is is Icelandic|it_it it Italian|ja_jp ja Japanese
jv_id jv Javanese|ka_ge ka Georgian|kam_ke kam Kamba|kea_cv kea Kabuverdianu|kk_kz kk Kazakh|km_kh km Khmer
kn_in kn Kannada|ko_kr ko Korean|ky_kg ky Kyrgyz|lb_lu lb Luxembourgish|lg_ug lg Ganda|ln_cd ln Lingala
lo_la lo Lao|lt_lt lt Lithuanian|luo_ke luo Luo|lv_lv lv Latvian|mi_nz mi Maori|mk_mk mk Macedonian
ml_in ml Malayalam|mn_mn mn Mongolian|mr_in mr Marathi|ms_my ms Malay|mt_mt mt Maltese|my_mm my Burmese
nb_no no Norwegian|ne_np ne Nepali|nl_nl nl Dutch|nso_za nso Northern Sotho|ny_mw ny Nyanja|oc_fr oc Occitan
om_et om Oromo|or_in or Odia|pa_in pa Punjabi|pl_pl pl Polish|ps_af ps Pashto|pt_br pt Portuguese
ro_ro ro Romanian|ru_ru ru Russian|sd_in sd Sindhi|sk_sk sk Slovak|sl_si sl Slovenian|sn_zw sn Shona
so_so so Somali|sr_rs sr Serbian|sv_se sv Swedish|sw_ke sw Swahili|ta_in ta Tamil|te_in te Telugu
tg_tj tg Tajik|th_th th Thai|tr_tr tr Turkish|uk_ua uk Ukrainian|umb_ao umb Umbundu|ur_pk ur Urdu
uz_uz uz Uzbek|vi_vn vi Vietnamese|wo_sn wo Wolof|xh_za xh Xhosa|yo_ng yo Yoruba
yue_hant_hk yue Cantonese|zu_za zu Zulu
"""


def _table(text: str) -> dict[str, Language]:
    rows = (entry.split(" ", 2) for line in text.split("\n") for entry in line.split("|") if entry)
    return {key: Language(code, name) for key, code, name in rows}


FLEURS_REVISION = "cadac46d4cd7d721f5cf8844a5b9f0f20e6fcde8"
"""The commit of `mteb/fleurs`, a copy of the clips in Parquet."""
FLEURS: Mapping[str, Language] = _table(_FLEURS)
"""The 102 languages of FLEURS by its own codes, sorted."""
_NOT_WHISPER = frozenset((
    "ast_es", "ceb_ph", "ckb_iq", "ff_sn", "ga_ie", "ig_ng", "kam_ke", "kea_cv", "ky_kg", "lg_ug", "luo_ke",
    "nso_za", "ny_mw", "om_et", "or_in", "umb_ao", "wo_sn", "xh_za", "yue_hant_hk", "zu_za",
))  # fmt: skip
WHISPER_FLEURS = tuple(key for key in FLEURS if key not in _NOT_WHISPER)
"""The 82 languages of FLEURS that Whisper's authors scored."""

ISO: Mapping[str, Language] = {language.code: language for language in FLEURS.values()}
"""The languages of FLEURS by ISO 639."""

_WITH_TRANSCRIPTS = (
    "cs", "de", "en", "es", "et", "fi", "fr", "hr", "hu", "it", "lt", "nl", "pl", "ro", "sk", "sl",
)  # fmt: skip
VOXPOPULI: Mapping[str, Language] = {key: ISO[key] for key in _WITH_TRANSCRIPTS} | {"en_accented": ISO["en"]}
"""The sets of VoxPopuli that have transcripts."""
XTREME_S_VOXPOPULI = tuple(code for code in VOXPOPULI if code not in ("et", "lt", "en_accented"))
"""The 14 sets of VoxPopuli that the report's "14 lang" are."""

MLS: Mapping[str, Language] = {key: ISO[key] for key in ("de", "en", "es", "fr", "it", "nl", "pl", "pt")}
"""The languages of Multilingual LibriSpeech."""


def language_of(key: str) -> Language:
    """The language of an ISO 639 code or of FLEURS's own code. Raises `KeyError` for any other."""
    return FLEURS[key] if key in FLEURS else ISO[key]
