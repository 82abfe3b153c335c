"""Tokens: the vocabulary, the chat template, packed rows and the label lens."""
