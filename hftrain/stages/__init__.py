"""The stages: one file each, light to import; what a stage needs is loaded when it runs."""

OWNED_TRAINING = frozenset(
    {
        "output_dir",
        "seed",
        "data_seed",
        "use_cpu",
        "disable_tqdm",
        "resume_from_checkpoint",
        "full_determinism",
        "push_to_hub",
        "trust_remote_code",
    }
)
"""Training arguments that every training stage sets itself: it writes into its own folder and repeats exactly."""

ROWS_ARE_TOKENS = frozenset(
    {"max_length", "dataset_num_proc", "model_init_kwargs", "remove_unused_columns", "trust_remote_code"}
)
"""Arguments of TRL's trainers that have no use, or do harm, where rows are token ids and the model is made already."""

ANSWERS_ARE_OURS = frozenset(
    {
        "auto_find_batch_size",
        "chat_template_kwargs",
        "eval_strategy",
        "generation_kwargs",
        "include_num_input_tokens_seen",
        "log_completions",
        "log_completions_hub_repo",
        "logging_steps",
        "max_completion_length",
        "model_init_kwargs",
        "remove_unused_columns",
        "trust_remote_code",
    }
)
"""Arguments of TRL's GRPO and RLOO that follow from others here, or that answers on exact tokens have no use for."""
