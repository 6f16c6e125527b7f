"""The errors a user can cause. Anything else that is raised is a bug and shows a traceback."""


class InsectsError(Exception):
    """A mistake in the data or the surroundings.

    The message is one line: the rule, the value found and where, what to do next. The commands print it as
    `Error: …` on stderr and exit with code 1.
    """


class DataError(InsectsError):
    """A table, an annotation file or an image is not what it has to be."""


class DeviceError(InsectsError):
    """A device or an engine that was asked for is not there."""


class StoreError(InsectsError):
    """The folder or the server that holds the results cannot be read or written."""


class StudyError(InsectsError):
    """A study cannot go on as asked: it began with something else, or another process holds it."""
