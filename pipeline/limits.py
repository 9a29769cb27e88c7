"""Every limit, unit last in its name, with its reason."""

# --- a request to the collector; all bytes are counted after decompression, while decompressing
BODY_BYTES = 8 * 1024 * 1024  # one batch must fit a log message buffer several times over
BATCH_EVENTS = 1_000
EVENT_BYTES = 1024 * 1024  # as compact UTF-8 JSON; below the log's message.max.bytes with its envelope
NESTING_LEVELS = 64  # deeper rejects the event
BODY_NESTING_LEVELS = 1_000  # deeper rejects the body: parsers recurse
HEAD_SECONDS = 10  # a request's head must arrive in this time
BODY_SECONDS = 15  # the body, plus one second for each BODY_RATE_BYTES of it
BODY_RATE_BYTES = 64 * 1024

# --- spans of a request to the collector (OTLP); its bytes are bounded as those of events are
OTLP_SPANS = 20_000  # exporters send 512 at once, gateways 8,192
OTLP_OBJECTS = 300_000  # spans, attributes and values: 8 MiB of real ones have no more, of empty ones ten times as many
OTLP_VALUE_LEVELS = 32  # of lists and maps in an attribute; deeper ones are absent
RAW_USAGE_CHARS = 16 * 1024  # of a usage object that a span carries as text
SPAN_ERROR_CHARS = 16 * 1024  # of an error's text: emitters put whole answers there
SPAN_REST_BYTES = 128 * 1024  # of EVENT_BYTES, for what is not content

# --- fields of an event, in code points
TRACE_ID_CHARS = 64
NAME_CHARS = 128
REASON_CHARS = 64  # finish_reason, error_code
SESSION_ID_CHARS = 128  # also operation, tool_name, tiers
MODEL_CHARS = 128
AGENT_CHARS = 120
TAG_KEYS = 32
TAG_KEY_CHARS = 64
TAG_VALUE_CHARS = 256
ATTRIBUTE_CHARS = 1_024  # an attribute of a CloudEvent: most stand in metadata
METADATA_BYTES = 16 * 1024  # without tags
TOKENS_MAX = 2**32 - 1
DURATION_MS = 10**12  # thirty years: above it is no duration
COST_DECIMALS = 9
COST_INTEGER_DIGITS = 9  # Decimal(18, 9)
NUMBER_DIGITS = 400  # longer numbers are refused before anything converts them

# --- time
FUTURE_SECONDS = 10 * 60
PAST_SECONDS = 90 * 86_400
DEDUPE_WINDOW_SECONDS = 30 * 60  # identities received in this time are kept in memory
LATE_MINT_SECONDS = 15 * 60  # minted longer ago than this: looked up in the table
CLOCK_OFF_SECONDS = 2 * 86_400  # by how much the clocks of two collectors may differ and a repeat still be found
TRACE_WINDOW_SECONDS = 60 * 60  # a trace resumed later counts again, unless its id is a UUIDv7

# --- collector
PUBLISH_BUFFER_BYTES = 64 * 1024 * 1024  # waiting for the log; a full one answers 503
REJECTIONS_SECONDS = 10  # between two records that tell an account how many of its events were rejected
PUBLISH_SECONDS = 5  # then 503; the producer gives up before
SHUTDOWN_SECONDS = 25
DISK_SHARE = 0.85  # of a disk of the log: past it nothing more is taken, a broker whose disk is full dies
DISK_ROOM_BYTES = 4 * 1024**3  # unless so much is left
DISK_LOOK_SECONDS = 2
HELD_BYTES = 48 * 1024 * 1024  # bodies being read, decompressed and published, of all requests; beyond it 503
HELD_REQUEST_BYTES = 16 * 1024  # what a request costs beside its body
CONNECTIONS = 2_000  # open at once; beyond it the one that has been idle longest makes room
HEAD_BYTES = 32 * 1024  # of one head, or of what stands around the chunks of a body
HEADS_BYTES = 16 * 1024 * 1024  # of all heads that have not ended yet
READ_BYTES = 32 * 1024  # taken from one socket at a time: every open socket may have as much ready
DRAIN_SECONDS = 10  # after SIGTERM: how long connections are told to go elsewhere
LAST_SECONDS = 2  # and how long those who came last are, when nobody else can connect
DRAIN_QUIET_SECONDS = 1  # less, when nobody asks any more

# --- the embedded store
STORE_ROOM_BYTES = 256 * 1024 * 1024  # left on its disk, or a twentieth of a small one; with less nothing is written
STORE_ROOM_LOOK_SECONDS = 0.02

