"""Going on from a model that is there already: a finished artifact, any local folder, or the Hub at one revision.

    runs/tiny/base              a folder that transformers opens, with the model's own tokenizer
    hub:owner/name@REVISION     a model of the Hugging Face Hub at a fixed commit

Checking a configuration must be light: torch and transformers are imported where a model is loaded.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from hftrain.errors import ArtifactError, ConfigError
from hftrain.files import digest_file, digest_value
from hftrain.runtime import rank_zero_first

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

HUB = "hub:"
HUB_ENTRY = re.compile(r"hub:(?P<repo>[\w.-]+(/[\w.-]+)?)@(?P<revision>[0-9a-f]{40})")
READ = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""What is read of a model: weights that are no pickle, configurations, and a tokenizer's files."""

VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "tokenizer.model", "spiece.model")
"""One of them holds a tokenizer's vocabulary; without any, AutoTokenizer makes an empty one."""


def problems_of_base(entry: str) -> list[str]:
    """What is wrong with the entry of a base, each as a full sentence."""
    needed = f"Needed: a model's folder, or {HUB}owner/name@REVISION with the 40 hex digits of a commit."
    if entry.startswith(HUB):
        return [] if HUB_ENTRY.fullmatch(entry) else [f"base: {entry!r} is not a fixed model. {needed} Mend the entry."]
    folder = Path(entry)
    if not folder.is_dir():
        return [f"base: {entry} is not a folder (looked in {Path.cwd()}). {needed} Mend the path."]
    if not (folder / "config.json").is_file():
        return [f"base: {entry} holds no config.json. {needed} Name another folder."]
    if not any(folder.glob("*.safetensors")):
        return [f"base: {entry} holds no *.safetensors. Weights in a pickle are not read. Save it with safetensors."]
    if not _has_vocabulary(folder):
        return [f"base: {entry} holds no tokenizer. One of {', '.join(VOCABULARIES)} is needed. Put it there."]
    return []


def outside_of_base(entry: str) -> dict[str, str]:
    """What the entry stands for today: its name -> digest of the files that are read, or the revision."""
    if entry.startswith(HUB):
        return {entry.partition("@")[0]: entry.partition("@")[2]}
    folder = Path(entry)
    files = sorted({path for pattern in READ for path in folder.glob(pattern)} - _records(folder))
    name = Path(*folder.parts[1:][-2:]).as_posix() if folder.is_absolute() else folder.as_posix()
    return {name: digest_value([[path.name, digest_file(path)] for path in files])}


