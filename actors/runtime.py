"""Ray, and the only place under `actors/` that knows of it.

One generic actor class, `Host`, can stand by as a warm process that is nobody yet and then *become* any shell, so a
replacement costs an import and not half a second of process start. Ray's own restarts and retries are off: who restarts
what is decided in `supervisors/`, and a call whose fate is unknown is never repeated by anyone but its author.

`Remote` is the typed face of a Host elsewhere; nothing outside this module writes `.remote`.

A process does not outlive who started it: each Host watches its parent's process and ends with it. Ray does the same
through ownership, but needs up to five seconds, and a journal stays locked as long.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import secrets
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import ray
from loguru import logger

from actors import log, points
from actors.clock import AnchoredClock
from actors.mail import OLD, Wire
from actors.seat import Seat, import_shell
from actors.shell import Place, Shell
from messages.control import PeerDown, PeerUp
from messages.units import SECOND, Nanos

REGION_LABEL = "ray.io/region"
CALLS_MOST = 10_000
POISONED_EXIT = 70
ORPHAN_EXIT = 71
STOP_WITHIN = Nanos(5 * SECOND)

T = TypeVar("T")


# ------------------------------------------------------------------------------------------------- values that travel


@dataclass(frozen=True, slots=True)
class Parent:
    """Whom a process must not outlive."""

    pid: int
    node: str


@dataclass(frozen=True, slots=True)
class Warm:
    pid: int
    node: str


@dataclass(frozen=True, slots=True)
class Introduction:
    """News of one peer; with its `Remote` where the hearer of the news may tell it things."""

    peer: PeerUp | PeerDown
    remote: Remote | None = None


@dataclass(frozen=True, slots=True)
class Birth:
    """What a warm process needs to become somebody."""

    place: Place
    shell: str
    nice: int
    beat_every: Nanos
    peers: tuple[Introduction, ...] = ()


@dataclass(frozen=True, slots=True)
class Became:
    address: str
    became_at: int
    started_at: int
    failed: str = ""
    """Why `start` raised; the process is of no use then."""


class Ordered(Protocol):
    """A shell that its own kind may order about: a supervisor. Details may hold a `Remote`, which no message can."""

    async def order(self, what: str, *details: Any) -> Any: ...


# ------------------------------------------------------------------------------------------------------ the Ray actor


class Host:
    """One process. First nobody, then one shell until it ends."""

    def __init__(self) -> None:
        # Nothing here may raise: a raising constructor is a permanent death in Ray.
        self._seat: Seat | None = None
        self._place: Place | None = None
        self._parent_watch: ProcessWatch | None = None

    def __repr__(self) -> str:
        return "crossfill"  # fixed: Ray writes it into every log prefix, and once only

    async def warm(self, parent: Parent, modules: Sequence[str]) -> Warm:
        """Do now what needs no name: imports, and the tie to the parent."""
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        logger.remove()
        node = node_id()
        if parent.node == node:
            self._parent_watch = ProcessWatch(parent.pid, lambda: os._exit(ORPHAN_EXIT))
        for module in modules:
            with suppress(Exception):  # `become` will say what is wrong with it
                import_module(module)
        gc.collect()
        gc.freeze()
        return Warm(os.getpid(), node)

    async def become(self, birth: Birth) -> Became:
        if self._seat is not None or self._place is not None:
            raise RuntimeError("this process is somebody already")
        became_at = time.time_ns()
        self._place = place = birth.place
        try:
            log.configure(place.name, place.run_directory)
            logger.info("becomes {} epoch {} in process {}", birth.shell, place.epoch, os.getpid())
            if birth.nice:
                os.nice(birth.nice)
            shell = cast("Callable[[Place], Shell]", import_shell(birth.shell))(place)
            if place.kill_at:
                points.arm(place.name, place.kill_at, place.run_directory, shell.snapshot)
            seat = Seat(shell, AnchoredClock(), self._end, birth.beat_every, Pulse(place).beat)
            asyncio.get_running_loop().set_exception_handler(self._loop_error)
            address = await seat.start([(cast(PeerUp, one.peer), _wire(one)) for one in birth.peers])
        except Exception as error:
            logger.opt(exception=error).error("start failed")
            return Became("", became_at, time.time_ns(), failed=log.words_of(error))
        self._seat = seat
        gc.freeze()
        logger.info("started")
        return Became(address, became_at, time.time_ns())

    async def lifeline(self) -> None:
        """Never answers. That the call breaks is how a supervisor on another node hears of the death."""
        await asyncio.Event().wait()

    async def hear(self, envelope: bytes) -> bytes:
        return OLD if self._seat is None else await self._seat.reception.take(envelope)

    async def introduce(self, news: Sequence[Introduction]) -> None:
        if self._seat is not None:
            self._seat.introduce([(one.peer, _wire(one)) for one in news])

    async def order(self, what: str, *details: Any) -> Any:
        if self._seat is None:
            raise RuntimeError("this process is nobody yet")
        return await cast(Ordered, self._seat.shell).order(what, *details)

    async def stop(self, within: Nanos = STOP_WITHIN) -> None:
        if self._seat is not None:
            try:
                async with asyncio.timeout(within / SECOND):
                    await self._seat.stop()
            except Exception as error:  # who stops it will kill it next; the journal is what counts
                logger.opt(exception=error).error("stop failed")
        logger.info("stopped")

    @ray.method(concurrency_group="ctl")  # another thread: it may read what is frozen, nothing else
    async def beat(self) -> int:
        return self._seat.beat if self._seat is not None else 0

    @ray.method(concurrency_group="ctl")
    async def inspect(self) -> str:
        return self._seat.picture if self._seat is not None else "{}"

    def _end(self, words: str) -> None:
        assert self._place is not None
        end_process(self._place, "failed", words, POISONED_EXIT)

    def _loop_error(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        words = log.words_of(error) if isinstance(error, BaseException) else str(context.get("message", ""))
        logger.opt(exception=error).error("in the event loop: {}", context.get("message", ""))
        if self._seat is not None:
            self._seat.note(words)


def end_process(place: Place, cause: str, words: str, code: int) -> None:
    """Leave the reason behind and end without any clean-up, as a kill would."""
    logger.error("ends itself: {}", words)
    with suppress(OSError):  # a full disk must not keep it alive
        log.leave_words(place.run_directory, place.name, place.epoch, cause, words)
    os._exit(code)


_HostActor: Any = cast(Any, ray).remote(
    num_cpus=0,
    max_restarts=0,
    max_task_retries=0,
    max_concurrency=CALLS_MOST,
    concurrency_groups={"ctl": 4},
    enable_task_events=False,
)(Host)


def _wire(introduction: Introduction) -> Wire | None:
    return introduction.remote.hear if introduction.remote is not None else None


# ------------------------------------------------------------------------------------------------------ its typed face


@dataclass(frozen=True, slots=True, eq=False)
class Remote:
    """A Host in another process. Every call can fail or hang; whoever awaits one has a deadline."""

    actor: Any

    @classmethod
    def create(cls, region: str = "") -> Remote:
        """A new process. Where no node carries the region this waits in silence: bound the `warm` that follows."""
        options: dict[str, Any] = {"label_selector": {REGION_LABEL: region}} if region else {}
        return cls(_HostActor.options(**options).remote())

    @classmethod
    def of_this_process(cls) -> Remote:
        return cls(ray.get_runtime_context().current_actor)

    async def warm(self, parent: Parent, modules: Sequence[str]) -> Warm:
        return cast(Warm, await self.actor.warm.remote(parent, tuple(modules)))

    async def become(self, birth: Birth) -> Became:
        return cast(Became, await self.actor.become.remote(birth))

    async def lifeline(self) -> None:
        await self.actor.lifeline.remote()

    async def hear(self, envelope: bytes) -> bytes:
        return cast(bytes, await self.actor.hear.remote(envelope))

    async def introduce(self, news: Sequence[Introduction]) -> None:
        await self.actor.introduce.remote(tuple(news))

    async def order(self, what: str, *details: Any) -> Any:
        return await self.actor.order.remote(what, *details)

    async def stop(self, within: Nanos = STOP_WITHIN) -> None:
        await self.actor.stop.remote(within)

    async def beat(self) -> int:
        return cast(int, await self.actor.beat.remote())

    async def inspect(self) -> str:
        return cast(str, await self.actor.inspect.remote())

    def kill(self) -> None:
        with suppress(Exception):
            ray.kill(self.actor)


async def in_time(call: Awaitable[T], within: Nanos) -> T:
    """Await with a deadline. What was called goes on; only the waiting ends."""
    async with asyncio.timeout(within / SECOND):
        return await call


# ------------------------------------------------------------------------------------------------------ process watching


class ProcessWatch:
    """A process of this node, held by a descriptor: its number cannot be reused while it is watched.

    The descriptor becomes readable when the process has ended with all its threads, so its locks are free by then.
    """

    def __init__(self, pid: int, ended: Callable[[], None]) -> None:
        self.pid = pid
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._descriptor = -1
        try:
            self._descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self._loop.call_soon(ended)
            return
        self._loop.add_reader(self._descriptor, self._readable)

    def _readable(self) -> None:
        self.close()
        self._ended()

    def kill(self) -> None:
        if self._descriptor >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    def close(self) -> None:
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1


class Pulse:
    """The heartbeat counter in a file, for a supervisor on the same node.

    A call a second to ask for it would cost more than everything else that an idle actor does. Where the file cannot be
    written the supervisor asks by call.
    """

    def __init__(self, place: Place) -> None:
        self._descriptor = -1
        path = pulse_path(place.run_directory, place.name)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._epoch = place.epoch
        self.beat(0)

    def beat(self, beat: int) -> None:
        if self._descriptor >= 0:
            with suppress(OSError):
                os.pwrite(self._descriptor, f"{self._epoch:020d} {beat:020d}".encode(), 0)


def pulse_path(run_directory: Path, name: str) -> Path:
    return run_directory / "pulses" / name


def read_pulse(run_directory: Path, name: str, epoch: int) -> int | None:
    """The beat of this incarnation; None where its file says nothing."""
    try:
        written, beat = pulse_path(run_directory, name).read_bytes().split()
        return int(beat) if int(written) == epoch else None
    except (OSError, ValueError):
        return None


# -------------------------------------------------------------------------------------------------------- Ray's session


def node_id() -> str:
    return ray.get_runtime_context().get_node_id()


ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_DEDUP_LOGS": "0",
}
"""For Ray's own processes, which inherit it; with a `runtime_env` each first actor would cost another second."""

