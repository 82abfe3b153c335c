r"""Tables of English word splitting: marks, units, letters, contractions, abbreviations, emoticons.

Source: spaCy 3.8 (MIT licence), ``lang/char_classes.py``, ``lang/punctuation.py``,
``lang/tokenizer_exceptions.py``, ``lang/en/tokenizer_exceptions.py`` at
https://github.com/explosion/spaCy/tree/master/spacy/lang; the pattern of addresses there follows
https://gist.github.com/dperini/729294 (MIT licence).
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache

PUNCTUATION = "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"
QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
CURRENCIES = "$£€¥฿₽﷼₴₠₡₢₣₤₥₦₧₨₩₪₫€₭₮₯₰₱₲₳₴₵₶₷₸₹₺₻₼₽₾₿"
UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh mph "
    "hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм "
    "кг г мг м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тбكم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³ كم "
    "غرام جرام جم كغ ملغ كوب اكواب"
)
QUANTITY = rf"(?<=[0-9])(?:\+|(?:US|C|A)?\$|[{CURRENCIES[1:]}]|{'|'.join(map(re.escape, UNITS.split()))})$"
"""What is cut off behind a digit."""

CASED_BLOCKS = (
    "A-Z a-z \xc0-\xd6 \xd8-\xf6 \xf8-\xff \u0100-\u017f \u0180-\u01bf \u01c4-\u024f \u0250-\u02af \u1d00-\u1d25 "
    "\u1d6b-\u1d77 \u1d79-\u1d9a \u1e00-\u1eff \u2c60-\u2c7b \u2c7e-\u2c7f \ua722-\ua76f \ua771-\ua787 \ua78b-\ua78e "
    "\ua790-\ua7b9 \ua7fa-\ua7fa \uab30-\uab5a \uab60-\uab64 \uff21-\uff3a \uff41-\uff5a "
    "А-я ё-ё Ё-Ё ә-ә ө-ө ү-ү җ-җ ң-ң һ-һ Ә-Ә Ө-Ө Ү-Ү Җ-Җ Ң-Ң Һ-Һ α-ω Α-Ω ά-ί ό-ώ Ά-Ά Έ-Ώ ю-ю я-я і-і ї-ї є-є ґ-ґ "
    "Ю-Ю Я-Я І-І Ї-Ї Є-Є Ґ-Ґ ѓ-ѓ ѕ-ѕ ј-ј љ-љ њ-њ ќ-ќ ѐ-ѐ ѝ-ѝ Ѓ-Ѓ Ѕ-Ѕ Ј-Ј Љ-Љ Њ-Њ Ќ-Ќ Ѐ-Ѐ Ѝ-Ѝ"
)
"""Scripts with capital and small letters: Latin, Greek, Cyrillic."""

UNCASED_BLOCKS = (
    "0591-05f4 0620-064a 066e-06d5 06e5-06ff 0750-077f 08a0-08bd 0900-09ff 0b80-0cff 0d80-0dff 1100-137f 2e80-2fdf "
    "2ff0-30ff 31c0-31ef 3200-4dbf 4e00-9fff ac00-d7af f900-faff fb1d-fbb1 fbd3-fd3d fd50-fdc7 fdf0-fdfb fe30-fe4f "
    "fe70-fefc 1ee00-1eebb 1f200-1f2ff 20000-2a6df 2a700-2ebef 2f800-2fa1f"
)
"""Scripts without: their letters count as both."""

NEWER_SYMBOLS = (
    "166d-166d 2b97-2b97 2bc9-2bc9 2bff-2bff 2e50-2e51 32ff-32ff fd40-fd4f fdcf-fdcf fdfe-fdff 1019c-1019c "
    "11fd5-11ff1 1cc00-1cfff 1d1e9-1d1ea 1e14f-1e14f 1ed2e-1ed2e 1f10d-1f10f 1f16c-1f16f 1f1ad-1f1ad 1f6d5-1f6df "
    "1f6fa-1f6fc 1f774-1f77f 1f7d9-1f7ff 1f8b0-1f8ff 1f90c-1f90f 1f93f-1f93f 1f971-1f972 1f977-1f979 1f97b-1f97b "
    "1f9a3-1f9af 1f9ba-1f9bf 1f9c3-1f9cf 1fa00-1fa5f 1fa6e-1fbff"
)
"""Symbols that Unicode has added since its version 11: they stay in their word."""

EMOTICONS = r"""
:) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (; (-; :( :-( :(( :-((
:((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O :-O :o :-o :0 :-0 :() >:o :*
:-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^ ^___^ >.< >.> <.< ._. ;_; -_- -__-
v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@ <3 <33 <333 </3 (^_^) (-_-) (._.) (>_<)
(*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>
"""

WHOLE = r"""
\t \n — ' \") <space> '' C++ ä. ö. ü. 'S 's ‘S ‘s and/or w/o 're 'Cause 'cause 'cos 'Cos 'coz 'Coz 'cuz 'Cuz 'bout
ma'am Ma'am o'clock O'clock lovin' Lovin' lovin Lovin havin' Havin' havin Havin Mt. Ak. Ala. Apr. Ariz. Ark. Aug.
Calif. Colo. Conn. Dec. Del. Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn.
Miss. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va. Wash. Wis.
'd a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g. E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont.
Mr. Mrs. Ms. p.m. Ph.D. Prof. Rep. Rev. Sen. St. vs. v.s. em 'em ll 'll nuff 'nuff
"""
"""Written with marks, and yet one word."""

CONTRACTIONS = (
    ("i", "'m 'm|a"),
    ("i you he she it we they", "'ll 'll|'ve 'd 'd|'ve"),
    ("i you we they", "'ve"),
    ("you we they", "'re"),
    ("he she it", "'s"),
    ("who what when where why how there that this these those", "'ll 'll|'ve 'd 'd|'ve"),
    ("who what when where why how there that this", "'s"),
    ("who what when where why how there these those", "'re 've"),
    ("ca could do does did had may might must need ought sha should wo would", "n't n't|'ve"),
    ("could might must should would", "'ve"),
    ("ai are is was were have has dare", "n't"),
)
"""Words, and what may be joined to each, one after another."""

PARTED = (
    "y'|all y|all how|'d|'y How|'d|'y not|'ve not|ve Not|'ve Not|ve can|not Can|not gon|na Gon|na got|ta Got|ta "
    "let|'s Let|'s c'm|on C'm|on °|c|. °|f|. °|k|. °|C|. °|F|. °|K|."
)

NOT_PARTED = "Ill ill Its its Hell hell Shell shell Shed shed were Were Well well Whore whore"
"""Would be contractions without their apostrophe (she'll), and are words."""


ADDRESSEE = r"(?:[\w+\-.]{2,}://)?(?:\S+@)?"
"""What may stand before a host: a scheme, a user with or without a password."""


def special_cases() -> dict[str, tuple[str, ...]]:
    """Chunk -> its pieces, for all that the general rules would cut otherwise."""
    whole = [*EMOTICONS.split(), *WHOLE.split(), *(f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyz")]
    for word in ("doin", "goin", "nothin", "nuthin", "ol", "somethin"):
        whole += [word, word.title(), f"{word}'", f"{word.title()}'"]
    cases: dict[str, tuple[str, ...]] = {orth: (orth,) for orth in whole}
    contracted = ["".join(parts) for parts in _contractions()]
    cases.update(zip(contracted, _contractions(), strict=True))
    cases.update((parts.replace("|", ""), tuple(parts.split("|"))) for parts in PARTED.split())
    for hour in range(1, 13):
        cases.update((f"{hour}{half}", (str(hour), half)) for half in ("a.m.", "am", "p.m.", "pm"))
    cases.update((_curled(orth), tuple(map(_curled, parts))) for orth, parts in list(cases.items()))
    not_parted = NOT_PARTED.split()
    return {orth: parts for orth, parts in cases.items() if orth not in not_parted}


def _curled(text: str) -> str:
    return text.replace("'", "’")


def _contractions() -> Iterator[tuple[str, ...]]:
    """Pronouns and verbs with what is joined to them, with and without apostrophes."""
    for word, ends in _joined():
        for orth in (word, word.title()):
            for end in ends.split():
                yield (orth, *end.split("|"))
                yield (orth, *end.replace("'", "").split("|"))


def _joined() -> Iterator[tuple[str, str]]:
    for words, ends in CONTRACTIONS:
        for word in words.split():
            yield word, ends


def lower_letters() -> frozenset[str]:
    """Small letters, and the letters of scripts without case."""
    return frozenset(_lower()) | _uncased()


def upper_letters() -> frozenset[str]:
    """Capital letters, and the letters of scripts without case."""
    return frozenset(_upper()) | _uncased()


def symbols() -> frozenset[str]:
    """Pictures, dingbats and the like: category So of Unicode 11."""
    newer = set(_characters(_spans(NEWER_SYMBOLS)))
    every = map(chr, range(0xA0, 0x1FBFF))
    return frozenset(sign for sign in every if unicodedata.category(sign) == "So" and sign not in newer)


def infix_pattern() -> str:
    """Where a word is cut in its middle: dots, symbols, signs between numbers, hyphens between letters."""
    uncased = "".join(f"{chr(first)}-{chr(last)}" for first, last in _spans(UNCASED_BLOCKS))
    lower, upper = _class(_lower()) + uncased, _class(_upper()) + uncased
    letters = _class([*_lower(), *_upper(), *"\u01bb\u01c5\u01c8\u01cb\u01f2"]) + uncased
    quotes = re.escape(QUOTES)
    signs = _class(symbols())
    return (
        rf"(?=[.…+\-*^,–—~:<>=/{signs}])(?:"  # for speed: looking behind is slow
        rf"\.\.+|…|[{signs}]|(?<=[0-9])[+\-\*^](?=[0-9-])|(?<=[{lower}{quotes}])\.(?=[{upper}{quotes}])|"
        rf"(?<=[{letters}]),(?=[{letters}])|(?<=[{letters}0-9])(?:-|–|—|--|---|——|~)(?=[{letters}])|"
        rf"(?<=[{letters}0-9])[:<>=/](?=[{letters}]))"
    )


def host_pattern() -> str:
    """Web addresses without a scheme, which are never cut."""
    uncased = "".join(f"{chr(first)}-{chr(last)}" for first, last in _spans(UNCASED_BLOCKS))
    label = "A-Za-z0-9\u00a1-\uffff"
    octet = r"(?:\.(?:1?\d{1,2}|2[0-4]\d|25[0-5]))"
    return (
        r"(?:(?!(?:10|127)(?:\.\d{1,3}){3})(?!(?:169\.254|192\.168)(?:\.\d{1,3}){2})"
        r"(?!172\.(?:1[6-9]|2\d|3[0-1])(?:\.\d{1,3}){2})(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])"
        rf"{octet}{{2}}(?:\.(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]))|"
        rf"(?:(?:[{label}][{label}_-]{{0,62}})?[{label}]\.)+(?:[{_class(_lower())}{uncased}]{{2,63}}))"
        r"(?::\d{2,5})?(?:[/?#]\S*)?\Z"
    )


def _spans(blocks: str) -> Iterator[tuple[int, int]]:
    for block in blocks.split():
        first, last = block.split("-")
        yield int(first, 16), int(last, 16)


def _characters(spans: Iterable[tuple[int, int]]) -> Iterator[str]:
    for first, last in spans:
        yield from map(chr, range(first, last + 1))


def _cased() -> Iterator[str]:
    return _characters((ord(block[0]), ord(block[-1])) for block in CASED_BLOCKS.split())


def _lower() -> list[str]:
    return [*(letter for letter in _cased() if letter.islower()), "\u0294"]


def _upper() -> list[str]:
    return [letter for letter in _cased() if letter.isupper()]


@cache
def _uncased() -> frozenset[str]:
    return frozenset(_characters(_spans(UNCASED_BLOCKS)))


def _class(letters: Iterable[str]) -> str:
    """Inside of a character class of ``re`` that holds these letters."""
    spans: list[list[int]] = []
    for code in sorted(map(ord, letters)):
        if spans and spans[-1][1] == code - 1:
            spans[-1][1] = code
        else:
            spans.append([code, code])
    return "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in spans)
