"""A study and its finished trials as Optuna keeps them, in a journal or in a database."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

from insects.objective import metric_column
from insects.trial import TrialResult
from search.study.space import as_dict

if TYPE_CHECKING:
    import optuna

_FINGERPRINT = "fingerprint"


def fingerprint_in(study: optuna.Study) -> str | None:
    """Return the digest of the fingerprint that a study of Optuna's has; None: it has none yet."""
    found = study.user_attrs.get(_FINGERPRINT)
    return None if found is None else str(found)


def describe_study(study: optuna.Study, fingerprint: str, objective: str) -> None:
    """Write what a study is.

    Args:
        study: A study of Optuna's without trials.
        fingerprint: The digest of the fingerprint.
        objective: The name of what is minimized.
    """
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective])
    study.set_user_attr(_FINGERPRINT, fingerprint)  # last: a study that has it is complete


def frozen_trial(
    result: TrialResult, distributions: Mapping[str, optuna.distributions.BaseDistribution]
) -> optuna.trial.FrozenTrial:
    """Return a finished trial as `optuna.Study.add_trial` takes it.

    Args:
        result: The trial.
        distributions: The search space, which holds its parameters.
    """
    from optuna.trial import FrozenTrial, TrialState

    states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
    values = {"complete": result.objective, "pruned": result.objectives[-1] if result.epochs else None}
    value = values.get(result.state)
    figures = {name: value for name, value in result.best_figures.items() if name != metric_column(result.metric)}
    started = datetime.datetime.fromtimestamp(result.started)  # Optuna keeps local time without a zone
    return FrozenTrial(
        number=-1,
        trial_id=-1,
        state=states[result.state],
        value=None if value is None else float(value),
        values=None,
        datetime_start=started,
        datetime_complete=started + datetime.timedelta(seconds=result.seconds),
        params=as_dict(result.params),
        distributions=dict(distributions),
        user_attrs={
            "best_epoch": result.best_epoch,
            **figures,
            "reason": result.reason.strip().rpartition("\n")[2],
        },
        system_attrs={},
        intermediate_values={epoch: float(value) for epoch, value in enumerate(result.objectives, start=1)},
    )
