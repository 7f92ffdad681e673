"""The storage of a study: how it is opened, what its faults mean, whose its trials are."""

from __future__ import annotations

import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

from metaskl.errors import StudyError
from metaskl.search._optuna import (
    OWNER,
    SQLAlchemyError,
    StorageInternalError,
    TrialState,
    listen,
    optuna,
    put_back,
    quiet,
)

# How long a write to a sqlite file waits for other programs, in seconds.
_PATIENCE = 60.0
# A driver on another machine that gave no sign for so long is taken to be dead, in seconds.
_SILENCE = 180.0
_BEAT = 30.0
# How often tables are made that another program makes at the same time.
_ATTEMPTS = 10


def open_storage(storage: Any) -> Any:
    """Return optuna's storage for a URL, a storage of its own, or None (in memory)."""
    if not isinstance(storage, str):
        return storage
    options: dict[str, Any] = {"pool_pre_ping": True}  # a server may have been restarted meanwhile
    if storage.startswith("sqlite") and "timeout=" not in storage:
        options = {"connect_args": {"timeout": _PATIENCE}}
    with storage_faults(storage, ImportError, OSError):
        opened = _open_with_tables(storage, options)
        if storage.startswith("sqlite:///") and ":memory:" not in storage:
            _write_ahead(opened.engine)
        return opened


def _open_with_tables(url: str, options: dict[str, Any]) -> Any:
    """Open a database; another program may be making the same tables at this moment."""
    for left in reversed(range(_ATTEMPTS)):
        try:
            return optuna.storages.RDBStorage(url, engine_kwargs=dict(options))
        except SQLAlchemyError as error:
            told = str(error).lower()
            if not left or not any(sign in told for sign in ("already exists", "unique")):
                raise
            time.sleep(random.uniform(0.1, 0.5))
    raise AssertionError("unreachable")


