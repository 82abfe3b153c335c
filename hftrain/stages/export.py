"""Write a model in several formats and say of each what it costs and what it loses."""

from dataclasses import dataclass
from pathlib import Path

from hftrain.artifacts import read_manifest, record_measured, stage, write_json
from hftrain.config import StageConfig
from hftrain.runtime import log


@dataclass(frozen=True, kw_only=True)
class ExportConfig(StageConfig):
    """How a model leaves the run, and what its formats are compared on."""

    formats: tuple[str, ...] = ("safetensors", "bnb-int8", "bnb-nf4", "gguf-f16", "gguf-q8_0", "gguf-q4_0")
    """Folders to write, one each. Also known: safetensors-bf16, safetensors-fp16, onnx-fp32, onnx-int8, torchao-int8,
    torchao-int4, lora. The gguf formats need the extra ``gguf``, as llama.cpp proves them, the others ``onnx`` and
    ``torchao``; lora wants a model that was trained with an adapter."""

    text_bytes: int = 8192
    """Held-out text on which bits per byte are measured, the same for every format."""

    prompt_count: int = 8
    """Held-out conversations that every format answers greedily."""

    answer_tokens: int = 32
    """Longest answer to each; also the length of the answer that is timed."""

    def outside(self) -> dict[str, str]:
        """The packages beyond every model's that write and read the formats."""
        from hftrain.export.formats import package_versions

        return package_versions(self.formats)

    def problems(self) -> list[str]:
        """Formats that are unknown or not installed, and sizes that measure nothing."""
        from hftrain.export.formats import format_problems

        sizes = {
            "text_bytes": self.text_bytes,
            "prompt_count": self.prompt_count,
            "answer_tokens": self.answer_tokens,
        }
        return format_problems(self.formats) + [
            f"export.{name}: {size}. At least 1 is needed to measure anything. Raise it."
            for name, size in sizes.items()
            if size < 1
        ]


@stage(makes="export", reads=("policy", "corpus"))
def export(config: ExportConfig, *, policy: Path, corpus: Path, out: Path) -> None:
    """Write each format, load it back from disk, measure it, and refuse one that lost too much."""
    from hftrain.export.exporters import check_model, exporter_for, judge
    from hftrain.export.measurement import measure_in_transformers
    from hftrain.export.one_stream import measure_streams
    from hftrain.export.samples import draw_sample
    from hftrain.models.loading import load_causal_lm
    from hftrain.tokens.chat import load_tokenizer

    model, tokenizer = load_causal_lm(policy), load_tokenizer(policy)
    check_model(config.formats, model, tokenizer, policy)
    sample = draw_sample(
        corpus,
        model,
        tokenizer,
        text_bytes=config.text_bytes,
        prompt_count=config.prompt_count,
        answer_tokens=config.answer_tokens,
        seed=config.seed or 0,
    )
    full = measure_in_transformers(model, tokenizer, sample)
    formats = {}
    for name in config.formats:
        exporter, folder = exporter_for(name), out / name
        exporter.write(model, tokenizer, policy, folder)
        formats[name] = judge(name, folder, full, exporter.measure(model, tokenizer, folder, sample))
        log.info(
            "export: %s, %s bytes, %.4f times the bits per byte", name, formats[name]["bytes"], formats[name]["ratio"]
        )
    record_measured(out, **measure_streams({name: out / name for name in config.formats}, policy, sample))
    write_json(
        out / "summary.json",
        {
            "model_digest": read_manifest(policy)["digest"],
            "full_bits_per_byte": full.bits_per_byte,
            "texts": len(sample.texts),
            "text_bytes": sum(len(text.encode()) for text in sample.texts),
            "prompts": len(sample.prompts),
            "formats": formats,
        },
    )