OBJECT_STORE_BYTES = 80_000_000


class Session:
    """A Ray that this process started or joined; `close` undoes exactly that."""

    def __init__(self, directory: Path | None, parked: threading.Event | None, thread: threading.Thread | None) -> None:
        self._directory = directory
        self._parked = parked
        self._thread = thread

    def close(self) -> None:
        if self._parked is not None and self._thread is not None:
            self._parked.set()
            self._thread.join(timeout=30)
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)


async def ray_init(
    address: str = "local",
    object_store_bytes: int = OBJECT_STORE_BYTES,
    labels: dict[str, str] | None = None,
    import_from: Sequence[Path] = (),
) -> Session:
    """Start a quiet Ray on this machine, or join the cluster at `address`.

    An already initialised Ray is used as it is and left running. `import_from` are further folders that the workers
    import shells from; the one that holds this package is always among them.
    """
    if ray.is_initialized():
        return Session(None, None, None)
    directory = _prepare_environment(import_from) if address == "local" else None
    options: dict[str, Any] = {
        "address": address,
        "namespace": f"crossfill-{secrets.token_hex(4)}",
        "log_to_driver": False,
        "logging_level": "CRITICAL",
    }
    if directory is not None:
        options |= {
            "include_dashboard": False,
            "object_store_memory": object_store_bytes,
            "labels": labels or {},
            "_temp_dir": str(directory),
        }
    parked = threading.Event()
    started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def live() -> None:
        # Ray's processes end with the *thread* that started them, so that thread has to stay; and the loop is free
        # during the seconds that this takes.
        try:
            ray.init(**options)
            _silence()
        except BaseException as error:
            loop.call_soon_threadsafe(_fail, started, error)
            return
        loop.call_soon_threadsafe(started.set_result, None)
        parked.wait()
        ray.shutdown()

    thread = threading.Thread(target=live, name="ray", daemon=True)
    session = Session(directory, parked, thread)
    thread.start()
    try:
        await started
    except BaseException:
        await asyncio.to_thread(session.close)
        raise
    return session