def load_base(
    entry: str, *, objective: str = "next_token", row_tokens: int | None = None
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """The model of an entry in fp32 on this process's device, and its own tokenizer, made to serve our rows.

    Raises:
        ConfigError: Rows are longer than the model's context.
        ArtifactError: There is no such model or tokenizer, or the Hub cannot be reached.
    """
    from hftrain.models.loading import context_tokens, load_causal_lm, load_masked_lm
    from hftrain.tokens.chat import open_tokenizer

    folder = _folder_of(entry)
    masked = objective == "masked_words"
    model = load_masked_lm(folder) if masked else load_causal_lm(folder)
    if not _has_vocabulary(folder):
        raise ArtifactError(f"{entry}: holds no tokenizer. One of {', '.join(VOCABULARIES)} is needed. Put it there.")
    tokenizer = open_tokenizer(folder)
    if not tokenizer.is_fast:
        raise ArtifactError(f"{entry}: its tokenizer has no tokenizer.json, nor the files to make one. Add it.")
    context = context_tokens(model)
    if row_tokens is not None and context is not None and row_tokens > context:
        raise ConfigError(
            f"pretrain.row_tokens: {row_tokens}, but the base has a context of {context}. Rows at most as long are "
            "needed. Lower it."
        )
    _check_table(tokenizer, model, entry)
    adopt(tokenizer, model, needs_mask=masked)
    _check_reloads(tokenizer, model)
    # The name is where it was loaded from: two machines would write two configurations.
    model.name_or_path = tokenizer.name_or_path = ""
    return model.train(), tokenizer


def adopt(tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", *, needs_mask: bool = False) -> None:
    """Give a tokenizer the special tokens and the chat template that rows and conversations are made with.

    Tokens that it has keep their ids. For each new one the model's table gets a row: the end of text that of the
    model's own end token, the others the mean of all. Nothing changes where everything is there.
    """
    from hftrain.models.masks import with_mask_token
    from hftrain.tokens.chat import CHAT_TEMPLATE, END_OF_TEXT, END_OF_TURN, PAD, SPECIAL_TOKENS

    known = set(tokenizer.get_vocab())
    own_end = tokenizer.eos_token_id
    tokenizer.add_special_tokens(
        {
            "pad_token": PAD,
            "eos_token": END_OF_TURN,
            "additional_special_tokens": [token for token in SPECIAL_TOKENS if token not in (PAD, END_OF_TURN)],
        },
        replace_extra_special_tokens=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    if needs_mask:
        with_mask_token(tokenizer)
    new = {token: index for token, index in tokenizer.get_vocab().items() if token not in known}
    _give_rows(model, sorted(new.values()), own_end, end_of_text=new.get(END_OF_TEXT))
    model.config.pad_token_id = tokenizer.pad_token_id
    model.config.eos_token_id = tokenizer.eos_token_id
    model.config.bos_token_id = tokenizer.convert_tokens_to_ids(END_OF_TEXT)


def _give_rows(model: "PreTrainedModel", new: list[int], own_end: int | None, *, end_of_text: int | None) -> None:
    """Set the rows of new tokens in the tables of inputs and outputs, and in the bias of outputs."""
    import torch

    if not new:
        return
    before = model.get_input_embeddings().weight.shape[0]
    if max(new) >= before:
        model.resize_token_embeddings(max(new) + 1, mean_resizing=False)
    learned = torch.tensor([index for index in range(before) if index not in set(new)])
    output = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, output.weight if output is not None else None]
    tables.append(getattr(output, "bias", None))
    with torch.no_grad():
        for table in {id(each): each for each in tables if each is not None}.values():
            mean, rows = table[learned].mean(dim=0), table
            rows[new] = mean
            if end_of_text is not None and own_end is not None:
                rows[end_of_text] = table[own_end]


def _check_table(tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel", entry: str) -> None:
    """Refuse a tokenizer that gives ids which the model has no rows for."""
    highest, rows = max(tokenizer.get_vocab().values(), default=-1), model.get_input_embeddings().weight.shape[0]
    if not 0 <= highest < rows:
        raise ArtifactError(
            f"{entry}: its tokenizer gives ids up to {highest:,}, but the model's table has {rows:,} rows. One row for "
            "each token is needed. Put the model's own tokenizer there."
        )


def _check_reloads(tokenizer: "PreTrainedTokenizerFast", model: "PreTrainedModel") -> None:
    """Find out before the training, not after it, that AutoTokenizer would load the tokenizer differently."""
    import tempfile

    from hftrain.models.loading import probes_that_return
    from hftrain.tokens.vocabulary import check_saved, save_tokenizer

    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        save_tokenizer(tokenizer, Path(folder))
        check_saved(tokenizer, Path(folder), probes_that_return(tokenizer))


def _folder_of(entry: str) -> Path:
    """Where the entry's files lie; a model of the Hub is fetched by rank 0 and kept in the Hub's cache."""
    found = HUB_ENTRY.fullmatch(entry)
    if found is None:
        return Path(entry)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        with rank_zero_first():
            return Path(snapshot_download(found["repo"], revision=found["revision"], allow_patterns=list(READ)))
    except (OSError, HfHubHTTPError) as problem:
        raise ArtifactError(
            f"{entry}: cannot be fetched: {problem}. The Hub, or a copy in its cache, is needed. Connect once, or name "
            "a folder."
        ) from problem


def _has_vocabulary(folder: Path) -> bool:
    return any((folder / name).is_file() for name in VOCABULARIES)


def _records(folder: Path) -> set[Path]:
    """What of an artifact of ours says how it was made, and is not read with the model."""
    from hftrain.manifests import NOT_CONTENT

    return {folder / name for name in (*NOT_CONTENT, "summary.json")}
