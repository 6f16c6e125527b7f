"""The end of a search: what is left goes to MLflow, and the best model is registered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from insects.trial import TrialResult
from search.registry.alias import Registered
from search.store.store import Store
from search.system.terminal import Waiting
from search.upload.uploader import Delivery


@contextmanager
def opened(store: Store) -> Iterator[Delivery]:
    """A delivery that is closed in the end."""
    delivery = Delivery(store)
    try:
        yield delivery
    finally:
        delivery.close()


def finish(
    delivery: Delivery, best: TrialResult | None, model_name: str, check: Callable[[], None], mends: bool = False
) -> Registered | None:
    """Bring all that is left to MLflow and register the best trial's model, and show the wait for it.

    check: called several times a second meanwhile; what it raises ends the wait. mends: see `Delivery.finish`.
    """
    with Waiting(delivery.left) as waiting:

        def show() -> None:
            check()
            waiting.show(delivery.left)

        return delivery.finish(None if best is None else best.number, model_name, show, mends)
