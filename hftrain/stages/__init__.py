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
    }
)
"""Training arguments that every training stage sets itself: it writes into its own folder and repeats exactly."""
