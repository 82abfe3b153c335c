"""An artifact's card for the Hub, written from the manifests of its run.

The metadata is huggingface_hub's own: built by its classes, written and read again by them, so that what is sent
parses. Source: https://huggingface.co/docs/hub/model-cards
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData

from hftrain.evaluation.settings import HELDOUT
from hftrain.evaluation.tasks import TASKS
from hftrain.export.model_card_facts import EXPORT, Facts
from hftrain.export.model_card_license import CardLicense, given_license, license_of
from hftrain.export.model_card_text import body

CARD = "README.md"
PIPELINES = {"reward": "text-classification", "tokenizer": None}
TEXT_GENERATION = "text-generation"
TASK_NAMES = {"benchmark": "Benchmark", "safety": "Safety", "bias": "Bias", HELDOUT: "Held-out text"}
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card_of(artifact: Path, *, license_id: str | None = None, title: str | None = None) -> str:
    """The card of an artifact, or of one format of an export, as the text of a README.md.

    Args:
        artifact: Such as ``runs/tiny/policy`` or ``runs/tiny/export/gguf-q8_0``.
        license_id: Stated in place of the licence that the sources give.
        title: Its heading, and the name that its results stand under. Not given: run and artifact.

    Raises:
        ArtifactError: No finished artifact is there, or its chain is broken.
        ConfigError: The Hub does not know the licence.
    """
    return card(Facts.read(artifact), license_id=license_id, title=title)


def card(facts: Facts, *, license_id: str | None = None, title: str | None = None) -> str:
    """The same of an artifact that is read already."""
    stated = [row.get("license") for row in facts.sources]
    licence = license_of(stated, reads_more=any(True for _ in facts.outside()))
    if license_id is not None:
        licence = given_license(license_id, licence)
    name = title or "-".join([facts.run_name, facts.own.name, *([facts.format] if facts.format else [])])
    data = _model_data(facts, licence, name) if facts.is_model else _dataset_data(facts, licence, name)
    text = f"---\n{data.to_yaml()}\n---\n\n{body(facts, licence, name)}"
    # Read by the class that the Hub's own tools read it with: what does not parse is never sent.
    (ModelCard if facts.is_model else DatasetCard)(text)
    return text


def _model_data(facts: Facts, licence: CardLicense, name: str) -> ModelCardData:
    results = [_result(facts, row) for row in facts.scores]
    bases = facts.hub_names(frozenset({"pretrain"}))
    gguf = any(facts.folder.glob("*.gguf"))
    return ModelCardData(
        language=facts.languages or None,
        license=licence.id,
        license_name=licence.name,
        license_link=CARD if licence.name else None,
        library_name=None if gguf else "transformers",
        pipeline_tag=PIPELINES.get(facts.kind, TEXT_GENERATION),
        tags=_tags(facts),
        base_model=bases or None,
        datasets=facts.hub_names(frozenset({"collect"})) or None,
        model_name=name if results else None,
        eval_results=results or None,
    )


def _dataset_data(facts: Facts, licence: CardLicense, name: str) -> DatasetCardData:
    documents = facts.own.summary.get("documents") or facts.own.summary.get("documents_train") or 0
    size = next((word for most, word in SIZES if documents < most), "1M<n<10M") if documents else None
    return DatasetCardData(
        language=facts.languages or None,
        license=licence.id,
        license_name=licence.name,
        license_link=CARD if licence.name else None,
        pretty_name=name,
        size_categories=size,
        task_categories=[TEXT_GENERATION],
        tags=_tags(facts),
    )


def _tags(facts: Facts) -> list[str]:
    stages = [str(link.manifest["stage"]) for link in facts.chain]
    made = [
        stage
        for stage in stages
        if stage in ("pretrain", "sft", "ppo", "dpo", "kto", "grpo", "rloo", "best_of_n", "distill")
    ]
    return ["hftrain", *made, *([facts.format] if facts.kind == EXPORT and facts.format else [])]


def _result(facts: Facts, row: Mapping[str, Any]) -> EvalResult:
    """One score with its interval, its chance level and its count; the Hub shows the value and keeps the rest."""
    asked = facts.evaluation_config.get("benchmarks", {}).get(row["test"], {})
    task = TASKS.get(asked.get("task") or row["test"]) if row["kind"] == "benchmark" else None
    is_known = task is not None and asked.get("kind") is None
    args = {"interval_95": [row["low"], row["high"]], "items": row["count"]}
    return EvalResult(
        task_type=TEXT_GENERATION if facts.kind != "reward" else "text-classification",
        task_name=TASK_NAMES.get(row["kind"], row["kind"]),
        dataset_type=task.hub if is_known and task is not None else str(row["test"]),
        dataset_name=str(row["test"]) if row["test"] != HELDOUT else "held-out part of the run's corpus",
        dataset_config=task.hub_config if is_known and task is not None else None,
        dataset_args={"shots": asked["shots"]} if asked.get("shots") else None,
        metric_type=str(row["measure"]),
        metric_value=row["value"],
        metric_args=args if row["chance"] is None else {**args, "chance": row["chance"]},
    )
