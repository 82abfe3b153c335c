"""The words of a card: how it was made, from what, what was measured, and where it ends. Markdown, escaped."""

import re
from collections.abc import Iterator, Sequence

import yaml

from hftrain.corpus.licenses import UNKNOWN
from hftrain.export.model_card_facts import CORPUS, EXPORT, Facts, Link
from hftrain.export.model_card_license import OTHER, CardLicense
from hftrain.export.model_card_markdown import code, table, text
from hftrain.export.model_card_results import results

STAGES = {
    "collect": "text and conversations were gathered",
    "curate": "rules dropped documents and cut lines; a part was held out",
    "train_tokenizer": "a byte-level BPE tokenizer was learned",
    "pretrain": "a causal language model was trained on the text",
    "sft": "it was fine-tuned on conversations, on their answers alone",
    "collect_preferences": "its answers were ranked",
    "reward_model": "a reward model was trained on better and worse answers",
    "ppo": "the chat model was optimized against the reward model by PPO",
    "dpo": "the chat model was optimized on preferences by DPO",
    "kto": "the chat model was optimized on judged answers by KTO",
    "grpo": "the chat model was optimized against rewards by GRPO",
    "rloo": "the chat model was optimized against rewards by RLOO",
    "best_of_n": "the chat model was tuned on the best of several answers",
    "distill": "a smaller model was distilled from the policy",
    "export": "the policy was written in the formats that other programs load",
}
"""What each stage does, in a line of the table."""


