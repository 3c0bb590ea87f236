//! Every bound of Skep, by name. Errors that enforce one say its name and value.

/// Tasks in one submission (a plan after its matrices are expanded).
pub const TASKS_PER_SUBMISSION_MAX: usize = 10_000;
/// Live tasks one coordinator accepts; beyond it submissions get 429.
pub const TASKS_LIVE_MAX: usize = 2_000_000;
/// Dependencies of one task.
pub const NEEDS_PER_TASK_MAX: usize = 1_000;
/// Characters in the name of a task, run, node, agent or label.
pub const NAME_LENGTH_MAX: usize = 128;
/// Bytes of one shell script.
pub const SCRIPT_BYTES_MAX: usize = 64 * 1024;
/// Environment variables of one task.
pub const ENV_VARS_MAX: usize = 256;
/// Bytes of one environment variable's value.
pub const ENV_VALUE_BYTES_MAX: usize = 32 * 1024;
/// Labels on one task, run, node or agent.
pub const LABELS_MAX: usize = 64;
/// Artifacts one attempt may hand in.
pub const ARTIFACTS_PER_ATTEMPT_MAX: usize = 1_000;
/// Bytes of one artifact.
pub const ARTIFACT_BYTES_MAX: u64 = 1 << 30;
/// Bytes of log kept per attempt; the middle of a longer one is dropped and the cut is marked.
pub const LOG_BYTES_PER_ATTEMPT_MAX: u64 = 16 << 20;
/// Characters of an error text kept with an attempt.
pub const ERROR_TEXT_MAX: usize = 4_096;
/// Gates of one task.
pub const GATES_PER_TASK_MAX: usize = 16;
/// Bytes of gate output kept as evidence in the result itself.
pub const GATE_EVIDENCE_BYTES_MAX: usize = 16 * 1024;

/// Characters of an idempotency key.
pub const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 128;
/// How long an idempotency key is remembered: 24 hours.
pub const IDEMPOTENCY_RETENTION_MS: u64 = 24 * 3_600 * 1_000;
/// Idempotency keys remembered; the oldest give way.
pub const IDEMPOTENCY_KEYS_MAX: usize = 1_000_000;

/// Smallest and largest priority.
pub const PRIORITY_MIN: u8 = 1;
/// See [`PRIORITY_MIN`].
pub const PRIORITY_MAX: u8 = 10;
/// Priority of a task that does not say.
pub const PRIORITY_DEFAULT: u8 = 5;
/// A waiting task gains one point of priority each time it has waited this long.
pub const PRIORITY_AGEING_STEP_MS: u64 = 60_000;

/// Attempts of a task unless it says otherwise.
pub const ATTEMPTS_DEFAULT: u32 = 3;
/// Attempts a task may ask for.
pub const ATTEMPTS_MAX: u32 = 100;
/// Grants of a task that nodes may hand back without having started them, before such a grant
/// counts as an attempt. It bounds what a task that no node takes writes into the log.
pub const HAND_BACKS_FREE_MAX: u32 = 20;
/// How often the attempt of one task is taken from a parked node and begun anew elsewhere; then it
/// waits.
pub const MOVES_MAX: u32 = 20;
/// First retry delay unless the task says otherwise; it doubles with each attempt.
pub const BACKOFF_INITIAL_MS: u64 = 1_000;
/// Longest retry delay unless the task says otherwise.
pub const BACKOFF_MAX_MS: u64 = 30_000;
/// Timeout of an attempt unless the task says otherwise: one hour.
pub const TIMEOUT_DEFAULT_MS: u64 = 3_600_000;
/// Longest timeout a task may ask for: seven days.
pub const TIMEOUT_MAX_MS: u64 = 7 * 24 * 3_600_000;
/// Time between TERM and KILL.
pub const KILL_GRACE_MS: u64 = 10_000;

/// A trusted server sends a heartbeat this often.
pub const HEARTBEAT_MS: u64 = 5_000;
/// A node that was silent this long gets no new work.
pub const SUSPECT_AFTER_MS: u64 = 15_000;
/// A lease lasts this long after the last heartbeat that was answered.
pub const LEASE_MS: u64 = 30_000;
/// Work is given to another node this long after the lease ended.
pub const LEASE_GRACE_MS: u64 = 5_000;
/// A node stops its own work at this share of the lease without an answer, in percent.
pub const SELF_FENCE_PERCENT: u64 = 70;

