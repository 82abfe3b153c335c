"""Alignment: preferences, judges, the reward and the policy's training."""
