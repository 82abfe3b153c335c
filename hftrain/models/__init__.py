"""Models: loading, saving, counting, generating and scoring."""
