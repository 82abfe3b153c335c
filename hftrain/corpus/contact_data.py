"""E-mail addresses, phone numbers, and the addresses of machines, IP and MAC.

Precision comes first, for two reasons: technical text is full of numbers with dots and dashes, and
a placeholder in the wrong place damages a good sentence. So a bare run of digits is a phone number
only where a word says so, and ``1.2.3.4`` is a version until a word says otherwise.
"""

import ipaddress
import re
from collections.abc import Iterator

from hftrain.corpus.personal_data import SearchedText, Span

COUNTRY_DOMAINS = frozenset(
    re.findall(
        "[a-z]+",
        "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca "
        "cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo "
        "fr ga gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je "
        "jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo "
        "mp mq mr ms mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt "
        "pw py qa re ro rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk "
        "tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw",
    )
)
LONG_DOMAINS = frozenset(
    re.findall(
        "[a-z]+",
        "com org net edu gov mil int info biz name pro coop jobs mobi travel tel asia cat aero museum post dev app "
        "email online cloud xyz site tech store shop blog club live life world today agency company digital network "
        "team work space website academy berlin london paris amsterdam hamburg koeln wien nyc tokyo swiss bayern scot",
    )
)
"""Top-level domains. Source: IANA root zone; of the long ones those in common use, since ``x@y.shape`` is code."""

EMAIL_NAME = re.compile(r"(?<![\w.%+-])[\w%+-](?:[\w.%+'-]{0,62}[\w%+])?$")
EMAIL_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,5}[A-Za-z]{2,9}(?![\w(-]|\.\w|::)")
ANGLE_EMAIL = re.compile(r"<(?P<email>[\w.%+-]{1,64} at [\w.-]{1,64}\.[A-Za-z]{2,9})>")
SIGNS_AT = ("[at]", "(at)", "[AT]", "(AT)")
ANY_SIGN_AT = (re.compile(r"\[(?:at|AT)\]"), re.compile(r"\((?:at|AT)\)"))
"""Two patterns, since one that begins with a single character is sought several times as fast."""
SIGN_EMAIL = re.compile(
    r"(?<![\w.%+-])(?P<email>[\w.%+-]{1,64} ?[\[({<](?:at|AT)[\])}>] ?[\w-]{1,63}"
    r"(?:(?:\.| ?[\[({<](?:dot|DOT)[\])}>] ?)[\w-]{1,63}){1,4})(?!\w)"
)
WORDS_DOT = (" dot ", " DOT ")
WORD_EMAIL = re.compile(
    r"(?<![\w.%+-])(?P<email>(?:[\w.%+-]{1,30} (?:dot|DOT) )?[\w.%+-]{1,64} (?:at|AT) [\w-]{1,63}"
    r"(?: (?:dot|DOT) [\w-]{1,63}){1,3})(?!\w)"
)
SPELLED_CHARS = 140
SPELLED_AT = re.compile(r" ?[\[({<](?:at|AT)[\])}>] ?| (?:at|AT) ")
SPELLED_DOT = re.compile(r" ?[\[({<](?:dot|DOT)[\])}>] ?| (?:dot|DOT) ")
IN_LINK = re.compile(r"://(?:\S*/)?$")
IN_MESSAGE_ID = re.compile(r"(?:message-id:\s*<?|\bmid:|\bnews:|\bmsgid=|/msg/)$", re.IGNORECASE)

NOBODYS_DOMAIN = re.compile(r"(.*\.)?example(\.com|\.org|\.net)?$|users\.noreply\.github\.com$", re.IGNORECASE)
NOBODYS_NAMES = frozenset({"git", "svn", "hg", "noreply", "no-reply", "donotreply"})
"""``git@github.com`` is a way to write a repository's address. Example domains: RFC 2606."""

PHONE_DIGITS = range(7, 16)
"""E.164 allows 15; local numbers have at least 7."""

PHONE = re.compile(
    r"(?<![\w+.-])(?:\+|\(\+)[1-9]\d{0,2}\)?(?:[ .\u00a0\u2011-]?\(?\d{1,4}\)?){2,6}(?:x\d{1,6})?(?![\w-])"
    r"|(?<![\w+./-])(?:00\d{1,3}[ .-]|1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-. \u00a0\u2011])\d{3}[-. \u00a0\u2011]\d{4}"
    r"(?:x\d{1,6}| ?ext\.? ?\d{1,6})?(?![\w-]|\.\d)"
    r"|(?<![\w+./(-])0[1-9]([ .])\d\d\1\d\d\1\d\d\1\d\d(?![\w-]|[ .]\d)"  # France
    r"|(?<![\w+./-])(?:\(?020\)? \d{4} \d{4}|\(?01\d1\)? \d{3} \d{4}|\(?01\d{3}\)? \d{5,6}|07\d{3} \d{3} ?\d{3})"  # UK
    r"(?![\w-]|[ .]\d)"
)
ANY_PHONE = re.compile(r"(?:\[\d{1,4}\] ?)?[+(\d][\d ()./\u00a0\u2011-]{5,20}\d(?:x\d{1,6})?(?!\d)")
SAID_BEFORE = re.compile(
    r"\b(?:phone|telephone|telefon|t[ée]l[ée]phone|tel[ée]fono|telefone|t[ée]l|fax|telefax|mobile|mob|m[óo]vil|cell"
    r"|cellphone|celular|cellulare|landline|hotline|helpline|pager|desk|whatsapp|viber|sms|answering at|messages to"
    r"|(?:call|reach(?:ed)?|ring|text|contact(?:ed)?|dial|phone)(?: (?:me|us|him|her|them|back)){0,2} (?:on|at)|dial"
    r"|(?:call|ring|text|phone|contact) (?:me|us|him|her|them)|contact(?= n)|toll[- ]free"
    r"|(?:my|our|your|his|her|their)(?= number))\b"
    r"(?: (?:number|no|nr|is|was)\b){0,2}[\s:.#=]{1,4}$",
    re.IGNORECASE,
)
SAID_BEFORE_CHARS = 48
NEVER_BEFORE = re.compile(r"[\w.+(-]$")
SAID_AFTER = re.compile(
    r"[ -]\(?(?:(?:fax|mobile|cell)\b|(?:office|home|work|direct|landline)\b\)?\s*(?=[\\,;|\n]|$))",
    re.IGNORECASE,
)
DATE = re.compile(r"\d{4}[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[-./]\d{1,2}[-./]\d{4}(?!\d)|[12]\d{3} ?- ?[12]\d{3}$")
"""Also two years with a dash between them."""
HAS_SIGN = re.compile(r"[ .\u00a0\u2011()-]")

IPV4 = re.compile(r"(?<![\w.+-])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w-]|\.\d)")
IPV4_MIDDLE = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}|:){1,7}(?![\w:])")
IPV6_MIDDLE = re.compile(r":[0-9A-Fa-f]{1,4}:")
IP_CHARS = 45
"""More than the longest address."""
PREFIX_LENGTH = re.compile(r"/[0-9]{1,3}\b")
SAYS_VERSION = re.compile(r"(version|release|section|chapter|v|\bver\.?|[<>=~!]=?|§)\s*$", re.IGNORECASE)
SAYS_ADDRESS = re.compile(r"\b(ip|ipv4|address(es)?|host|server|gateway|dns|ping)\W{0,3}(\w+\W{1,3})?$", re.IGNORECASE)
VERSION_LIKE_BELOW = 100
"""Four numbers that all lie below this could be a version; an address has a larger one mostly."""

