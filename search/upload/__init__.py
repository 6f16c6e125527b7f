"""The background processes that write to MLflow, and to --storage, during a search. Imports `registry` and the wings below it."""
