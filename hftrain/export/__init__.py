"""Export: one model in several formats, each written, loaded back from disk and compared with the model."""
