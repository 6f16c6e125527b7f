"""Errors that a user can cause. Every other exception is a bug and ends in its traceback."""


class InsectsError(Exception):
    """A mistake in the data, the settings or the environment. The commands print it and exit with code 1.

    Args:
        message: One line: the rule, the value found and where, what to do next. It names no command-line option.
        parameter: The parameter that the caller may change to fix the error, of the function that raises it or of the
            one that made its input. None if no parameter helps. The commands add the name of its option to the message.

    Examples:
        >>> error = InsectsError("t.csv has no label column 'kind'; choose another column", parameter="target")
        >>> error.parameter
        'target'
    """

    def __init__(self, message: str, *, parameter: str | None = None) -> None:
        super().__init__(message)
        self.parameter = parameter


class DataError(InsectsError):
    """A table, an annotation file or an image is not valid."""


class DeviceError(InsectsError):
    """The requested device or engine is not available."""


class StoreError(InsectsError):
    """The folder or the server that holds the results cannot be read or written."""


class StudyError(InsectsError):
    """A study cannot continue as requested: it began with other settings, or another process runs it."""
