"""Documents and conversations: collected, curated, and kept on disk."""
