"""Schedules written out, step by step, for what random ones meet too rarely: each breaks the protocol without its condition."""

from __future__ import annotations

from collections.abc import Callable

from pipeline import limits
from tests.model.conditions import Conditions
from tests.model.store import Query
from tests.model.world import HOUR_SECONDS, Violation, World

LONG = 200  # steps; what has not come by then does not come


def _joined(world: World, *events: tuple[int, int]) -> None:
    """Both workers have joined: w0 owns partition 0, w1 partition 1. Events are (trace, hour); trace 0 is of partition 0."""
    world.rounds(20)
    for trace, hour in events:
        world.produce(trace, hour)


def _until(world: World, done: Callable[[], object], *names: str) -> bool:
    """The named actors in turn until it is so; False when it does not come."""
    for _ in range(LONG):
        for name in names:
            if done():
                return True
            for actor in world.actors():
                if actor.name == name:
                    world.take(actor)
                    break
    return bool(done())


def _sent(world: World, number: int, count: int = 1) -> bool:
    """A worker goes on until so many statements run."""
    names = (f"w{number} background", f"w{number} poll", f"w{number} job 0", f"w{number} job 1")
    return _until(world, lambda: len(world.server.running) >= count, *names)


def _run(world: World, query: Query, steps: int = LONG) -> None:
    """A statement goes so many steps on."""
    world.say(f"{steps} steps of a statement")
    for _ in range(steps):
        world.server.advance(query)


def _stage(world: World, number: int, reached: str) -> bool:
    """A worker's lane of partition 0 has come to a stage of settling."""
    worker = world.workers[number]
    assert worker is not None
    lane = worker.lanes[0]
    return _until(world, lambda: getattr(lane, reached), f"w{number} poll", f"w{number} job 0")


def _untrusted(world: World) -> None:
    """An insert of w0 that left nothing, and a server that knows nothing of it; w0 has counted and is about to insert."""
    _joined(world, (0, 0))
    _sent(world, 0)
    world.crash()
    world.start_server()
    _stage(world, 0, "inserted")


def _left(world: World) -> None:
    """w0 gives its partitions back while its job stands still."""
    world.leave(0)
    worker = world.workers[0]
    assert worker is not None
    _until(world, lambda: not worker.leaving and not worker.lanes, "w0 background", "w0 poll")


def _later(world: World, query_count: int = 1) -> None:
    """The job of w0 that stood still goes on, and its statement runs to its end."""
    _until(world, lambda: len(world.server.running) >= query_count, "w0 job 0")
    for query in list(world.server.running):
        _run(world, query)


def revocation_waits(world: World) -> None:
    """Both owners' guarded statements run at once: neither sees the other's rows."""
    _untrusted(world)
    _left(world)
    _sent(world, 1)
    _later(world, 2)


def late_statement(world: World) -> None:
    """The new owner has inserted everything before the guarded statement of the old one arrives, in time."""
    _untrusted(world)
    _left(world)
    _sent(world, 1)
    for query in list(world.server.running):
        _run(world, query)
    _later(world)


def waits_for_running(world: World) -> None:
    """A worker's insert hangs and outlives it; the new owner, of other code, counts meanwhile."""
    _joined(world, (0, 0))
    world.kill(1)
    world.boot(1, 2)
    _sent(world, 0)
    world.kill(0)
    world.pass_time(12)
    _sent(world, 1, 2)
    for query in list(world.server.running):
        _run(world, query)


def waits_again(world: World) -> None:
    """The retry under the token still runs, its answer lost, when the rows are counted."""
    _joined(world, (0, 0))
    _sent(world, 0)
    world.fail(0)
    _sent(world, 0)
    world.lose(0)
    _sent(world, 0, 2)
    for query in list(world.server.running):
        _run(world, query)


def retry_names_server(world: World) -> None:
    """The power fails between the question which server it is and the retry."""
    _joined(world, (0, 0))
    _sent(world, 0)
    world.lose(0)
    _run(world, world.server.running[0])
    _stage(world, 0, "retried")
    world.crash(cut=3)
    world.start_server()
    _later(world)


def retry_ends(world: World) -> None:
    """A worker falls asleep before its retry; the new owner, of other code, inserts under token#n."""
    _joined(world, (0, 0))
    world.kill(1)
    world.boot(1, 2)
    _sent(world, 0)
    world.fail(0)
    _stage(world, 0, "retried")
    world.freeze(0)
    world.pass_time(12)
    world.rounds(60)
    world.thaw(0)
    _later(world)


