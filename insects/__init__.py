"""The core of insects-search: data, training, evaluation and figures; imports neither `search` nor Optuna, MLflow or
Click."""
