"""The recipes: which folder goes where."""
