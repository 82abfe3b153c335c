from hftrain.corpus.transcripts import transcript

WEB = """WEBVTT - an interview
Kind: captions

STYLE
::cue { color: red }

NOTE a remark
on two lines

intro
00:01.000 --> 00:04.000 align:start position:0%
<v Ann Lee>Never drink <i>liquid</i> nitrogen &amp; tea.</v>

00:00:04.500 --> 00:00:06.000
<v.loud Bob>It will perforate
<c.yellow>your</c> stomach.
"""

ROLLING = """WEBVTT

00:00:01.000 --> 00:00:02.000
so<00:00:01.100><c> this</c><00:00:01.500><c> is</c>

00:00:02.000 --> 00:00:02.010
so this is

00:00:02.010 --> 00:00:04.000
so this is
what<00:00:02.500><c> we do</c>

00:00:04.000 --> 00:00:04.010
what we do

00:00:09.000 --> 00:00:10.000
what we do
"""

SUBRIP = """1
00:00:01,000 --> 00:00:02,000
{\\an8}- Hello.
- <b>Hi!</b>

2
00:00:03,000 --> 00:00:04,000
The year was

3
00:00:05,000 --> 00:00:06,000
1984
4
00:00:07,000 --> 00:00:08,000
No.

5
00:00:09,000 --> 00:00:10,000
No.

6
00:00:11,000 --> 00:00:12,000
"""


def test_what_is_said_stays_with_who_says_it() -> None:
    assert transcript(WEB) == "Ann Lee: Never drink liquid nitrogen & tea.\nBob: It will perforate your stomach."


def test_automatic_captions_say_each_line_once() -> None:
    assert transcript(ROLLING) == "so this is\nwhat we do\nwhat we do"  # the last one after a pause


def test_subrip_keeps_voices_numbers_that_are_said_and_repeated_words() -> None:
    assert transcript(SUBRIP) == "- Hello.\n- Hi!\nThe year was\n1984\nNo.\nNo."


def test_line_ends_of_any_system_are_the_same() -> None:
    assert transcript(SUBRIP.replace("\n", "\r\n")) == transcript(SUBRIP)


def test_a_sign_that_is_no_tag_stays() -> None:
    assert transcript("WEBVTT\n\n00:01.000 --> 00:02.000\nI <3 you, 2 < 3 > 1\n") == "I <3 you, 2 < 3 > 1"


def test_a_text_without_cues_says_nothing() -> None:
    assert transcript("Once upon a time.\n\n1984\n") == ""
