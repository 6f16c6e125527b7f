"""The end of a search: what is left goes to MLflow, and the best model is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from insects.trial import TrialResult
from search.delivery import Delivery
from search.display import Waiting
from search.registry import Registered
from search.store import Store


@contextmanager
def opened(store: Store) -> Iterator[Delivery]:
    """A delivery that is closed in the end."""
    delivery = Delivery(store)
    try:
        yield delivery
    finally:
        delivery.close()


def best_of(results: Sequence[TrialResult]) -> TrialResult | None:
    """The complete trial with the lowest finite validation loss; of equals the one with the lower number."""
    candidates = [result for result in results if result.state == "complete" and result.best_epoch]
    return min(candidates, key=lambda result: (result.valid_loss, result.number), default=None)


def finish(
    delivery: Delivery, best: TrialResult | None, model_name: str, check: Callable[[], None], again: bool = True
) -> Registered | None:
    """Bring all that is left to MLflow and register the best trial's model, and show the wait for it.

    check: called several times a second meanwhile; what it raises ends the wait. again: see `registry.register`.
    """
    with Waiting(delivery.left) as waiting:

        def show() -> None:
            check()
            waiting.show(delivery.left)

        return delivery.finish(None if best is None else best.number, model_name, show, again)