def body(facts: Facts, licence: CardLicense, title: str) -> str:
    """Everything below the metadata."""
    parts = [
        f"# {text(title)}",
        _opening(facts),
        "## How to use\n\n" + _use(facts),
        "## How it was made\n\n" + "\n\n".join(_making(facts)),
        "## Data\n\n" + "\n\n".join(_data(facts, licence)),
        *(["## Results\n\n" + "\n\n".join(results(facts))] if facts.is_model else []),
        "## Limits\n\n" + "\n".join(f"- {line}" for line in _limits(facts)),
        "## Settings\n\n" + _settings(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(facts: Facts) -> str:
    noun = {"tokenizer": "A tokenizer", "reward": "A reward model", EXPORT: "A language model"}.get(
        facts.kind, "A language model" if facts.is_model else "Rows"
    )
    size = _parameters(facts)
    sized = f" of {size:,} parameters" if size else ""
    form = f", in the format `{facts.format}`" if facts.format else ""
    manifest = facts.own.manifest
    versions = manifest["packages"]
    return (
        f"{noun}{sized}{form}, made with [hftrain](https://pypi.org/project/hftrain/) {versions.get('hftrain', '')}: "
        f"the `{code(facts.own.name)}` of a run, finished on {manifest['finished'][:10]} (UTC). This card is written "
        "from the manifests of that run."
    )


def _parameters(facts: Facts) -> int | None:
    known = [link.summary.get("parameters") for link in reversed(facts.chain)]
    return next((value for value in known if isinstance(value, int)), None) if facts.is_model else None


def _use(facts: Facts) -> str:
    gguf = sorted(path.name for path in facts.folder.glob("*.gguf"))
    if gguf:
        return f"```sh\nllama-cli -m {gguf[0]} -cnv\n```"
    if facts.kind == EXPORT and facts.format is None:
        formats = ", ".join(f"`{code(path.name)}/`" for path in sorted(facts.folder.iterdir()) if path.is_dir())
        return f"One folder a format: {formats}."
    if facts.kind == "tokenizer":
        return _python('AutoTokenizer.from_pretrained("OWNER/NAME")', "AutoTokenizer")
    if facts.kind == "reward":
        return _python('AutoModelForSequenceClassification.from_pretrained("OWNER/NAME")',
                       "AutoModelForSequenceClassification")  # fmt: skip
    if facts.is_model:
        return _python(
            'pipeline("text-generation", model="OWNER/NAME")([{"role": "user", "content": "Hello!"}])', "pipeline"
        )
    call = 'folder = snapshot_download("OWNER/NAME", repo_type="dataset")'
    return (
        f"```python\nfrom huggingface_hub import snapshot_download\n\n{call}\n```\n\n"
        "Each folder in it opens with `datasets.load_from_disk`."
    )


def _python(call: str, name: str) -> str:
    return f"```python\nfrom transformers import {name}\n\n{call}\n```"


def _making(facts: Facts) -> Iterator[str]:
    yield "Each line reads what lines above it made; the digits begin a digest over all files of the folder."
    rows = [
        (
            f"`{code(link.name)}`",
            STAGES.get(str(link.manifest["stage"]), f"made by `{code(link.manifest['stage'])}`"),
            ", ".join(f"`{code(name)}`" for name in link.manifest["inputs"]) or "outside",
            f"`{str(link.manifest['digest']).removeprefix('sha256:')[:10]}`",
            _minutes(link.manifest.get("seconds")),
        )
        for link in facts.chain
    ]
    yield table(("made", "how", "from", "digest", "time"), rows)
    yield _cost(facts.chain)
    yield _code_state(facts.own)


def _cost(chain: Sequence[Link]) -> str:
    seconds = [link.manifest.get("seconds") or 0 for link in chain]
    memory = [link.manifest.get("peak_memory_bytes") or 0 for link in chain]
    joules = [link.manifest.get("joules") or 0 for link in chain]
    host = chain[-1].manifest["host"]
    energy = f", {sum(joules):,.0f} joules of the processor" if joules and all(joules) else ""
    return (
        f"In all {_minutes(sum(seconds))}{energy}, at most {max(memory) / 2**20:,.0f} MiB of memory, on a machine of "
        f"{host.get('cores')} cores ({text(host.get('machine', ''))}, {text(host.get('system', ''))})."
    )


def _code_state(own: Link) -> str:
    made_by = own.manifest["code"]
    commit = (
        f" at commit `{code(made_by['commit'][:12])}`{' with changes' if made_by['dirty'] else ''}"
        if made_by.get("commit")
        else ""
    )
    names = ("torch", "transformers", "trl", "datasets", "tokenizers")
    versions = ", ".join(f"{name} {text(own.manifest['packages'][name])}" for name in names
                         if name in own.manifest["packages"])  # fmt: skip
    return f"Code: hftrain{commit}; {versions}. The same settings on the same machine give the same bytes."


def _data(facts: Facts, licence: CardLicense) -> Iterator[str]:
    if facts.sources:
        rows = [
            (
                text(row["name"]),
                f"{row.get('documents', 0):,}",
                f"{row.get('bytes', 0):,}",
                text(row.get("license") or UNKNOWN),
                text(str(row.get("version") or row.get("sha256") or "")[:19]),
            )
            for row in facts.sources
        ]
        yield table(("source", "documents", "bytes", "licence", "version or digest"), rows)
    yield from _curated(facts.of(CORPUS))
    outside = list(facts.outside())
    if outside:
        yield "Read besides, by later stages; nothing is known here of its licence:"
        yield table(("stage", "what", "version or digest"), [tuple(text(part[:60]) for part in row) for row in outside])
    yield _licences(licence)


def _curated(corpus: Link | None) -> Iterator[str]:
    if corpus is None:
        return
    summary = corpus.summary
    told = {name: value for name, value in summary.items() if isinstance(value, int)}
    if "documents_in" in told:
        yield (
            f"Of {told['documents_in']:,} documents {told.get('documents_kept', 0):,} were kept "
            f"({told.get('bytes_kept', 0):,} of {told.get('bytes_in', 0):,} bytes): "
            f"{told.get('documents_train', 0):,} to train on, {told.get('documents_heldout', 0):,} held out. "
            f"Of {told.get('conversations_in', 0):,} conversations, {told.get('conversations_train', 0):,} to train "
            f"on, {told.get('conversations_heldout', 0):,} held out. Personal data of known forms was replaced where "
            "it was found; what no rule knows stayed."
        )


def _licences(licence: CardLicense) -> str:
    listed = ", ".join(f"{text(name)} ({count})" for name, count in licence.counts.items())
    said = {
        UNKNOWN: "The licence is stated as unknown: something that was read names none.",
        OTHER: "The sources have several licences, or one that the Hub has no name for; each is listed above.",
    }.get(licence.id, f"The licence stated here is {licence.id}.")
    if licence.is_given:
        said = f"Whoever published this stated {licence.id}; it was not derived from these."
    asked = "".join(f" **{text(name)}** asks: {told}." for name, told in licence.conditions.items())
    return f"Licences by number of sources: {listed}. {said}{asked} Whether they bind a model is not settled."


def _limits(facts: Facts) -> Iterator[str]:
    size, base = _parameters(facts), facts.of("base")
    trained = base.summary.get("train_tokens") if base else None
    if size and trained:
        yield (
            f"It has {size:,} parameters; its base was trained on {trained:,} tokens. What it says reads like text and "
            "is not to be relied on: it knows what stood in its corpus, and makes up the rest."
        )
    if facts.languages:
        yield f"Language: {', '.join(map(text, facts.languages))}. Of others it has seen little or nothing."
    asked = {row["kind"] for row in facts.scores}
    if facts.is_model and facts.kind != "tokenizer":
        for kind, said in (
            ("safety", "Harmful requests, refusals and leaks were not measured."),
            ("bias", "Preferences between groups of people were not measured."),
            ("benchmark", "No benchmark was asked."),
        ):
            if kind not in asked:
                yield said
    if "safety" in asked:
        yield "Refusals are told by rules over English answers, toxicity by a model of words: both err."
    silent = sorted({row["test"] for row in facts.scores if row["chance"] is not None and not row["says"]})
    if silent:
        yield f"Within chance, or of too few items: {text(', '.join(silent))}."
    yield "One seed. Another seed moves small models by more than many of the intervals: they are over items alone."


def _settings(facts: Facts) -> str:
    said = {str(link.manifest["stage"]): link.manifest["config"] for link in facts.chain}
    written = yaml.safe_dump(said, sort_keys=False, allow_unicode=True, width=100)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", written)), default=0))
    return (
        "<details><summary>Every setting of every stage, defaults included</summary>\n\n"
        f"{fence}yaml\n{written}{fence}\n\n</details>"
    )


def _minutes(seconds: object) -> str:
    if not isinstance(seconds, int | float):
        return "–"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"