/// A consumer machine sends a heartbeat this often.
pub const CONSUMER_HEARTBEAT_MS: u64 = 15_000;
/// A consumer machine that was silent this long gets no new work.
pub const CONSUMER_SUSPECT_AFTER_MS: u64 = 45_000;
/// A lease of a consumer machine lasts this long after the last heartbeat that was answered.
pub const CONSUMER_LEASE_MS: u64 = 90_000;
/// Work of a consumer machine is given to another node this long after its lease ended.
pub const CONSUMER_LEASE_GRACE_MS: u64 = 15_000;

/// How long the attempts of a node with the policy `wait` wait for it: ten minutes.
pub const DISCONNECT_WAIT_MS: u64 = 600_000;
/// Longest time for which attempts wait for a node that is not heard, which is what the policy
/// `keep` means: a hundred years.
pub const HOLD_MS_MAX: u64 = 100 * 365 * 24 * 3_600_000;

/// How long a node is parked unless it is said: half an hour.
pub const PARK_DEFAULT_MS: u64 = 30 * 60_000;
/// Shortest time for which a node may be parked.
pub const PARK_MS_MIN: u64 = 1_000;
/// Longest time for which a node may be parked: a day.
pub const PARK_MS_MAX: u64 = 24 * 3_600_000;

/// An attached agent sends a heartbeat this often, if it sends any.
pub const SESSION_HEARTBEAT_MS: u64 = 60_000;
/// An attached agent that asked for nothing for so long counts as idle, not as about to ask.
pub const SESSION_IDLE_AFTER_MS: u64 = 120_000;
/// An attached agent that made no call for so long is offline, unless it works; with heartbeats in
/// the background also when it works.
pub const SESSION_OFFLINE_MS: u64 = 180_000;
/// A task that was given to an attached agent and not begun for so long goes back.
pub const CLAIM_TIMEOUT_MS: u64 = 300_000;
/// How long an attached agent that is known by its calls may work in silence on a task without a
/// timeout of its own: half an hour.
pub const WORKING_SILENCE_MS: u64 = 30 * 60_000;
/// An attached agent that was offline for so long is forgotten: a day.
pub const SESSION_FORGOTTEN_MS: u64 = 24 * 3_600_000;
/// Tasks that an attached agent has at a time.
pub const SESSION_SLOTS: u32 = 1;
/// How long a request for work waits at least: the scheduler has to decide.
pub const WORK_WAIT_MS_MIN: u64 = 250;
/// How long a request for work waits unless it says so.
pub const WORK_WAIT_DEFAULT_MS: u64 = 2_000;
/// Longest wait of a request for work.
pub const WORK_WAIT_MS_MAX: u64 = 60_000;
/// Bytes of the instructions of a task that is described in words.
pub const INSTRUCTIONS_BYTES_MAX: usize = 64 * 1024;
/// Bytes of what an attached agent says came of a task; more is an artifact.
pub const ACCOUNT_BYTES_MAX: usize = 64 * 1024;

/// Commands in one group commit.
pub const BATCH_COMMANDS_MAX: usize = 1_000;
/// Encoded bytes in one group commit.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// Commands that wait for the sequencer; beyond it callers get 429.
pub const PROPOSALS_QUEUED_MAX: usize = 8_192;
/// Grants in one decision of the dispatcher.
pub const GRANTS_PER_ROUND_MAX: usize = 1_024;
/// Log entries whose events are kept in memory for subscribers that reconnect.
pub const ENTRIES_IN_MEMORY_MAX: usize = 4_096;
/// Subscribers to the event stream.
pub const SUBSCRIBERS_MAX: usize = 1_024;

