import pytest

from hftrain.corpus.scrubbing import PLACEHOLDERS, scrub


@pytest.mark.parametrize(
    ("kind", "text", "scrubbed"),
    [
        ("email", "Write to ann.lee+x@mail.uni.ac.uk.", "Write to <EMAIL>."),
        ("email", "Ann <ann@iki.fi> wrote it.", "Ann <<EMAIL>> wrote it."),
        ("phone", "Call 541-499-8862 now.", "Call <PHONE> now."),
        ("phone", "Call (941) 590-7263 now.", "Call <PHONE> now."),
        ("phone", "From +46 (0)8 928 571 38 or +1-984-182-0190.", "From <PHONE> or <PHONE>."),
        ("phone", "Tel: 0871 527 8802 *", "Tel: <PHONE> *"),
        ("phone", "Phone: 467 3395, please call me on 01.84.17.61.18", "Phone: <PHONE>, please call me on <PHONE>"),
        ("phone", "0688 872 49 99 fax", "<PHONE> fax"),
        ("ip", "client 165.165.185.178 was blocked", "client <IP> was blocked"),
        ("ip", "host 9.9.9.9 answered", "host <IP> answered"),
        ("ip", "it is 2001:4860:4860:0:0:0:0:8888, or 2001:4860:4860:12::8888.", "it is <IP>, or <IP>."),
    ],
)
def test_personal_data_becomes_a_placeholder_and_is_counted(kind: str, text: str, scrubbed: str) -> None:
    result, found = scrub(text, list(PLACEHOLDERS))
    assert result == scrubbed
    assert found == {kind: scrubbed.count(PLACEHOLDERS[kind])}


@pytest.mark.parametrize(
    "text",
    [
        "Needs version 104.2.3.4 or v1.2.3.4, see section 3.12.5.1 and torch>=2.13.0.1.",
        "The tuple 1.2.3.4 is no address.",
        "Listen on 127.0.0.1, 0.0.0.0, 192.168.1.20 or 203.0.113.9.",
        "Slices a[1:2:3], std::vector, aten::add::out, 12:30:45, ::1 and fe80::1.",
        "On 2020-01-01 12:00, phone 2020-01-01, arXiv:2112.11446, doi 10.1000/182.",
        "ISBN 978-3-16-148410-0, 100-200-3000, 1e10, 3.14159265358979, 1234567890123.",
        "The product a@b.shape and q@k.T, the decorator @torch.no_grad.",
        "git@github.com:ann/tales.git and user@example.com are nobody's.",
        "Add 555 1234567 to 20000000.",
    ],
)
def test_versions_dates_code_and_reserved_names_stay(text: str) -> None:
    assert scrub(text, list(PLACEHOLDERS)) == (text, {})


def test_only_the_kinds_asked_for_are_scrubbed() -> None:
    text = "ann@iki.fi, 541-499-8862"
    assert scrub(text, ["phone"]) == ("ann@iki.fi, <PHONE>", {"phone": 1})
    assert scrub(text, []) == (text, {})
