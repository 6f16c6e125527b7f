"""The search: Optuna proposes, `insects` trains, MLflow records, Click commands."""
