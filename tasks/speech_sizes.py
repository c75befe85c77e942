"""The numbers of clips in the test sets of the speech benchmarks, by language.

FLEURS: counted by MTEB over every config of `mteb/fleurs` at cadac46, the data that evalkit reads
(embeddings-benchmark/mteb at a905523, descriptive_stats, FleursA2TRetrieval.json). Multilingual LibriSpeech:
the card of `multilingual_librispeech`, except English, which has 3,769 clips by Pratap et al. 2020. CoVoST 2:
the card of `covost2`. VoxPopuli's card has no numbers of clips; only that of English is known, from the card
of `hf-audio/esb-datasets-test-only-sorted` at 9066e63.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

Sizes: TypeAlias = tuple[int | None, Mapping[str, int]]
"""(clips of all languages together, None if it is not known; clips by language, as far as they are known)."""
UNKNOWN_SIZES: Sizes = (None, {})


def _table(text: str) -> dict[str, int]:
    pairs = (entry.split() for line in text.split("\n") for entry in line.split("|") if entry)
    return {key: int(count) for key, count in pairs}


FLEURS_TEST: Mapping[str, int] = _table("""
af_za 264|am_et 516|ar_eg 427|as_in 984|ast_es 946|az_az 923|be_by 967|bg_bg 658|bn_in 920|bs_ba 925
ca_es 940|ceb_ph 541|ckb_iq 922|cmn_hans_cn 945|cs_cz 723|cy_gb 1021|da_dk 930|de_de 862|el_gr 650
en_us 647|es_419 908|et_ee 893|fa_ir 871|ff_sn 660|fi_fi 918|fil_ph 964|fr_fr 676|ga_ie 842|gl_es 927
gu_in 1000|ha_ng 621|he_il 792|hi_in 418|hr_hr 914|hu_hu 905|hy_am 932|id_id 687|ig_ng 969|is_is 46
it_it 865|ja_jp 650|jv_id 728|ka_ge 979|kam_ke 827|kea_cv 864|kk_kz 856|km_kh 771|kn_in 838|ko_kr 382
ky_kg 977|lb_lu 934|lg_ug 723|ln_cd 478|lo_la 405|lt_lt 986|luo_ke 256|lv_lv 851|mi_nz 1008|mk_mk 973
ml_in 958|mn_mn 949|mr_in 1015|ms_my 749|mt_mt 926|my_mm 880|nb_no 357|ne_np 726|nl_nl 364|nso_za 790
ny_mw 761|oc_fr 998|om_et 41|or_in 883|pa_in 574|pl_pl 758|ps_af 512|pt_br 919|ro_ro 883|ru_ru 775
sd_in 980|sk_sk 792|sl_si 834|sn_zw 925|so_so 1019|sr_rs 700|sv_se 759|sw_ke 487|ta_in 591|te_in 472
tg_tj 600|th_th 1021|tr_tr 743|uk_ua 750|umb_ao 379|ur_pk 299|uz_uz 862|vi_vn 857|wo_sn 371|xh_za 1041
yo_ng 831|yue_hant_hk 819|zu_za 854
""")
MLS_TEST: Mapping[str, int] = _table("de 3394|en 3769|es 2385|fr 2426|it 1262|nl 3075|pl 520|pt 871")
COVOST2_TEST: Mapping[str, int] = _table("""
ar 1695|ca 12730|cy 690|de 13511|es 13221|et 1571|fa 3445|fr 14760|id 844|it 8951|ja 684|lv 1629|mn 1759
nl 1699|pt 4023|ru 6300|sl 360|sv 1595|ta 786|tr 1629|zh 4898
""")
"""The clips that are translated into English, by ISO 639-1."""
VOXPOPULI_TEST: Mapping[str, int] = {"en": 1842}


def sizes_of(known: Mapping[str, int], languages: Iterable[str]) -> Sizes:
    """The sizes of these `languages`; `known`: all known sizes."""
    languages = tuple(languages)
    found = {language: known[language] for language in languages if language in known}
    return (sum(found.values()) if len(found) == len(languages) else None), found
