"""The usual script of a search: Optuna on SQLite, a DataLoader loop, MLflow's fluent calls, pyplot, log_model.

`benchmarks.pipeline` runs it as `python benchmarks/usual_pipeline.py CONFIGS.json EPOCHS`. It prints a JSON object with
its seconds by part.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()
SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Count the time inside as `name`."""
    started = time.perf_counter()
    yield
    SECONDS[name] += time.perf_counter() - started


with part("imports"):
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    import mlflow
    import mlflow.pytorch
    import numpy as np
    import optuna
    import pandas as pd
    import torch
    from sklearn.model_selection import train_test_split
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

CLASSES = 5


def model_of(params: dict[str, Any]) -> nn.Sequential:
    """An MLP of the given depth and width."""
    sizes = [2] + [params["width"]] * params["depth"]
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], CLASSES))


def train(params: dict[str, Any], epochs: int, rows: Any, trial: optuna.Trial) -> tuple[nn.Sequential, dict[str, Any]]:
    """Train one trial; every epoch is reported to MLflow and Optuna."""
    train_set, (valid_x, valid_y) = rows
    with part("training"):
        model = model_of(params)
        optimizer = torch.optim.Adam(model.parameters(), lr=params["lr"])
        loss_of = nn.CrossEntropyLoss()
        loader = DataLoader(train_set, batch_size=params["batch_size"], shuffle=True)
    curves: dict[str, list[float]] = defaultdict(list)
    for epoch in range(epochs):
        with part("training"):
            total, right, seen = 0.0, 0, 0
            for x, y in loader:
                optimizer.zero_grad()
                logits = model(x)
                loss = loss_of(logits, y)
                loss.backward()
                optimizer.step()
                total += loss.item() * len(y)
                right += int((logits.argmax(1) == y).sum())
                seen += len(y)
            with torch.no_grad():
                logits = model(valid_x)
                valid_loss = loss_of(logits, valid_y).item()
                valid_accuracy = float((logits.argmax(1) == valid_y).float().mean())
        with part("mlflow"):
            figures = {
                "train_loss": total / seen,
                "train_accuracy": right / seen,
                "valid_loss": valid_loss,
                "valid_accuracy": valid_accuracy,
            }
            for name, value in figures.items():
                mlflow.log_metric(name, value, step=epoch)
                curves[name].append(value)
        with part("optuna"):
            trial.report(valid_loss, epoch)
    return model, curves


def draw(model: nn.Sequential, curves: dict[str, list[float]], x: Any, y: Any) -> None:
    """Draw learning curves and decision boundary by pyplot, and log them."""
    with part("figures"):
        figure, axes = plt.subplots(figsize=(6, 5))
        axes.plot(curves["train_loss"], label="train")
        axes.plot(curves["valid_loss"], label="valid")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss")
        axes.legend()
        figure.savefig("loss_curves.png")
        plt.close(figure)
        grid = np.meshgrid(np.linspace(-1.1, 1.1, 200), np.linspace(-1.1, 1.1, 200))
        with torch.no_grad():
            points = torch.from_numpy(np.stack([g.ravel() for g in grid], 1).astype(np.float32))
            decided = model(points).argmax(1).reshape(200, 200).numpy()
        figure, axes = plt.subplots(figsize=(6, 5))
        axes.contourf(*grid, decided, levels=np.arange(CLASSES + 1) - 0.5, alpha=0.4, cmap="tab10")
        axes.scatter(x[:, 0], x[:, 1], c=y, s=8, cmap="tab10")
        figure.savefig("decision_boundary.png")
        plt.close(figure)
    with part("mlflow"):
        mlflow.log_artifact("loss_curves.png")
        mlflow.log_artifact("decision_boundary.png")


def main() -> None:
    """Search, log and register the best model."""
    configs, epochs = json.loads(Path(sys.argv[1]).read_text()), int(sys.argv[2])
    from insects.spiral import builtin_tables

    table = builtin_tables()[0]
    frame = pd.DataFrame(table.x, columns=list(table.features)).assign(labels=table.y)
    x_train, x_valid, y_train, y_valid = train_test_split(
        table.x, frame["labels"].to_numpy(np.int64), test_size=0.2, random_state=0, stratify=frame["labels"]
    )
    tensors = [torch.from_numpy(array) for array in (x_train, y_train, x_valid, y_valid)]
    rows = (TensorDataset(*tensors[:2]), tensors[2:])

    with part("mlflow"):
        mlflow.set_tracking_uri("sqlite:///mlflow.db")
        mlflow.set_experiment("usual")
        mlflow.start_run(run_name="search")
    with part("optuna"):
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(storage="sqlite:///optuna.db", sampler=optuna.samplers.TPESampler(seed=0))
        for config in configs:
            study.enqueue_trial(config)
    best: tuple[float, Any, str] = (float("inf"), None, "")
    for _ in configs:
        with part("optuna"):
            trial = study.ask()
            params = {
                "depth": trial.suggest_int("depth", 1, 4),
                "width": trial.suggest_int("width", 16, 256),
                "lr": trial.suggest_float("lr", 1e-4, 1e-1, log=True),
                "batch_size": trial.suggest_categorical("batch_size", [4, 8, 16, 32, 64, 128]),
            }
        with part("mlflow"):
            run = mlflow.start_run(run_name=f"trial-{trial.number}", nested=True)
            mlflow.log_params(params)
        model, curves = train(params, epochs, rows, trial)
        draw(model, curves, x_train, y_train)
        with part("mlflow"):
            mlflow.end_run()
        with part("optuna"):
            study.tell(trial, min(curves["valid_loss"]))
        best = min(best, (min(curves["valid_loss"]), model, run.info.run_id), key=lambda entry: entry[0])
    with part("log_model"), mlflow.start_run(run_id=best[2], nested=True):
        mlflow.pytorch.log_model(best[1], name="model", input_example=x_valid[:8], registered_model_name="usual-mlp")
    mlflow.end_run()
    print(json.dumps({"total": time.perf_counter() - STARTED, **SECONDS}))


if __name__ == "__main__":
    main()
