"""The background processes that write to MLflow and --storage in a search. Imports `registry` and the wings below."""
