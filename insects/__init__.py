"""The core of insects-search: data, training, evaluation and figures. Knows no Optuna, MLflow or Click."""
