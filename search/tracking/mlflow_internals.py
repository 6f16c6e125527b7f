"""The parts of MLflow that are below its public API. An upgrade of MLflow has to look here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.models import ModelSignature


def limit_connection_attempts(attempts: int) -> None:
    """Limit how often MLflow tries to connect to a database; its own 10 attempts take 100 s."""
    from mlflow.store.db import utils

    utils.MAX_RETRY_COUNT = attempts


def artifact_repository(uri: str, tracking_uri: str) -> Any:
    """Return the files of a run. The client's own methods would request the run again to learn the URI.

    Args:
        uri: The run's artifact URI.
        tracking_uri: The tracking URI of its MLflow.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri, tracking_uri=tracking_uri)


def leave_checks_to_model(signature: ModelSignature) -> None:
    """Make MLflow hand the input of a model over as it is. MLflow would refuse whole numbers where it says `double`.

    Args:
        signature: The model's signature.
    """
    signature._is_signature_from_type_hint = True


def accept_data_frames_as_json(loader_module: str) -> None:
    """Make MLflow's server take `dataframe_split` and `dataframe_records` for models that check their input themselves.

    With such a signature it takes only `inputs`.

    Args:
        loader_module: The loader of these models.
    """
    from mlflow.pyfunc import scoring_server as untyped

    scoring_server: Any = untyped
    parse_json = scoring_server._parse_json_data
    if parse_json.__module__ == __name__:  # a model was loaded before
        return

    def parse(data: Any, metadata: Any, input_schema: Any) -> Any:
        if metadata.flavors["python_function"]["loader_module"] == loader_module:
            content, params = scoring_server._split_data_and_params(data)
            if any(name.startswith("dataframe_") for name in content):
                rows = scoring_server.infer_and_parse_data(content)
                return scoring_server.ParsedJsonInput(rows, params, is_unified_llm_input=False)
        return parse_json(data, metadata, input_schema)

    scoring_server._parse_json_data = parse
