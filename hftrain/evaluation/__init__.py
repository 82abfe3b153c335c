"""Evaluation: the same questions to every model of a run."""