/// Bytes of one MCPX frame.
pub const FRAME_BYTES_MAX: usize = 8 << 20;
/// Assignments or results in one MCPX message.
pub const ITEMS_PER_FRAME_MAX: usize = 1_024;
/// Frames that wait for one connection; beyond it the connection is closed.
pub const FRAMES_QUEUED_MAX: usize = 1_024;
/// Bytes of the body of a request that needs no token: anybody can make the coordinator read it.
pub const OPEN_BODY_BYTES_MAX: usize = 16 << 10;
/// Bytes of one HTTP request body, artifacts excepted.
pub const BODY_BYTES_MAX: usize = 16 << 20;
/// Machines one coordinator keeps; seats of attached agents do not count.
pub const NODES_MAX: usize = 10_000;
/// Attached agents one coordinator keeps, those that are offline included.
pub const SESSIONS_MAX: usize = 4_096;
/// Agents one coordinator keeps.
pub const AGENTS_MAX: usize = 50_000;
/// Tokens one coordinator keeps.
pub const TOKENS_MAX: usize = 10_000;
/// Join tokens one coordinator keeps; those that are over give way.
pub const JOIN_TOKENS_MAX: usize = 1_000;
/// Machines that may join by one token.
pub const JOIN_USES_MAX: u32 = 10_000;
/// How long a join token lets machines in unless it says otherwise: one hour.
pub const JOIN_TTL_DEFAULT_MS: u64 = 3_600_000;
/// Longest time a join token may be good for: 90 days.
pub const JOIN_TTL_MAX_MS: u64 = 90 * 24 * 3_600_000;
/// How many machines a join token lets in unless it says otherwise.
pub const JOIN_USES_DEFAULT: u32 = 5;
/// Characters of the reason why a node is away.
pub const AWAY_REASON_LENGTH_MAX: usize = 256;
/// Graphics processors and models that a node may name.
pub const NODE_FACT_ITEMS_MAX: usize = 64;
/// Attempts that one node may run at a time.
pub const SLOTS_MAX: u32 = 4_096;
/// Items on one page of a listing.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// Items on a page unless the caller says otherwise.
pub const PAGE_ITEMS_DEFAULT: usize = 100;

/// Bytes of the name of a namespace in shared memory.
pub const NAMESPACE_BYTES_MAX: usize = 64;
/// Bytes of the key of an entry in shared memory.
pub const MEMORY_KEY_BYTES_MAX: usize = 512;
/// Bytes of one value in shared memory; a larger one is an artifact, and the value refers to it.
pub const MEMORY_VALUE_BYTES_MAX: usize = 1 << 20;
/// Tags of one entry.
pub const MEMORY_TAGS_MAX: usize = 32;
/// Bytes of one tag.
pub const MEMORY_TAG_BYTES_MAX: usize = 64;
/// Bytes of all metadata of one entry, names and values.
pub const MEMORY_METADATA_BYTES_MAX: usize = 4 << 10;
/// Bytes of the reason for a write.
pub const MEMORY_WHY_BYTES_MAX: usize = 512;
/// Shortest time to live of an entry: one second.
pub const MEMORY_TTL_MS_MIN: u64 = 1_000;
/// Longest time to live of an entry: ten years.
pub const MEMORY_TTL_MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
/// Writes to shared memory in one command.
pub const MEMORY_WRITES_PER_COMMAND_MAX: usize = 1_000;
/// Numbers of an embedding: the longest of models in use today have 4,096.
pub const EMBEDDING_DIMENSIONS_MAX: usize = 4_096;
/// What sealing may add to a value of shared memory.
pub const MEMORY_SEAL_BYTES: usize = 64;
/// Bytes of a sealed value of shared memory.
pub const MEMORY_SEALED_BYTES_MAX: usize = MEMORY_VALUE_BYTES_MAX + MEMORY_SEAL_BYTES;
/// Namespaces that one coordinator keeps.
pub const NAMESPACES_MAX: usize = 10_000;
/// Entries of shared memory in all namespaces, deleted ones that are remembered included. At about
/// 300 bytes each, besides keys and tags, they take 300 MB of memory.
pub const MEMORY_ENTRIES_MAX: usize = 1_000_000;
/// Entries of a namespace unless an operator says otherwise, deleted ones that are remembered
/// included.
pub const NAMESPACE_ENTRIES_DEFAULT: u64 = 100_000;
/// Bytes of a namespace unless an operator says otherwise: 1 GiB.
pub const NAMESPACE_QUOTA_BYTES_DEFAULT: u64 = 1 << 30;
/// Conflict strategies of one namespace.
pub const STRATEGY_RULES_MAX: usize = 32;
/// Open conflicts of one entry; further writes that would add one are refused.
pub const CONFLICTS_PER_ENTRY_MAX: usize = 16;
/// Replicas that one vector clock may name besides the log itself. A write is refused that would
/// leave an entry with a longer one.
pub const REPLICAS_PER_CLOCK_MAX: usize = 64;
/// How far the stamp of a write from elsewhere may be ahead of the log: five minutes. A clock that
/// is far ahead would win over everybody else until its time has come.
pub const CLOCK_SKEW_MS_MAX: u64 = 5 * 60_000;
/// How long a deleted entry is remembered where writes from elsewhere may come: 30 days.
pub const TOMBSTONE_KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Versions of one key that the history keeps.
pub const MEMORY_VERSIONS_KEPT: u32 = 16;
/// Entries that one command collects when they have expired; the next one goes on.
pub const MEMORY_EXPIRED_PER_COMMAND_MAX: usize = 1_000;
/// Entries that one page of a listing looks at; when it ends before it is full, it says where to go
/// on.
pub const MEMORY_SCAN_MAX: usize = 10_000;
/// Bytes of one value that the search reads.
pub const MEMORY_SEARCH_BYTES_MAX: usize = 64 << 10;

