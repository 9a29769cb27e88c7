"""Kafka as it was measured: the log's partitions, and the group that checks member and generation but never ownership."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from pipeline import limits
from pipeline.log import Position

if TYPE_CHECKING:
    from tests.model.world import World

PARTITIONS = 2
SESSION_SECONDS = limits.SESSION_SECONDS


class Record(NamedTuple):
    """One message of the log."""

    partition: int
    offset: int
    identity: int
    trace: int
    hour: int
    minted: int
    received: int
    refused: bool  # the store will not take its row


class LogError(Exception):
    """A commit that was not acknowledged: it may have been taken all the same."""


class Client:
    """The member's side in a worker's process: what the client library knows, and the callbacks its poll thread has to serve."""

    def __init__(self) -> None:
        self.member: int | None = None
        self.generation = 0
        self.assigned: set[int] = set()  # as far as the callbacks were served
        self.callbacks: list[tuple[str, set[int]]] = []

    def next_callback(self) -> tuple[str, set[int]] | None:
        """The callback to serve next; it stays until `served`."""
        return self.callbacks[0] if self.callbacks else None


class Member:
    """The group's side."""

    def __init__(self, client: Client, deadline: int) -> None:
        self.client = client
        self.deadline = deadline  # of its session
        self.joined = True
        self.owned: set[int] = set()  # as it said when it joined


class Group:
    """Members, generations, sessions; cooperative and sticky: a partition is given only when it was given back."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.log: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.next_offset = [0] * PARTITIONS
        self.committed: list[Position] = [Position(0, "")] * PARTITIONS
        self.members: dict[int, Member] = {}
        self.generation = 0
        self.rebalancing = False
        self._next_member = 0

    # --- the log

    def append(
        self, partition: int, identity: int, trace: int, hour: int, minted: int, refused: bool, gap: int
    ) -> None:
        """A record; offsets may have gaps."""
        offset = self.next_offset[partition] + gap
        self.log[partition].append(Record(partition, offset, identity, trace, hour, minted, self._world.now, refused))
        self.next_offset[partition] = offset + 1

    def read(self, partition: int, start: int, end: int) -> list[Record]:
        """The records of [start, end)."""
        return [record for record in self.log[partition] if start <= record.offset < end]

    # --- the client library's background thread: heartbeats and joins go on while the application works

    def wants_background(self, client: Client) -> bool:
        """Whether it has anything to do."""
        if client.member is None or client.member not in self.members:
            return not client.callbacks or client.member is not None
        return self.rebalancing and not client.callbacks and not self.members[client.member].joined

    def background(self, client: Client) -> None:
        """One step of it."""
        if client.member is not None and client.member not in self.members:
            client.member = None  # UNKNOWN_MEMBER_ID: what it owned is another's
            client.callbacks = [("lost", set(client.assigned))] if client.assigned else []
        elif client.callbacks:
            return  # it joins again when the application has served them
        elif client.member is None:
            self._join(client)
        elif self.rebalancing:
            member = self.members[client.member]
            member.joined, member.owned = True, set(client.assigned)
            self._complete()

    def _join(self, client: Client) -> None:
        client.member = self._next_member
        self._next_member += 1
        self.rebalance()
        self.members[client.member] = Member(client, self._world.now + SESSION_SECONDS)
        self._complete()

    def served(self, client: Client) -> None:
        """A callback has returned."""
        kind, partitions = client.callbacks.pop(0)
        if kind == "assigned":
            client.assigned |= partitions
            return
        client.assigned -= partitions
        if kind == "revoked":
            self.rebalance()

    # --- the coordinator

    def rebalance(self) -> None:
        """Every member has to join again."""
        if not self.rebalancing:
            self.rebalancing = True
            for member in self.members.values():
                member.joined = False

    def _complete(self) -> None:
        """All have joined: a new generation, and what it gives to each."""
        members = list(self.members.values())
        if not self.rebalancing or not all(member.joined for member in members):
            return
        self.rebalancing = False
        self.generation += 1
        owned = {p for member in members for p in member.owned}
        targets = _balanced([member.owned for member in members])
        for member, target in zip(members, targets, strict=True):
            client = member.client
            client.generation = self.generation
            taken, given = member.owned - target, target - owned
            client.callbacks += [("revoked", taken)] if taken else []
            client.callbacks += [("assigned", given)] if given else []
            if taken:
                self._world.hit("a rebalance took partitions away")

    def remove(self, number: int | None) -> None:
        """A member that left, or whose session ran out."""
        if self.members.pop(number, None) is not None:  # type: ignore[arg-type]
            self.rebalance()
            if self.members:
                self._complete()
            else:
                self.rebalancing = False

    def pass_time(self, alive: set[int]) -> None:
        """Heartbeats of the members that are alive; the sessions of the others run out."""
        for number, member in list(self.members.items()):
            if number in alive:
                member.deadline = self._world.now + SESSION_SECONDS
            elif self._world.now >= member.deadline:
                self._world.hit("a session ran out")
                self.remove(number)

    def commit(self, client: Client, positions: Mapping[int, Position]) -> None:
        """Member and generation are checked, ownership never; taken while a rebalance waits, too. Raises LogError."""
        member = self.members.get(-1 if client.member is None else client.member)
        if member is None or client.generation != self.generation:
            self._world.hit("a commit was fenced")
            raise LogError("fenced")
        if self.rebalancing:
            self._world.hit("a commit while a rebalance waits")
        member.deadline = self._world.now + SESSION_SECONDS
        self._world.say(f"    (committed: {[(p, at.offset, at.note[:3]) for p, at in positions.items()]})")
        for partition, position in positions.items():
            before, self.committed[partition] = self.committed[partition], position
            self._world.check_commit(partition, before.offset, position.offset)


def _balanced(owned: list[set[int]]) -> list[set[int]]:
    """Evenly, and a partition stays where it is as long as that is even."""
    targets = [set(share) for share in owned]
    for partition in sorted(set(range(PARTITIONS)) - set().union(*owned)):
        min(targets, key=len).add(partition)
    while max(map(len, targets)) - min(map(len, targets)) > 1:
        fullest = max(targets, key=len)
        partition = max(fullest)
        fullest.remove(partition)
        min(targets, key=len).add(partition)
    return targets
