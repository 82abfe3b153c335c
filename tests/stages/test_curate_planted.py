"""A folder with everything in it that should not be: nothing crashes, and nothing is lost uncounted."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import datasets
import pytest

from hftrain.artifacts import read_jsonl
from hftrain.corpus.settings import OverlapSettings
from hftrain.stages.collect import CollectConfig, collect
from hftrain.stages.curate import CurateConfig, curate

QUESTION = (
    "A farmer has seventeen sheep and nine goats, and sells all but four of the sheep to her neighbour; "
    "how many animals are left on the farm?"
)
EXCLUDED = (
    "The lamp of the north tower had been dark for eleven winters when Ilse climbed the last stair, and nobody in the "
    "village below would say aloud why the keeper's chair was still warm."
)
COMMON = "the of and to a that with have be in it is was for on as at by"
WORDS = Path(__file__).read_text().split() + COMMON.split() * 9
TINY_ROWS = 30_000


def essay(number: int) -> str:
    drawn = random.Random(number)
    words = [word for word in (drawn.choice(WORDS) for _ in range(150)) if word.isalpha()]
    return " ".join(words) + f" and this is the end of essay {number}."


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    texts = [essay(number) for number in range(60)]
    texts.append(f"{essay(100)}\n\n{QUESTION.upper().replace(', ', ' -- ')}\n\n{essay(101)}")
    texts.append(f"{essay(102)} {EXCLUDED} {essay(103)}")
    key = base64.encodebytes(b"openssh-key-v1\0" + random.Random(3).randbytes(300)).decode()
    texts.append(
        f"{essay(104)}\n-----BEGIN OPENSSH PRIVATE KEY-----\n{key}-----END OPENSSH PRIVATE KEY-----\n{essay(105)}"
    )
    texts += [texts[0].upper(), texts[1].replace("this is", "that was")]
    (folder / "essays.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts) + "not json\n")
    with (folder / "tiny.jsonl").open("w") as file:
        file.writelines(f'{{"text": "row {number}"}}\n' for number in range(TINY_ROWS))
    (folder / "nonsense.epub").write_bytes(random.Random(1).randbytes(5000))
    (folder / "cut.txt.gz").write_bytes(b"\x1f\x8b\x08\x00" + random.Random(2).randbytes(50))
    (folder / "invalid.jsonl").write_bytes(b'{"text": "caf\xe9"}\n' + json.dumps({"text": essay(106)}).encode() + b"\n")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (folder / "empty.txt").write_bytes(b"")
    with (folder / "one_line.txt").open("wb") as file:
        for _ in range(200):
            file.write(b"many words and no end " * 45_455)
    (tmp_path / "benchmark.jsonl").write_text(json.dumps({"question": QUESTION, "answer": "13"}) + "\n")
    (tmp_path / "excluded").mkdir()
    (tmp_path / "excluded" / "book.txt").write_text(f"Chapter one.\n\n{EXCLUDED}\n\nThe end of it.")
    return folder


def dropped(account: dict[str, Any]) -> dict[str, int]:
    return {rule: drop["documents"] for rule, drop in account["dropped"].items()}


@pytest.mark.slow
def test_what_should_not_be_in_is_out_and_counted(place: Path, tmp_path: Path) -> None:
    raw = collect(CollectConfig(seed=1, text=(str(place),), conversations=()), out=tmp_path / "run" / "raw")
    overlap = OverlapSettings(against=(str(tmp_path / "benchmark.jsonl"),), excluded=(str(tmp_path / "excluded"),))
    config = CurateConfig(seed=1, heldout_share=0.2, overlap=overlap)

    corpus = curate(config, raw=raw, out=tmp_path / "run" / "corpus")

    account = json.loads((corpus / "funnel.json").read_text())["documents"]
    assert dropped(account) == {
        "too_few_words": TINY_ROWS,
        "contaminated": 1,
        "excluded_text": 1,
        "exact_duplicate": 1,
        "near_duplicate": 1,
    }
    assert account["in"] == account["kept"] + sum(dropped(account).values()) == 66 + TINY_ROWS
    parts = [account["kept_bytes"], *(drop["bytes"] for drop in account["dropped"].values())]
    assert account["in_bytes"] == sum(parts)
    assert "SEVENTEEN SHEEP" in account["dropped"]["contaminated"]["examples"][0]["detail"]
    assert "lamp of the north tower" in account["dropped"]["excluded_text"]["examples"][0]["detail"]
    assert account["scrubbed"] == {"key": 1}
    kept = [text for split in ("train", "heldout") for text in datasets.load_from_disk(str(corpus / split))["text"]]
    assert not any("b3BlbnNzaC1" in text for text in kept) and any("<KEY>" in text for text in kept)

    sources = {Path(row["name"]).name: row for row in read_jsonl(raw / "sources.jsonl")}
    for name in ("nonsense.epub", "cut.txt.gz", "binary.txt", "one_line.txt"):
        assert sources[name]["documents"] == 0 and sources[name]["unreadable"], name
    assert sources["essays.jsonl"]["broken"] == sources["invalid.jsonl"]["broken"] == 1
    assert sources["invalid.jsonl"]["documents"] == 1
    assert sum(row["documents"] for row in sources.values()) == account["in"]