def _fail(future: asyncio.Future[None], error: BaseException) -> None:
    if not future.done():
        future.set_exception(RuntimeError(f"Ray did not start: {log.words_of(error)}"))


def _prepare_environment(import_from: Sequence[Path]) -> Path:
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    root = Path(__file__).resolve().parent.parent
    folders = [str(path) for path in (root, *import_from)]
    known = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path not in folders]
    os.environ["PYTHONPATH"] = os.pathsep.join((*folders, *known))
    # The path of a unix socket has room for 107 bytes and Ray's own part takes most of them.
    short = Path("/tmp")  # noqa: S108  a folder of a random name and mode 0700 is made in it
    parent = short if short.is_dir() else Path(tempfile.gettempdir())
    _sweep(parent)
    directory = Path(tempfile.mkdtemp(prefix=f"cf-{_pid_space()}-{os.getpid()}-", dir=parent))
    if "RAY_AUTH_MODE" not in os.environ:
        # Left alone, Ray writes a token that everybody may read into the home folder, and warns on the terminal.
        token = directory / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token)
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    with suppress(Exception):
        # Ray's native part read the environment when it was imported.
        native: Any = import_module("ray._raylet")
        native.Config.initialize("")
        native.AuthenticationTokenLoader.instance().reset_cache()
    return directory


def _sweep(parent: Path) -> None:
    """A driver that was killed could not remove its folder; the next one does."""
    for left in parent.glob(f"cf-{_pid_space()}-*-*"):
        pid = left.name.split("-")[2]
        with suppress(OSError):
            if pid.isdecimal() and left.stat().st_uid == os.getuid() and not Path(f"/proc/{pid}").exists():
                shutil.rmtree(left, ignore_errors=True)


def _pid_space() -> str:
    """Containers may share a folder of temporary files and count their processes apart."""
    try:
        return Path("/proc/self/ns/pid").readlink().name.strip("pid:[]")[-4:]
    except OSError:
        return "0"


def _silence() -> None:
    """Ray prints a paragraph about each killed worker on the driver's terminal, whatever the log level."""
    with suppress(Exception):
        rays_own: Any = import_module("ray._private.worker")
        rays_own._worker_logs_enabled = False  # noqa: SLF001  there is no public way


__all__ = [
    "Became",
    "Birth",
    "Host",
    "Introduction",
    "Parent",
    "ProcessWatch",
    "Remote",
    "Session",
    "Warm",
    "end_process",
    "in_time",
    "node_id",
    "ray_init",
    "read_pulse",
]