def statements_end(world: World) -> None:
    """A retry hangs until the window has forgotten the token that it carries."""
    _joined(world, (0, 0))
    _sent(world, 0)
    world.lose(0)
    _run(world, world.server.running[0])
    _sent(world, 0)
    world.pass_time(HOUR_SECONDS)
    for query in list(world.server.running):
        _run(world, query)


def marked_when_trusted(world: World) -> None:
    """A view fails; an audit finds the difference and inserts it; then the trusted retry heals the view's table too."""
    _joined(world, (0, 0))
    _sent(world, 0)
    _run(world, world.server.running[0], 2)
    world.fail(0)
    _audit(world, 1)
    _settled(world)


def _settled(world: World, number: int = 0) -> None:
    """A worker goes on until everything is stored."""
    names = [f"w{number} {what}" for what in ("background", "poll", "job 0", "job 1")]
    group = world.group
    _until(
        world,
        lambda: all(
            at.offset == end and not at.note for at, end in zip(group.committed, group.next_offset, strict=True)
        ),
        *names,
        "query 0",
    )


def _audit(world: World, number: int) -> None:
    """An audit of every hour, to its end."""
    world.audit(number)
    _until(world, lambda: False, f"w{number} auditor", "query 0")


def twice(world: World) -> None:
    """One read, while an insert is between the raw table and its rollup."""
    _joined(world, (0, 0))
    _sent(world, 0)
    first = world.server.running[0]
    _run(world, first, 2)
    world.audit(1)
    _until(world, lambda: len(world.server.running) > 1, "w1 auditor")
    for query in list(world.server.running):
        _run(world, query)
    world.rounds(2, only=[0])


def checksum(world: World) -> None:
    """Two reads, each with another batch in flight; their sums are equal."""
    _joined(world, (0, 0), (1, 0))
    _sent(world, 0)
    first = world.server.running[0]
    _run(world, first, 2)
    world.audit(0)
    _until(world, lambda: False, "w0 auditor")
    _sent(world, 1, 2)
    second = world.server.running[1]
    _run(world, first)
    _run(world, second, 2)
    _until(world, lambda: len(world.server.running) > 1, "w0 auditor")
    for query in reversed(world.server.running):
        _run(world, query)
    _run(world, second)


def read_again(world: World) -> None:
    """The answer to a repair is lost while it runs."""
    _joined(world, (0, 0))
    _sent(world, 0)
    _run(world, world.server.running[0], 2)
    world.crash()
    world.start_server()
    world.audit(1)
    _until(world, lambda: world.server.running, "w1 auditor")
    world.lose(0)
    _until(world, lambda: len(world.server.running) > 1, "w1 auditor")


def lease_in_statement(world: World) -> None:
    """An auditor falls asleep before its repair, another has its turn and repairs."""
    _joined(world, (0, 0))
    _sent(world, 0)
    _run(world, world.server.running[0], 2)
    world.crash()
    world.start_server()
    world.audit(0)
    worker = world.workers[0]
    assert worker is not None
    _until(world, lambda: worker.auditor.sending, "w0 auditor")
    world.freeze(0)
    world.pass_time(limits.LEASE_SECONDS + 1)
    _audit(world, 1)
    world.rounds(60)
    world.thaw(0)
    _until(world, lambda: world.server.running, "w0 auditor")
    for query in list(world.server.running):
        _run(world, query)


def end_guard(world: World) -> None:
    """A worker falls asleep before its guarded statement and wakes while that of the new owner runs."""
    _untrusted(world)
    world.freeze(0)
    world.pass_time(12)
    _sent(world, 1)
    world.thaw(0)
    _later(world, 2)


def results_dropped(world: World) -> None:
    """A job outlives two turns of its partition and brings its result in a third."""
    _joined(world, (0, 0))
    _sent(world, 0)
    _run(world, world.server.running[0])
    world.leave(0)
    world.pass_time(9)
    _left(world)
    _settled(world, 1)
    world.produce(0, 0)
    _settled(world, 1)
    world.kill(1)
    world.pass_time(12)
    worker = world.workers[0]
    assert worker is not None
    _until(world, lambda: 0 in worker.lanes, "w0 background", "w0 poll")


def _damaged(world: World, number: int) -> None:
    """The insert of a worker that reached the raw table alone, settled and marked."""
    _sent(world, number)
    _run(world, world.server.running[0], 2)
    world.crash()
    world.start_server()
    _settled(world, number)


def _steps(world: World, name: str, count: int) -> None:
    for _ in range(count):
        world.take(next(actor for actor in world.actors() if actor.name == name))