FEWEST_IPV6_GROUPS = 4
"""Shorter forms are met as slices, C++ names and times of day."""

MAC_MIDDLES = tuple(map(re.compile, (r":[0-9A-Fa-f]{2}:", r"-[0-9A-Fa-f]{2}-", r"\.[0-9A-Fa-f]{4}\.")))
MAC = re.compile(
    r"(?<![\w:.-])(?:[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}|[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4})"
    r"(?![\w-]|[:.]\w)"
)
SAYS_MAC = re.compile(r"\b(?:mac|ether|ethernet|hwaddr|hardware|bluetooth|bssid|wi-?fi|physical)\b", re.IGNORECASE)


def emails(searched: SearchedText) -> Iterator[Span]:
    """Addresses of persons: not those of example domains, of repositories, nor a list's within a link."""
    text = searched.text
    at = text.find("@")
    while at >= 0:
        domain = EMAIL_DOMAIN.match(text, at + 1)
        name = EMAIL_NAME.search(text, max(at - 65, 0), at) if domain else None
        if name and domain and _is_somebodys(name[0], domain[0]) and not _is_in_link(text, name.start()):
            yield name.start(), domain.end()
        at = text.find("@", at + 1)
    for match in _spelled_emails(text):
        name_spelled, domain_spelled = SPELLED_AT.split(match["email"], maxsplit=1)
        if _is_somebodys(name_spelled, SPELLED_DOT.sub(".", domain_spelled)):
            yield match.span("email")


def _spelled_emails(text: str) -> Iterator[re.Match[str]]:
    """What may be an address written as ``<ann at iki.fi>``, ``ann [at] iki.fi`` or ``ann at iki dot fi``."""
    yield from ANGLE_EMAIL.finditer(text)
    signs_at = SIGNS_AT if any(sign.search(text) for sign in ANY_SIGN_AT) else ()
    for signs, pattern in ((signs_at, SIGN_EMAIL), (WORDS_DOT, WORD_EMAIL)):
        for sign in signs:
            start = text.find(sign)
            while start >= 0:
                end = start + len(sign)
                for match in pattern.finditer(text, max(start - SPELLED_CHARS, 0), end + SPELLED_CHARS):
                    if match.start() < start < match.end():
                        end = match.end()
                        yield match
                start = text.find(sign, end)