# --- worker
BATCH_ROWS = 20_000  # rows of one insert
BATCH_LOG_BYTES = 32 * 1024 * 1024
FLUSH_SECONDS = 0.25  # the first record of a batch waits no longer
BUFFER_RECORDS = 60_000  # read ahead per worker; then the partitions are paused
BUFFER_BYTES = 96 * 1024 * 1024  # the same in bytes: records of 1 MiB are few
LAG_ALARM_SHARE = 0.5  # of what the log holds: further behind than this is an alarm, its retention deletes unseen
TOO_MANY_PARTS_SECONDS = 5  # no try before this when the store says that merges cannot keep up
SESSION_SECONDS = 10
COMMIT_SECONDS = 5  # a commit that takes longer ends the process
INSERT_SECONDS = 60
COMMIT_METADATA_BYTES = 4_096
DEAD_LETTER_RATIO = 0.5  # of the last DEAD_LETTER_SAMPLE records; above it the worker stops
DEAD_LETTER_SAMPLE = 2_000
TRUST_SECONDS = 3_600  # an intent younger than this is inside every deduplication window
TRUST_UPTIME_SECONDS = 6  # of the server when the intent was planned: younger ones cannot be told from their successor
RETRY_SECONDS = 1.0  # from asking which server is up to sending it a retry under its token
LEASE_SECONDS = (
    15  # of an auditor's turn, renewed before each repair; one that died holds up the next no longer than this
)
SCRATCH_SECONDS = 3_600  # a scratch table older than this belongs to nobody
AUDIT_SECONDS = 2  # between looks for doubtful hours: repaired within a minute, unasked
AUDIT_CLOSED_SECONDS = 60  # between looks for closed hours
AUDIT_CLOSED_AFTER_SECONDS = 15 * 60  # an hour is closed when stragglers of live traffic are in
AUDIT_BACK_SECONDS = 50 * 3_600  # how far behind the last audited hour one may have been left out
TAG_VALUES_PER_KEY = 20_000  # a day; above it the auditor takes a key out of the counted set
FOLD_EVENTS = 5_000  # of an account's hour or day: with fewer its rollups answer as fast
FOLD_SPANS = 200  # folded in one look
FOLD_STATEMENT_EVENTS = 1_000_000  # of the spans folded by one statement: what it holds in memory
FOLD_SECONDS = 60  # between looks; a span that moved since the last look waits for the next
FOLD_BACK_SECONDS = 3 * 86_400  # how far back those look
FOLD_ALL_SECONDS = 1_800  # between looks as far back as FOLD_ALL_BACK_SECONDS
FOLD_ALL_BACK_SECONDS = 190 * 86_400  # ninety days and the ninety before them, which they are compared with
FOLD_AGE_SECONDS = 30  # a fold is read from this age on: every replica has it by then
FOLD_SWEEP_SECONDS = 3_600  # rows of a fold that was replaced stay so long: a question may be reading them
KEPT_ROWS = 400_000  # of answers about closed hours that a query service keeps: some 100 MB
KEPT_QUESTIONS = 4_000  # about which something is kept, or it is known since when their sums stand
KEPT_USERS = 50_000  # of one answer, where sums by user are asked for only in order to keep them
KEPT_SECONDS = 3_600  # and for how long
KEPT_SETTLED_SECONDS = (
    30  # the sums of what is kept have stood so long before it was read: every rollup and replica has it by then
)
EDGE_SECONDS = 120  # of the hour that a rolling window begins in: so long what was read of it holds
EDGE_EVENTS = 20_000  # in that time, each of which is kept by its instant; with more the edge is read each time
AHEAD_SECONDS = (
    60  # an account with events dated behind now is read from raw rows so long, not first from the hour's rollup
)
BUDGET_REVIEW_SECONDS = 300  # between the auditor's counts of values per key
BUDGET_QUERY_SECONDS = 15  # the query service asks for new versions as often
BUDGET_AGE_SECONDS = 60  # workers apply a version when every query service has seen it

# --- query
PAGE_ROWS = 1_000
PAGE_ROWS_DEFAULT = 50
ANSWER_ROWS = 200_000  # of an answer that is made row by row, of 1.7 KB each; users are columns, and may be more
EXPORTS = 2  # made at a time in each process, a part of one after a part of another: pages go before them
BUCKETS = 10_000  # days or hours of one answer, the empty ones too
CURSOR_SECONDS = 15 * 60
QUESTIONS_PER_MINUTE = 1_200  # with one key, in each process: a dashboard asks some ten for a page
PAGES_KEPT = 200  # of one account: answers whose later pages can still be asked for
PAGES_KEPT_ROWS = 250_000  # of all accounts in one process, of 1.7 KB each
QUERY_SECONDS = 30
SIGN_IN_SECONDS = 12 * 3_600  # a session of the dashboard
LINK_SECONDS = 24 * 3_600  # a sign-in link that nobody used