def _write_ahead(engine: Any) -> None:
    """Let sqlite keep a log of writes, so that none of them waits for the disk.

    A process that is killed loses nothing by it; a machine that loses its power may lose the
    last trials, and the file stays whole. A write took 17 ms without, a fraction of one with it.

    Every transaction takes the file's lock when it begins: sqlite knows no locks of rows, and
    two drivers that read of a waiting trial at the same time would both run it.
    """

    def less_waiting(connection: Any, record: Any) -> None:
        del record
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.isolation_level = None  # the transactions are begun here, not by the driver

    def lock(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    listen(engine, "connect", less_waiting)
    engine.dispose()
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    except SQLAlchemyError:
        pass  # another program holds the file: it stays as it is
    listen(engine, "begin", lock)


@contextmanager
def storage_faults(storage: Any, *more: type[Exception]) -> Iterator[None]:
    """Tell a storage's faults in one message that says what to do."""
    faults: tuple[type[Exception], ...] = (StorageInternalError, SQLAlchemyError, *more)
    try:
        yield
    except faults as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        reason = str(getattr(cause, "orig", None) or cause).strip().splitlines()[0]
        raise StudyError(
            f"storage must be readable and writable, got {_without_password(storage)!r}, which "
            f"says: {reason}. {_advice(reason)} What the study holds is kept: the same call goes "
            "on from there."
        ) from error


def _advice(reason: str) -> str:
    text = reason.lower()
    if "locked" in text:
        return "Close the program that holds the file, or use a database server."
    if "full" in text or "disk i/o" in text or "no space" in text:
        return "Make room on the disk."
    if "no module named" in text:
        return "Install the driver of this database."
    return "Look at the URL, and whether the database is running."


def _without_password(storage: Any) -> str:
    text = storage if isinstance(storage, str) else type(storage).__name__
    head, at, tail = text.rpartition("@")
    scheme, colons, login = head.partition("://")
    return f"{scheme}{colons}{login.partition(':')[0]}@{tail}" if at and colons else text


def create_study(storage: Any, name: str, directions: list[Any], sampler: Any) -> tuple[Any, bool]:
    """Return a study, the one of this name if the storage holds it, and whether it is new."""
    settings = {"storage": storage, "study_name": name, "sampler": sampler}
    with quiet():
        try:
            return optuna.create_study(**settings, directions=directions), True
        except optuna.exceptions.DuplicatedStudyError:
            return optuna.load_study(**settings), False


class Ownership:
    """Which trials are this process's, and which belong to a driver that died.

    Each driver has an entry among the study's attributes, with a sign of life now and then,
    and each trial names its driver. On one machine the process itself is looked for; of another
    machine the signs of life count, for which the clocks must agree within two minutes.

    Parameters
    ----------
    study : Study
        The study.
    """

    _active: ClassVar[set[str]] = set()  # the drivers of this process that have not ended

    def __init__(self, study: Any) -> None:
        self.study = study
        self.place = _place()
        self.key = f"driver:{self.place}:{os.getpid()}:{secrets.token_hex(4)}"
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Ownership:
        self._sign()
        self._active.add(self.key)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._active.discard(self.key)
        with suppress(StorageInternalError, SQLAlchemyError):
            self.study.set_user_attr(self.key, {})

    def _sign(self) -> None:
        self.study.set_user_attr(self.key, sign_of_life())

    def _beat(self) -> None:
        while not self._ended.wait(_BEAT):
            with suppress(StorageInternalError, SQLAlchemyError):  # the next to write hears of it
                self._sign()

    def take(self, trial: Any) -> None:
        """Note that a trial is this driver's."""
        trial.set_user_attr(OWNER, self.key)

    def reap(self, mine: set[int]) -> list[int]:
        """Let the running trials of dead drivers wait for their turn again.

        Parameters
        ----------
        mine : set of int
            Numbers of the trials that this driver is running.

        Returns
        -------
        list of int
            Numbers of the trials that wait now.
        """
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        # Read afterwards: who has a trial in the list has signed before, and is seen to live.
        drivers = self.study.user_attrs
        alone = not self.accompanied()
        found = []
        for trial in running:
            owner = trial.user_attrs.get(OWNER)
            if owner == self.key or trial.number in mine:
                dead = trial.number not in mine
            elif owner is None:  # killed, or not yet named, between two writes
                dead = alone
            else:
                dead = not self._lives(owner, drivers.get(owner))
            if dead and self._still_of(owner, trial) and put_back(self.study, trial):
                found.append(trial.number)
        return found

    def accompanied(self) -> bool:
        """Return whether another driver is at work on the study."""
        entries = self.study.user_attrs.items()
        others = [(k, v) for k, v in entries if k.startswith("driver:") and k != self.key]
        return any(self._lives(key, entry) for key, entry in others)

    def _still_of(self, owner: Any, trial: Any) -> bool:
        """Say whether a trial's owner has not changed since the trials were listed."""
        now = self.study._storage.get_trial(trial._trial_id)
        return bool(now.state == TrialState.RUNNING and now.user_attrs.get(OWNER) == owner)

    def _lives(self, key: str, entry: Any) -> bool:
        if not entry:
            return False
        if entry["place"] == self.place and entry["pid"] == os.getpid():
            return key in self._active
        return is_alive(entry)


def sign_of_life() -> dict[str, Any]:
    """Return by what others know later whether this process is still there."""
    pid = os.getpid()
    return {"pid": pid, "born": _born(pid), "place": _place(), "alive": time.time()}


def is_alive(sign: dict[str, Any]) -> bool:
    """Say whether the process that gave a sign of life is still there."""
    if sign["place"] == _place() and os.name == "posix":
        return _born(sign["pid"]) == sign["born"] and _exists(sign["pid"])
    return time.time() - float(sign["alive"]) < _SILENCE


def _place() -> str:
    """Return what a process number belongs to: the machine, and on Linux the container."""
    try:
        return f"{socket.gethostname()}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _born(pid: int) -> str:
    """Return when a process started, where that is known: numbers of processes are used again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]  # a zombie is dead, if not yet buried
