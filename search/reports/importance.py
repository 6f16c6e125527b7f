"""How much each parameter has to do with a trial being among the best: Optuna's PED-ANOVA.

Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces,
IJCAI 2023, arXiv:2304.10255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from insects.params import TrialParams
from search.study.space import SearchSpace, as_dict

TOP = 0.1
"""Share of the trials that counts as the best, as in Optuna."""


def importances(space: SearchSpace, params: Sequence[TrialParams], losses: Sequence[float]) -> dict[str, float]:
    """Return the importance of each parameter that is not fixed, in shares that add up to 1, largest first.

    Args:
        space: A space that holds all `params`.
        params: The parameters of the trials.
        losses: Their losses, or other objectives; trials without a finite one do not count.

    Returns:
        An empty dict where the trials do not tell: fewer than two, all equally good, or all parameters fixed.
    """
    import optuna

    free = [name for name, distribution in space.distributions().items() if not distribution.single()]
    finite = [(point, loss) for point, loss in zip(params, losses, strict=True) if math.isfinite(loss)]
    ordered = sorted(loss for _, loss in finite)
    if not free or len(finite) < 2 or ordered[-1] <= ordered[math.ceil(TOP * len(finite)) - 1]:
        return {}
    trials = [
        optuna.trial.create_trial(
            params={name: as_dict(point)[name] for name in free},
            distributions={name: space.distributions()[name] for name in free},
            value=loss,
        )
        for point, loss in finite
    ]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials(trials)
    shares = optuna.importance.get_param_importances(study)
    return {name: float(share) for name, share in shares.items()} if sum(shares.values()) > 0 else {}
