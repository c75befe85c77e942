"""The sentences of evalkit's small sets of speech, and their voices.

These are short statements written for evalkit. The first of `ENGLISH` is in every language, the second in
the languages of CoVoST 2, VoxPopuli and MLS, and all of them are in Spanish and Portuguese.
"""

from __future__ import annotations

from dataclasses import dataclass

ENGLISH = (
    "The boat is red.",
    "The dog drinks water.",
    "We walk to the river every morning.",
    "She bought three apples and some bread.",
    "The train leaves at ten o'clock.",
    "My brother plays the piano.",
    "It rained all night in the mountains.",
    "Please close the window before you go.",
)
SPANISH = (
    "El barco es rojo.",
    "El perro bebe agua.",
    "Caminamos al río todas las mañanas.",
    "Ella compró tres manzanas y un poco de pan.",
    "El tren sale a las diez.",
    "Mi hermano toca el piano.",
    "Llovió toda la noche en las montañas.",
    "Por favor, cierra la ventana antes de irte.",
)
PORTUGUESE = (
    "O barco é vermelho.",
    "O cachorro bebe água.",
    "Caminhamos até o rio todas as manhãs.",
    "Ela comprou três maçãs e um pouco de pão.",
    "O trem parte às dez horas.",
    "Meu irmão toca piano.",
    "Choveu a noite inteira nas montanhas.",
    "Por favor, feche a janela antes de sair.",
)


@dataclass(frozen=True, slots=True)
class Tongue:
    """A language of FLEURS, by the name of its config there."""

    code: str
    name: str
    voice: str
    """The voice of espeak-ng, or that of a neighbouring language if it has none."""
    sentences: tuple[str, ...]
    """The translations of the first sentences of `ENGLISH`."""
    spelt: tuple[str, ...] = ()
    """The sentences in another spelling, for a voice that cannot read their script."""


def _tongue(code: str, name: str, voice: str, *sentences: str) -> Tongue:
    return Tongue(code, name, voice, sentences)


