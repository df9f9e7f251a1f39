"""Why a journal could not be opened: each says what the operator can do about it."""

from pathlib import Path


class OpenError(Exception):
    """The journal cannot be opened; nothing in it was changed. The message is for the operator."""


class JournalUrlError(OpenError):
    """The setting does not name a journal this build can open."""


class JournalFileError(OpenError):
    """The path cannot be used as a journal: missing directory, no permission, a directory, not a database."""


class JournalLockedError(OpenError):
    """Another process has this journal open."""

    def __init__(self, path: Path, pid: str) -> None:
        """Name the lock file and the process that holds it (empty when it is not known)."""
        owner = f"process {pid}" if pid else "another process"
        super().__init__(f"{path} is held by {owner}: one server at a time works on a journal; stop that one first")
        self.path = path
        self.pid = pid


class JournalUnsafeError(OpenError):
    """A connection did not take the settings that make a commit durable."""


class JournalSchemaError(OpenError):
    """The journal was written by a newer orderd, or is a database of something else."""


class JournalCorruptError(OpenError):
    """The journal is not what was written: it must not be traded on."""

    def __init__(self, path: Path, what: str) -> None:
        """Say which events are in doubt, and what an operator can do."""
        super().__init__(
            f"{path} is damaged: {what}. It is not traded on. Keep the file, see what is wrong with it "
            f"(orderd doctor --database {path}), and go on from the last backup (orderd restore)"
        )


class JournalLostError(OpenError):
    """The journal that was here is gone, or an older copy of it stands in its place."""

    def __init__(self, path: Path, what: str) -> None:
        """Say what is missing, and what an operator can do."""
        super().__init__(
            f"{path} {what}. Put the right file back, or make a journal of the last backup (orderd restore); to begin "
            f"anew without what was in it, remove {path}.lock"
        )


class DisplacedError(Exception):
    """A file of the journal was deleted, replaced or written to while it was open."""

    def __init__(self, path: Path, what: str) -> None:
        """Say which, and what happened to it."""
        super().__init__(f"{path} {what} while it was open: what is committed to it may not be there at the next start")


class ConflictError(Exception):
    """An append did not follow its order's last committed event: a bug of the caller. Nothing of it was written."""
