"""The protocol's conditions, each a switch: what it says and where it is written. Without any one of them the model fails."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import NamedTuple


def _said(says: str, source: str) -> bool:
    return field(default=True, metadata={"says": says, "source": source})  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Conditions:
    """All of them hold unless one is taken out."""

    # --- the log and the group
    same_partition: bool = _said(
        "a retry of an event lands in the partition of the event", "delivery.md From client to log; record.partition_of"
    )
    intent_first: bool = _said(
        "the intent is committed before its insert starts", "delivery.md step 3; Worker._commit before Jobs.run"
    )
    commit_acknowledged: bool = _said(
        "nothing starts when the commit was not acknowledged", "delivery.md step 3; Worker.step: if self._commit(...)"
    )
    only_assigned: bool = _said(
        "commits are for partitions assigned now", "delivery.md Conditions 1; KafkaReader.commit, Worker._lost"
    )
    results_dropped: bool = _said(
        "what an abandoned job brings is dropped",
        "delivery.md step 6; Worker._collect: a lane of its own for each turn",
    )
    revocation_waits: bool = _said(
        "a partition is given back when its job has ended or none of its statements can start any more",
        "the model; Worker._revoked",
    )
    inherited_settled: bool = _said(
        "a range named by the former owner is settled before anything is planned", "delivery.md step 1; Worker._plan"
    )
    exact_range: bool = _said("it is read again exactly, [a, b)", "delivery.md step 1; Lane.take_until")

    # --- the first insert
    first_deadline: bool = _said(
        "a first insert is not sent after the session could have ended", "delivery.md rule 3; Jobs._first: deadline"
    )
    first_checked_last: bool = _said(
        "that is checked immediately before it is sent",
        "delivery.md rule 3; Jobs._first: last line before the insert",
    )
    one_block: bool = _said("one block for each insert", "delivery.md Conditions; store.insert: req_block_size")
    statements_end: bool = _said(
        "no statement runs for longer than a minute", "delivery.md step 4: max_execution_time; store.insert"
    )
    sent_once: bool = _said(
        "neither driver nor server repeats an insert by itself", "delivery.md rule 5, last line; store._Once"
    )
    windows_everywhere: bool = _said(
        "each rollup has a deduplication window too", "delivery.md Conditions; clickhouse/*.sql {dedup_window}"
    )
    views_on_retry: bool = _said(
        "a retry that the raw table skips still runs the views",
        "delivery.md step 4; deduplicate_blocks_in_dependent_materialized_views=1",
    )

    # --- an insert in doubt
    waits_for_running: bool = _said(
        "nothing is settled while an INSERT of the partition runs", "delivery.md rule 1; doubt.wait_for_running"
    )
    waits_again: bool = _said(
        "a retry without an answer is waited for before rows are counted", "delivery.md rule 1; Jobs._settle"
    )
    same_server: bool = _said("a token is trusted on the server that took it", "delivery.md; doubt.trusted")
    grown_server: bool = _said(
        "which was up for some seconds, or it could not be told from its successor",
        "doubt.trusted: TRUST_UPTIME_SECONDS",
    )
    inside_window: bool = _said("and only well inside the window", "delivery.md; doubt.trusted: TRUST_SECONDS")
    same_versions: bool = _said(
        "and only by a worker that can make the same rows", "delivery.md Conditions; doubt.retry_under_token"
    )
    before_token_n: bool = _said(
        "and only while no token#n can have been used", "delivery.md rule 4; doubt.retry_under_token: attempt == 0"
    )
    retry_names_server: bool = _said(
        "the retry itself refuses to run on another server", "the model; doubt.retry_under_token"
    )
    retry_ends: bool = _said(
        "and is not sent after the session could have ended", "the model; doubt.retry_under_token: not_after"
    )
    rows_are_evidence: bool = _said(
        "where the token is not trusted, offsets in the raw table decide", "delivery.md rule 3; doubt.missing"
    )
    only_missing: bool = _said("only the missing rows are inserted", "delivery.md rule 3; doubt.insert_missing")
    n_first: bool = _said(
        "n is in the committed intent before token#n is used", "delivery.md rule 3; Worker._plan, Worker._commit"
    )
    new_n: bool = _said("each attempt has an n of its own", "delivery.md rule 3; Jobs.run: attempt + 1")
    not_in_guard: bool = _said(
        "the statement takes only offsets that are not there", "delivery.md rule 3; doubt._guarded: NOT IN"
    )
    end_guard: bool = _said(
        "the statement refuses to run after its end", "delivery.md rule 3; doubt._guarded: throwIf(now() > end)"
    )
    end_by_server: bool = _said(
        "the end is by the server's clock", "delivery.md: machines' clocks are never compared; doubt.ask_server"
    )
    end_after_answer: bool = _said(
        "what is left of the session is taken after the server told its time", "the model; Jobs._settle: left"
    )
    halves: bool = _said("rows that the store refuses are found by halving", "delivery.md rule 5; doubt.insert_missing")
    marked: bool = _said("the hours of what was settled without trust are marked", "delivery.md rule 4; Jobs._settle")
    marked_when_trusted: bool = _said(
        "and those of a trusted retry: an auditor may have repaired what the retry then heals",
        "the model; Jobs._settle: mark_doubtful",
    )
    mark_last: bool = _said("marks are written after the last insert", "delivery.md Repair; Jobs._settle")
    mark_before_commit: bool = _said(
        "and before the intent is committed away", "delivery.md rule 4; Jobs._settle: before _stored"
    )

    # --- rows
    rebuilt: bool = _said("windows are rebuilt on assignment", "delivery.md dedupe window; Jobs.rebuild")
    rebuilt_before: bool = _said("from rows before a", "delivery.md dedupe window; history.rebuild(end)")
    looked_up_before: bool = _said(
        "look-ups see only rows before a", "delivery.md dedupe window: log_offset < a; history.stored(before)"
    )
    full_compare: bool = _said(
        "a hash that hits is compared in full", "delivery.md dedupe window; batch._stored_before"
    )
    late_lookup: bool = _said("an event minted long before its receipt is looked up", "delivery.md; batch._suspect")
    windows_after: bool = _said(
        "windows are updated after the store, with what it took", "delivery.md Audit; batch.remember"
    )

    # --- repair
    twice: bool = _said("only what two reads agree on is damage", "delivery.md Repair; audit._audit")
    waits_between: bool = _said("between them every insert that ran has ended", "delivery.md Repair; audit._wait_for")
    checksum: bool = _said("a checksum tells equal events apart", "delivery.md Repair; difference.SUMS")
    fresh_token: bool = _said("a repair has a token never used before", "delivery.md Repair; audit._insert_difference")
    read_again: bool = _said("a repair without a reply is not repeated", "delivery.md Repair; audit._insert_difference")
    lease: bool = _said("one auditor at a time", "delivery.md Repair; auditor.Lease.renew")
    unbroken_turn: bool = _said(
        "a repair is made in the turn of its reads: a turn that has lapsed is not taken again",
        "the model; audit._audit",
    )
    held_at_once: bool = _said(
        "a turn is held for longer in the statement that sees it is still ours", "the model; auditor.Lease.renew"
    )
    lease_in_statement: bool = _said(
        "the repair itself refuses to run after the lease", "delivery.md Repair; auditor.Lease.guard"
    )
    marks_first: bool = _said("marks are read before the first query", "delivery.md Repair; Auditor.settle_doubtful")
    clean_read: bool = _said(
        "and cleared when a read shows no difference", "delivery.md Repair; Auditor.settle_doubtful"
    )
    hours_first: bool = _said(
        "hours come before the days that cascade from them", "delivery.md Repair; difference.ROLLUPS, truth"
    )


class Condition(NamedTuple):
    """One line of the table."""

    name: str
    says: str
    source: str


CONDITIONS = [Condition(f.name, f.metadata["says"], f.metadata["source"]) for f in fields(Conditions)]


def without(*names: str) -> Conditions:
    """All but these."""
    return replace(Conditions(), **dict.fromkeys(names, False))
