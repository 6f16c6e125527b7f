"""Errors of the core: they carry the parameter to change, also from one process to another."""

from __future__ import annotations

import pickle

from insects.errors import DataError, InsectsError


def test_error_keeps_message_and_parameter_when_it_is_pickled() -> None:
    sent = DataError("t.csv has no label column", parameter="target")
    received = pickle.loads(pickle.dumps(sent))  # noqa: S301 # made in the line above
    assert isinstance(received, DataError)
    assert (str(received), received.parameter) == ("t.csv has no label column", "target")
    assert InsectsError("no parameter helps").parameter is None
