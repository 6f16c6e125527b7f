"""The best model in MLflow's registry: export, versions, alias, loading. Imports `tracking` and the wings below it."""