def _spelt(code: str, name: str, voice: str, *pairs: tuple[str, str]) -> Tongue:
    return Tongue(code, name, voice, tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


TONGUES = (
    _tongue("af_za", "Afrikaans", "af", "Die boot is rooi."),
    _tongue("am_et", "Amharic", "am", "ጀልባው ቀይ ነው።"),
    _tongue("ar_eg", "Arabic", "ar", "القارب أحمر.", "الكلب يشرب الماء."),
    _tongue("as_in", "Assamese", "as", "নাওখন ৰঙা।"),
    _tongue("az_az", "Azerbaijani", "az", "Qayıq qırmızıdır."),
    _tongue("be_by", "Belarusian", "be", "Лодка чырвоная."),
    _tongue("bg_bg", "Bulgarian", "bg", "Лодката е червена."),
    _tongue("bn_in", "Bengali", "bn", "নৌকাটি লাল।"),
    _tongue("bs_ba", "Bosnian", "bs", "Čamac je crven."),
    _tongue("ca_es", "Catalan", "ca", "La barca és vermella.", "El gos beu aigua."),
    _spelt(
        "cmn_hans_cn",
        "Mandarin Chinese",
        "cmn-latn-pinyin",
        ("船是红色的。", "chuan2 shi4 hong2 se4 de5"),
        ("狗在喝水。", "gou3 zai4 he1 shui3"),
    ),
    _tongue("cs_cz", "Czech", "cs", "Loďka je červená.", "Pes pije vodu."),
    _tongue("cy_gb", "Welsh", "cy", "Mae'r cwch yn goch.", "Mae'r ci yn yfed dŵr."),
    _tongue("da_dk", "Danish", "da", "Båden er rød."),
    _tongue("de_de", "German", "de", "Das Boot ist rot.", "Der Hund trinkt Wasser."),
    _tongue("el_gr", "Greek", "el", "Η βάρκα είναι κόκκινη."),
    _tongue("es_419", "Spanish", "es-419", *SPANISH),
    _tongue("et_ee", "Estonian", "et", "Paat on punane.", "Koer joob vett."),
    _tongue("fa_ir", "Persian", "fa", "قایق قرمز است.", "سگ آب می‌نوشد."),
    _tongue("fi_fi", "Finnish", "fi", "Vene on punainen.", "Koira juo vettä."),
    _tongue("fil_ph", "Filipino", "id", "Pula ang bangka."),
    _tongue("fr_fr", "French", "fr-fr", "Le bateau est rouge.", "Le chien boit de l'eau."),
    _tongue("gl_es", "Galician", "es", "O barco é vermello."),
    _tongue("gu_in", "Gujarati", "gu", "હોડી લાલ છે."),
    _tongue("ha_ng", "Hausa", "sw", "Jirgin ruwan ja ne."),
    _tongue("he_il", "Hebrew", "he", "הסירה אדומה."),
    _tongue("hi_in", "Hindi", "hi", "नाव लाल है।"),
    _tongue("hr_hr", "Croatian", "hr", "Čamac je crven.", "Pas pije vodu."),
    _tongue("hu_hu", "Hungarian", "hu", "A csónak piros.", "A kutya vizet iszik."),
    _tongue("hy_am", "Armenian", "hy", "Նավակը կարմիր է։"),
    _tongue("id_id", "Indonesian", "id", "Perahu itu merah.", "Anjing itu minum air."),
    _tongue("is_is", "Icelandic", "is", "Báturinn er rauður."),
    _tongue("it_it", "Italian", "it", "La barca è rossa.", "Il cane beve l'acqua."),
    _spelt(
        "ja_jp",
        "Japanese",
        "ja",
        ("船は赤いです。", "ふねわ あかいです"),
        ("犬は水を飲みます。", "いぬわ みずお のみます"),
    ),
    _tongue("jv_id", "Javanese", "id", "Prau iku abang."),
    _tongue("ka_ge", "Georgian", "ka", "ნავი წითელია."),
    _tongue("kk_kz", "Kazakh", "kk", "Қайық қызыл."),
    _spelt("km_kh", "Khmer", "id", ("ទូកពណ៌ក្រហម។", "tuk poa krahom")),
    _tongue("kn_in", "Kannada", "kn", "ದೋಣಿ ಕೆಂಪಾಗಿದೆ."),
    _tongue("ko_kr", "Korean", "ko", "배는 빨간색입니다."),
    _tongue("lb_lu", "Luxembourgish", "lb", "D'Boot ass rout."),
    _tongue("ln_cd", "Lingala", "sw", "Masuwa ezali motane."),
    _spelt("lo_la", "Lao", "th", ("ເຮືອສີແດງ.", "เฮือ สี แดง")),
    _tongue("lt_lt", "Lithuanian", "lt", "Valtis yra raudona.", "Šuo geria vandenį."),
    _tongue("lv_lv", "Latvian", "lv", "Laiva ir sarkana.", "Suns dzer ūdeni."),
    _tongue("mi_nz", "Māori", "mi", "He whero te poti."),
    _tongue("mk_mk", "Macedonian", "mk", "Чамецот е црвен."),
    _tongue("ml_in", "Malayalam", "ml", "വള്ളം ചുവപ്പാണ്."),
    _tongue("mn_mn", "Mongolian", "kk", "Завь улаан байна.", "Нохой ус ууж байна."),
    _tongue("mr_in", "Marathi", "mr", "होडी लाल आहे."),
    _tongue("ms_my", "Malay", "ms", "Bot itu merah."),
    _tongue("mt_mt", "Maltese", "mt", "Id-dgħajsa hija ħamra."),
    _tongue("my_mm", "Burmese", "my", "လှေက အနီရောင်ပါ။"),
    _tongue("nb_no", "Norwegian", "nb", "Båten er rød."),
    _tongue("ne_np", "Nepali", "ne", "डुङ्गा रातो छ।"),
    _tongue("nl_nl", "Dutch", "nl", "De boot is rood.", "De hond drinkt water."),
    _tongue("oc_fr", "Occitan", "ca", "La barca es roja."),
    _tongue("pa_in", "Punjabi", "pa", "ਕਿਸ਼ਤੀ ਲਾਲ ਹੈ।"),
    _tongue("pl_pl", "Polish", "pl", "Łódka jest czerwona.", "Pies pije wodę."),
    _spelt("ps_af", "Pashto", "id", ("بېړۍ سره ده.", "berai sra da")),
    _tongue("pt_br", "Portuguese", "pt-br", *PORTUGUESE),
    _tongue("ro_ro", "Romanian", "ro", "Barca este roșie.", "Câinele bea apă."),
    _tongue("ru_ru", "Russian", "ru", "Лодка красная.", "Собака пьёт воду."),
    _tongue("sd_in", "Sindhi", "sd", "ٻيڙي ڳاڙهي آهي."),
    _tongue("sk_sk", "Slovak", "sk", "Čln je červený.", "Pes pije vodu."),
    _tongue("sl_si", "Slovenian", "sl", "Čoln je rdeč.", "Pes pije vodo."),
    _tongue("sn_zw", "Shona", "sw", "Chikepe chitsvuku."),
    _spelt("so_so", "Somali", "sw", ("Doontu waa casaan.", "doontu waa asaan")),
    _tongue("sr_rs", "Serbian", "sr", "Чамац је црвен."),
    _tongue("sv_se", "Swedish", "sv", "Båten är röd.", "Hunden dricker vatten."),
    _tongue("sw_ke", "Swahili", "sw", "Mashua ni nyekundu."),
    _tongue("ta_in", "Tamil", "ta", "படகு சிவப்பாக இருக்கிறது.", "நாய் தண்ணீர் குடிக்கிறது."),
    _tongue("te_in", "Telugu", "te", "పడవ ఎర్రగా ఉంది."),
    _tongue("tg_tj", "Tajik", "kk", "Қаиқ сурх аст."),
    _tongue("th_th", "Thai", "th", "เรือสีแดง"),
    _tongue("tr_tr", "Turkish", "tr", "Tekne kırmızı.", "Köpek su içiyor."),
    _tongue("uk_ua", "Ukrainian", "uk", "Човен червоний."),
    _tongue("ur_pk", "Urdu", "ur", "کشتی لال ہے۔"),
    _tongue("uz_uz", "Uzbek", "uz", "Qayiq qizil."),
    _tongue("vi_vn", "Vietnamese", "vi", "Chiếc thuyền màu đỏ."),
    _spelt("yo_ng", "Yoruba", "sw", ("Ọkọ̀ ojú omi náà pupa.", "oko oju omi naa pupa")),
    _tongue("yue_hant_hk", "Cantonese Chinese", "yue", "隻船係紅色嘅。"),
)
"""The languages of FLEURS that Whisper knows, without English, and Cantonese."""
