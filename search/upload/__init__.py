"""The two background processes that write to MLflow during a search. Imports `registry` and the wings below it."""