def _is_somebodys(name: str, domain: str) -> bool:
    host, _, last = domain.rpartition(".")
    if last != last.lower() and last != last.upper():
        return False  # x@w.mT is a product of matrices
    if last.lower() not in (COUNTRY_DOMAINS if len(last) == 2 else LONG_DOMAINS):
        return False
    if len(name) == 1 and len(host) == 1:
        return False
    return not NOBODYS_DOMAIN.match(domain) and name.lower() not in NOBODYS_NAMES


def _is_in_link(text: str, start: int) -> bool:
    before = text[max(start - 200, 0) : start]
    return bool(IN_LINK.search(before) or IN_MESSAGE_ID.search(before))


def phones(searched: SearchedText) -> Iterator[Span]:
    """Numbers in a form that only phone numbers have, and any that a word says to be one."""
    text = searched.text
    for match in searched.near_numbers(PHONE):
        number = _within_brackets(match[0])
        is_bracketed = "(" in text[max(match.start() - 1, 0) : match.start() + 1]
        is_argument = is_bracketed and not HAS_SIGN.search(number.strip("(+)"))
        if _is_phone(number) and not is_argument:
            yield match.start(), match.start() + len(number)
    for match in searched.near_numbers(ANY_PHONE):
        start, end = match.span()
        is_said = SAID_BEFORE.search(text, max(start - SAID_BEFORE_CHARS, 0), start)
        if is_said or (SAID_AFTER.match(text, end) and not NEVER_BEFORE.search(text, max(start - 1, 0), start)):
            start += text[start] == "(" and ")" not in match[0]
            if _is_phone(text[start:end]):
                yield start, end


def _within_brackets(number: str) -> str:
    """The number itself: what follows a whole one in brackets, or goes past the longest, is another."""
    if number.startswith("(+") and _digits(number.partition(")")[0]) in PHONE_DIGITS:
        return number.partition(")")[0] + ")"
    while _digits(number) >= PHONE_DIGITS.stop and (signs := list(HAS_SIGN.finditer(number))):
        number = number[: signs[-1].start()]
    return number


def _digits(number: str) -> int:
    return sum(map(str.isdigit, number.partition("x")[0]))


def _is_phone(number: str) -> bool:
    return _digits(number) in PHONE_DIGITS and not DATE.match(number)


def ips(searched: SearchedText) -> Iterator[Span]:
    """Addresses of machines out there, of version 4 and 6; no networks."""
    text = searched.text
    for trigger, pattern in ((IPV4_MIDDLE, IPV4), (IPV6_MIDDLE, IPV6)):
        end = 0
        for middle in trigger.finditer(text):
            match = pattern.search(text, max(middle.start() - IP_CHARS, end), middle.end() + IP_CHARS)
            if match and match.start() < middle.end():
                end = match.end()
                before = text[max(0, match.start() - 24) : match.start()]
                if _is_a_hosts_address(match[0], before) and not _is_a_network(text, *match.span()):
                    yield match.span()


def _is_a_hosts_address(candidate: str, before: str) -> bool:
    """Whether this names a machine out there: not a version, nor a private or reserved address."""
    try:
        address = ipaddress.ip_address(candidate)
    except ValueError:
        return False
    if not address.is_global or address.is_multicast or SAYS_VERSION.search(before):
        return False
    if address.version == 6:
        return sum(map(bool, candidate.split(":"))) >= FEWEST_IPV6_GROUPS
    is_version_like = all(int(part) < VERSION_LIKE_BELOW for part in candidate.split("."))
    return not is_version_like or SAYS_ADDRESS.search(before) is not None


def _is_a_network(text: str, start: int, end: int) -> bool:
    """Whether a prefix length follows that leaves nothing of the address for the machine."""
    prefix = PREFIX_LENGTH.match(text, end)
    if not prefix:
        return False
    try:
        ipaddress.ip_network(text[start : prefix.end()])
    except ValueError:
        return False
    return True


def mac_addresses(searched: SearchedText) -> Iterator[Span]:
    """Network cards: of digits alone, or with dots, only where a word says so; no multicast, no zeros."""
    text = searched.text
    for middle_sign in MAC_MIDDLES:
        end = 0
        for middle in middle_sign.finditer(text):
            match = MAC.search(text, max(middle.start() - 4, end), middle.end() + 16)
            if match:
                end = match.end()
                if _is_a_network_card(match, searched):
                    yield match.span()


def _is_a_network_card(match: re.Match[str], searched: SearchedText) -> bool:
    number = re.sub("[^0-9a-f]", "", match[0].lower())
    is_telling = match[1] is not None and not number.isdigit() and not number.isalpha()
    is_multicast = int(number[:2], 16) & 1
    return not is_multicast and int(number, 16) > 0 and (is_telling or searched.is_said(SAYS_MAC, *match.span()))