def clean_read(world: World) -> None:
    """An auditor loses its turn between the reads and the repair; the next has not repaired yet."""
    _joined(world, (0, 0))
    _damaged(world, 0)
    _steps(world, "w0 auditor", 6)
    world.freeze(0)
    world.pass_time(limits.LEASE_SECONDS + 1)
    _steps(world, "w1 auditor", 3)
    world.thaw(0)
    _steps(world, "w0 auditor", 4)


def unbroken_turn(world: World) -> None:
    """An auditor falls asleep between the reads and the repair; another repairs meanwhile, and its turn ends too."""
    _sleeps_through_two_turns(world, 6)


def held_at_once(world: World) -> None:
    """It falls asleep between the question whose turn it is and the renewal."""
    _sleeps_through_two_turns(world, 7)


def _sleeps_through_two_turns(world: World, steps: int) -> None:
    _joined(world, (0, 0))
    _damaged(world, 0)
    _steps(world, "w0 auditor", steps)
    world.freeze(0)
    world.pass_time(limits.LEASE_SECONDS + 1)
    _audit(world, 1)
    world.pass_time(limits.LEASE_SECONDS + 1)
    world.thaw(0)
    _until(world, lambda: world.server.running, "w0 auditor")
    for query in list(world.server.running):
        _run(world, query)


def marks_first(world: World) -> None:
    """An hour is marked once more after its last read."""
    _joined(world, (0, 0))
    _sent(world, 0)
    world.crash()
    world.start_server()
    _settled(world, 0)
    _steps(world, "w0 auditor", 4)
    world.produce(1, 0)
    _damaged(world, 1)
    _steps(world, "w0 auditor", 1)


def fresh_token(world: World) -> None:
    """A crash leaves the token of a repair without its part; the same difference is inserted again."""
    _joined(world, (0, 0))
    _damaged(world, 0)
    _until(world, lambda: world.server.running, "w1 auditor")
    _run(world, world.server.running[0], 1)
    world.crash()
    world.start_server()


def before_token_n(world: World) -> None:
    """Insert and retry leave nothing, token#2 leaves everything; then the worker is killed and the token looks unused."""
    _joined(world, (0, 0))
    for _ in range(2):
        _sent(world, 0)
        world.fail(0)
    _sent(world, 0)
    _run(world, world.server.running[0])
    world.kill(0)
    world.pass_time(12)
    _settled(world, 1)


def same_versions(world: World) -> None:
    """A view fails, and the new owner, of other code, retries with rows of its own."""
    _joined(world, (0, 0))
    _sent(world, 0)
    _run(world, world.server.running[0], 2)
    world.fail(0)
    world.kill(0)
    world.kill(1)
    world.boot(1, 2)
    world.pass_time(12)
    _settled(world, 1)


DIRECTED: dict[str, Callable[[World], None]] = {
    "revocation_waits": revocation_waits,
    "waits_for_running": waits_for_running,
    "waits_again": waits_again,
    "retry_names_server": retry_names_server,
    "retry_ends": retry_ends,
    "statements_end": statements_end,
    "marked_when_trusted": marked_when_trusted,
    "twice": twice,
    "waits_between": twice,
    "checksum": checksum,
    "read_again": read_again,
    "unbroken_turn": unbroken_turn,
    "held_at_once": held_at_once,
    "lease_in_statement": lease_in_statement,
    "before_token_n": before_token_n,
    "n_first": before_token_n,
    "end_guard": end_guard,
    "end_by_server": end_guard,
    "end_after_answer": end_guard,
    "results_dropped": results_dropped,
    "clean_read": clean_read,
    "marks_first": marks_first,
    "fresh_token": fresh_token,
}

# Second lines of defence: alone they change nothing that the model sees, for another condition holds; without both it fails.
SECOND_LINES = {
    "not_in_guard": "revocation_waits",
    "only_missing": "not_in_guard",
    "windows_everywhere": "marked_when_trusted",
    "views_on_retry": "marked_when_trusted",
    "same_versions": "marked_when_trusted",
}
DIRECTED_PAIRS: dict[str, Callable[[World], None]] = {
    "not_in_guard": late_statement,
    "same_versions": same_versions,
}


def play(schedule: Callable[[World], None], conditions: Conditions) -> Violation | None:
    """A schedule to its end, healed; the violation, if there is one."""
    world = World(conditions)
    try:
        schedule(world)
        world.heal()
    except Violation as violation:
        return violation
    return None