/// Schedules that one coordinator keeps.
pub const SCHEDULES_MAX: usize = 1_000;
/// Tasks that one schedule submits at a time.
pub const SCHEDULE_TASKS_MAX: usize = 1_000;
/// Bytes of what one schedule submits, as JSON: 256 KiB. It stays in memory and in checkpoints.
pub const SCHEDULE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a cron expression.
pub const SCHEDULE_EXPRESSION_BYTES_MAX: usize = 256;
/// Shortest span between two due times: one second.
pub const SCHEDULE_INTERVAL_MS_MIN: u64 = 1_000;
/// Longest span between two due times: 366 days.
pub const SCHEDULE_INTERVAL_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// How late a due time may be acted on before it counts as missed: one minute.
pub const SCHEDULE_GRACE_MS: u64 = 60_000;
/// Runs of one schedule that may be live at a time.
pub const SCHEDULE_RUNS_LIVE_MAX: usize = 64;
/// Firings that are proposed together; the others follow when the log has taken these.
pub const SCHEDULE_FIRINGS_IN_FLIGHT_MAX: usize = 64;

/// Triggers that one coordinator keeps: each event may be compared with all of them.
pub const TRIGGERS_MAX: usize = 256;
/// Things that one trigger waits for.
pub const TRIGGER_WATCHES_MAX: usize = 16;
/// Bytes of one pattern over names or keys.
pub const TRIGGER_PATTERN_BYTES_MAX: usize = 512;
/// Tasks that one trigger submits at a time.
pub const TRIGGER_TASKS_MAX: usize = 1_000;
/// Bytes of what one trigger submits, as JSON: 256 KiB. It stays in memory and in checkpoints.
pub const TRIGGER_BYTES_MAX: usize = 256 << 10;
/// Longest cool-down of a trigger: 366 days.
pub const TRIGGER_COOLDOWN_MS_MAX: u64 = 366 * 24 * 3_600_000;
/// Events that count for one trigger within a minute; further ones are skipped, and it is said.
pub const TRIGGER_FIRINGS_PER_MINUTE_MAX: u32 = 60;
/// Events that wait for their runs, of one trigger; further ones are skipped, and it is said.
pub const TRIGGER_PENDING_MAX: usize = 64;
/// Runs of one trigger that may be live at a time; further events wait.
pub const TRIGGER_RUNS_LIVE_MAX: usize = 64;
/// How many triggers may lie between a run and something that no trigger led to.
pub const TRIGGER_DEPTH_MAX: u8 = 8;
/// Firings of triggers that are proposed together; the others follow when the log has taken these.
pub const TRIGGER_FIRINGS_IN_FLIGHT_MAX: usize = 64;
