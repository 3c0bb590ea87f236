//! Every error code of the API: its status, title and what to do about it, in one table.

/// What a caller can do about an error, apart from reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The same request will fail again.
    Useless,
    /// The same request may succeed later.
    Later,
}

macro_rules! error_codes {
    ($($variant:ident, $code:literal, $status:literal, $repeat:ident, $title:literal, $advice:literal;)+) => {
        /// A stable error code. Codes are only ever added.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ErrorCode {
            $(#[doc = $title] $variant,)+
        }

        impl ErrorCode {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in the `code` field of an error.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status that goes with it.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// A short title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// What to do about it.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$variant => $advice,)+ }
            }

            /// Whether repeating the same request can help.
            pub const fn repeat(self) -> Repeat {
                match self { $(Self::$variant => Repeat::$repeat,)+ }
            }
        }
    };
}

error_codes! {
    TokenMissing, "token_missing", 401, Useless, "A token is needed",
        "Send `Authorization: Bearer TOKEN`. The first token is in the file that `skep up` names when it starts; `skep token new` makes more.";
    TokenUnknown, "token_unknown", 401, Useless, "The token is not known",
        "The token was revoked, belongs to another installation, or was cut when it was copied. Make a new one with `skep token new`.";
    TokenExpired, "token_expired", 401, Useless, "The token has expired",
        "Make a new one with `skep token new`; leave the lifetime out for a token that does not end.";
    ReachExceeded, "reach_exceeded", 403, Useless, "A task may not give its children more than it has",
        "A child task runs at the isolation of its parent or better, reads what its parent reads, and uses its parent's workspace or a fresh one. Put what it needs into the plan instead.";
    ScopeMissing, "scope_missing", 403, Useless, "The token does not allow this",
        "Use a token that has the scope named in the detail. `skep token ls` shows what each token allows.";
    NotYourTask, "not_your_task", 403, Useless, "A task token works for its own task and run only",
        "Use the token of the attempt that makes the call, or a token of a person.";
    JoinTokenUnknown, "join_token_unknown", 401, Useless, "The join token is not known",
        "It was revoked, or belongs to another swarm. Ask for a new one: `skep token join` on the coordinator's machine makes it.";
    JoinTokenExpired, "join_token_expired", 401, Useless, "The join token has expired",
        "Ask for a new one: `skep token join` on the coordinator's machine makes it; `--ttl` says how long it is good for.";
    JoinTokenUsedUp, "join_token_used_up", 401, Useless, "The join token is used up",
        "As many machines joined by it as it lets in. Ask for a new one: `skep token join --uses N` on the coordinator's machine makes it.";
    AgentNeedsNoJoinToken, "agent_needs_no_join_token", 422, Useless, "Attached agents do not join by join tokens",
        "Join tokens let machines in. A session that asks for work needs a token with the scope `agent`: `skep token create NAME --scope agent`.";
    LoginRefused, "login_refused", 401, Useless, "The node did not prove who it is",
        "The node was removed, its key does not fit, or the challenge is too old. `skep node ls` on the coordinator shows whom it knows; a removed node joins anew by a new token.";
    NodeNotApproved, "node_not_approved", 403, Later, "The node waits for approval",
        "Compare the pairing code that the node shows with `skep node ls --pending`, then `skep node approve NODE`.";
    NotYourNode, "not_your_node", 403, Useless, "The token belongs to another node",
        "A node that joined by a token speaks for itself only. Give each machine a join of its own.";
    NotYourSession, "not_your_session", 403, Useless, "The session belongs to another token",
        "Whoever registered a session speaks for it, and an administrator. Register a session of your own.";
    HostRefused, "host_refused", 403, Useless, "The Host header names another machine",
        "The coordinator listens on loopback and answers only to loopback names, so that web pages cannot reach it by DNS rebinding. Call it as `127.0.0.1` or `localhost`.";
    OriginRefused, "origin_refused", 403, Useless, "The request comes from a foreign web page",
        "Web pages of other origins may not call the coordinator. Call it from the command line, or from the page it serves itself.";

    BodyMalformed, "body_malformed", 400, Useless, "The body cannot be read",
        "The detail says the line and column. `skep schema plan` prints what each body looks like.";
    BodyTooLarge, "body_too_large", 413, Useless, "The body is too large",
        "Send fewer tasks at a time; hand in large data as artifacts.";
    QueryMalformed, "query_malformed", 400, Useless, "A parameter cannot be read",
        "The detail names the parameter. `/openapi.json` lists the parameters of each route.";
    HeaderMalformed, "header_malformed", 400, Useless, "A header cannot be read",
        "The detail names the header and what it should hold.";
    MediaTypeUnsupported, "media_type_unsupported", 415, Useless, "The body is not JSON",
        "Send `Content-Type: application/json`, or leave the header out.";
    CallMalformed, "call_malformed", 400, Useless, "The frame is no question",
        "A question is a text frame with `id` and `operation`, and with `parameters`, `body`, `idempotency_key` and `if_match` as the operation needs them: see docs/calls.md.";
    CallUnsupported, "call_unsupported", 400, Useless, "The operation cannot be asked for in a frame",
        "Ask for it by HTTP: what goes in or comes out is bytes, or too long.";
    OperationUnknown, "operation_unknown", 404, Useless, "There is no such operation",
        "`/openapi.json` lists all of them: the name is `operationId`.";
    RouteUnknown, "route_unknown", 404, Useless, "There is no such route",
        "`/openapi.json` lists all routes; those of this version start with `/api/v2/`.";
    MethodNotAllowed, "method_not_allowed", 405, Useless, "The route does not take this method",
        "The `Allow` header lists the methods the route takes.";
    CursorMalformed, "cursor_malformed", 400, Useless, "The cursor cannot be read",
        "Use `next_cursor` of the page before as it is, with the same filters.";
    CursorExpired, "cursor_expired", 410, Useless, "Events after this cursor are no longer kept",
        "Read the present state with `GET /api/v2/tasks`, then follow the events from the cursor that `GET /api/v2/system/status` names.";
    CursorAhead, "cursor_ahead", 410, Useless, "The cursor lies after the newest event",
        "The cursor comes from another swarm, or from a time after the backup that was restored. Start again without a cursor: read the present state with `GET /api/v2/tasks`, then follow the events from the cursor that `GET /api/v2/system/status` names.";
    SubscribersFull, "subscribers_full", 429, Later, "Too many subscribers follow the events",
        "Close streams that nobody reads, or ask in intervals with `GET /api/v2/events?wait=30`.";
    IdempotencyKeyMalformed, "idempotency_key_malformed", 400, Useless, "The idempotency key cannot be used",
        "Use 1 to 128 visible ASCII characters, quoted or not.";
    IdempotencyKeyUnsupported, "idempotency_key_unsupported", 400, Useless, "This operation does not keep idempotency keys",
        "Leave the `Idempotency-Key` header out. The detail says how to find out whether an earlier call was done.";
    IdempotencyMismatch, "idempotency_mismatch", 422, Useless, "The idempotency key was used with another request",
        "Use a new key for a new request, or send exactly the earlier request to get its answer.";

    TaskNotFound, "task_not_found", 404, Useless, "There is no such task",
        "`skep task ls` shows the tasks; check that the id was copied whole.";
    RunNotFound, "run_not_found", 404, Useless, "There is no such run",
        "`skep run ls` shows the runs; check that the id was copied whole.";
    ScheduleNotFound, "schedule_not_found", 404, Useless, "There is no such schedule",
        "`skep schedule ls` shows the schedules by id and name.";
    TriggerNotFound, "trigger_not_found", 404, Useless, "There is no such trigger",
        "`skep trigger ls` shows the triggers by id and name.";
    NodeNotFound, "node_not_found", 404, Useless, "There is no such node",
        "`skep node ls` shows the nodes by id and name; a removed one is new when it connects again.";
    AgentNotFound, "agent_not_found", 404, Useless, "There is no such agent",
        "`GET /api/v2/agents` lists the agents by id and name; those of a removed node went with it.";
    SessionNotFound, "session_not_found", 404, Useless, "There is no such attached agent",
        "`GET /api/v2/sessions` lists the attached agents by id and name. One that was silent for a day, or said goodbye, has to register again.";
    TokenNotFound, "token_not_found", 404, Useless, "There is no such token",
        "`skep token ls` shows the tokens by id; the secret is not the id.";
    JoinTokenNotFound, "join_token_not_found", 404, Useless, "There is no such join token",
        "`skep token ls` shows the join tokens by id; the secret text is not the id.";
    ArtifactNotFound, "artifact_not_found", 404, Useless, "There is no such artifact",
        "`GET /api/v2/runs/{id}/artifacts` lists what a run handed in, with hashes.";
    AttemptNotFound, "attempt_not_found", 404, Useless, "The task has no such attempt",
        "Attempts are counted from 1; the task shows how many there are.";

    MemoryNotFound, "memory_not_found", 404, Useless, "There is no such entry in shared memory",
        "It was never written, was deleted, or has expired. `skep memory list NAMESPACE` shows what is there, `skep memory history` what was.";
    NamespaceNotFound, "namespace_not_found", 404, Useless, "There is no such namespace",
        "A namespace is there as long as something is in it or was said about it. `skep memory namespace list` lists them; a write makes one.";
    NamespaceForbidden, "namespace_forbidden", 403, Useless, "The namespace is not open to this caller",
        "The token of a task reads and writes `swarm`, `knowledge` and the namespace of its own run; a restricted namespace is open to holders of the scope `admin` only.";
    MemoryNameInvalid, "memory_name_invalid", 422, Useless, "A namespace, key or tag cannot be used",
        "The detail says which one, and what it may look like.";
    MemoryVersionConflict, "memory_version_conflict", 409, Useless, "The entry has another version",
        "`current_version` says which version is there; none is there without it. Read the entry again, decide anew, and write with its version.";
    MemoryContended, "memory_contended", 409, Later, "Others wrote the entry again and again meanwhile",
        "A single write was not done. A batch or a restoration may have been done before others wrote again: look before you repeat it. If it happens often, write to fewer keys at a time or use a key for each writer.";
    MemoryMergeFailed, "memory_merge_failed", 422, Useless, "The values cannot be merged",
        "The detail says which value has not the form that the merge function of the namespace is for. Read the entry, and write a merged value with its version.";
    MemoryConflictUnknown, "memory_conflict_unknown", 404, Useless, "The entry has no such open conflict",
        "`skep memory conflicts` lists what is open; somebody may have resolved it already.";
    MemoryClockInvalid, "memory_clock_invalid", 422, Useless, "The stamp of a write from elsewhere cannot be used",
        "The detail says what is wrong. A stamp holds a hybrid time and the writer's vector clock, its own write included; leave it out for a write of now.";
    MemoryTtlInvalid, "memory_ttl_invalid", 422, Useless, "The time to live is out of range",
        "One second to ten years, in whole seconds; leave it out for an entry that does not end.";
    MemoryValueTooLarge, "memory_value_too_large", 413, Useless, "The value is too large",
        "Hand in the bytes as an artifact, and write an entry that refers to it.";
    MemoryNotSealed, "memory_not_sealed", 422, Useless, "The value cannot be sealed, and the namespace is secret",
        "Write JSON or bytes of up to 1 MiB, without an artifact and without an embedding, or use a namespace that is not secret.";
    MemoryKeyUnusable, "memory_key_unusable", 500, Useless, "Sealed values cannot be opened",
        "They were sealed by the key in `memory.key` of the coordinator's data directory. Put back the copy of it that you keep, readable by its owner only.";
    EmbeddingInvalid, "embedding_invalid", 422, Useless, "The numbers are no embedding",
        "Give 1 to 4,096 finite numbers that are not all zero, as the model gave them.";
    EmbeddingUnavailable, "embedding_unavailable", 409, Useless, "No model server is configured",
        "Give `embedding` with the call, or start the coordinator with `--embedding-url` and `--embedding-model`.";
    EmbeddingFailed, "embedding_failed", 502, Later, "The model server gave no embedding",
        "The detail says what it answered. Nothing was written; the same call without `embed` would be.";
    MemoryQuotaExceeded, "memory_quota_exceeded", 507, Useless, "The namespace is full",
        "Delete entries, let them end by a time to live, or raise the quota with `PUT /api/v2/memory-namespaces/{namespace}`.";
    MemoryImportMalformed, "memory_import_malformed", 422, Useless, "A line of an import cannot be read",
        "The detail names the line. Lines before it may have been written; importing the repaired file again does no harm.";
    MemoryPeerUnknown, "memory_peer_unknown", 404, Useless, "There is no such peer",
        "The detail lists those that are configured. Peers are named in the configuration of the coordinator, under `[memory.peers.NAME]`, and never by their address in a call.";
    MemoryPeerUnreachable, "memory_peer_unreachable", 502, Later, "The peer did not answer",
        "The detail says what was done before. The next round goes on from there; nothing has to be undone.";
    MemoryPeerRefused, "memory_peer_refused", 502, Useless, "The peer refused",
        "The detail has its words and code. With `token_unknown` or `scope_missing` make a token there with `skep token new`, and put it into the `token_file` of the peer.";
    SnapshotNotFound, "snapshot_not_found", 404, Useless, "There is no such snapshot",
        "`skep memory snapshots` lists them; one is named by its namespace and its own name.";
    SnapshotTooLarge, "snapshot_too_large", 422, Useless, "The namespace is too large for a snapshot",
        "A snapshot is restored as one step, which bounds it; the detail names the bound. Use `skep memory export` and `skep memory import`, which go entry by entry.";
    SettingInvalid, "setting_invalid", 422, Useless, "A setting is not valid",
        "Nothing was changed. The detail says of each setting what is wrong and what to write instead; `skep config validate` checks the files.";
    ConfigurationUnavailable, "configuration_unavailable", 409, Useless, "The process has no configuration file",
        "Only a coordinator that `skep up` or `skep run` started reads one. Give flags to the program that embeds it instead.";
    DocumentInvalid, "document_invalid", 422, Useless, "An entry does not hold what it should",
        "The detail names the entry of shared memory and what is wrong with it. Write it anew, or remove it.";
    CompactionUnderWay, "compaction_under_way", 409, Later, "Another compaction is under way",
        "One is done at a time, in small steps. Ask again when it has ended, or ask for the same to wait for its end.";
    CompactionFailed, "compaction_failed", 500, Later, "The compaction ended early",
        "The detail says why. What was done by then stays done and harms nothing; `skep doctor` examines the store.";
    MemoryRefusedBefore, "memory_refused_before", 409, Useless, "The write was refused when the request first came",
        "The request was repeated under its idempotency key, and only what was written is remembered. Read the entry, and send the write alone under a new key.";

    AlreadyFinal, "already_final", 409, Useless, "It is already final",
        "What is final never changes. Read it to see how it ended; `retry` on a final task submits a copy.";
    TaskStateConflict, "task_state_conflict", 409, Useless, "The task's state does not allow this",
        "The detail says where the task stands. `GET /api/v2/tasks/{id}/explain` says what it waits for.";
    RunStateConflict, "run_state_conflict", 409, Useless, "The run's state does not allow this",
        "The detail says where the run stands. A run that rolls back or is final takes no more tasks.";
    FenceStale, "fence_stale", 409, Useless, "The attempt is no longer the current one",
        "The task was granted anew or is final. Stop this attempt: nothing it writes is taken in any more.";
    SessionBusy, "session_busy", 409, Later, "The session has a task already",
        "An attached agent has one task at a time. Complete it, say that it failed, or hand it back first.";
    TaskHeld, "task_held", 409, Later, "Somebody else has the task",
        "Ask for other work with `request-work`; the task comes back if its holder fails or is lost.";
    SessionUnfit, "session_unfit", 409, Useless, "The session is not fit for the task",
        "The detail says what is missing. Register again under the same name with the capabilities that the session really has.";
    TaskNotForAgents, "task_not_for_agents", 422, Useless, "A node runs this task, not an attached agent",
        "Attached agents take tasks that are described in words: those with `instructions`. Commands run on nodes, which also run their gates.";
    IdTaken, "id_taken", 409, Later, "An id is already taken",
        "Send the request again; new ids are made for it.";
    NameTaken, "name_taken", 409, Useless, "The name is already taken",
        "Choose another name, or remove what holds it.";
    ScheduleNotDue, "schedule_not_due", 409, Useless, "The schedule is not due",
        "The due time was acted on before, or the schedule is paused. `skep schedule show NAME` shows both.";
    MemoryNamespaceInUse, "memory_namespace_in_use", 409, Useless, "The namespace of shared memory is not empty",
        "Whether values are sealed is decided before the first entry. Use another namespace, or delete every entry of this one first.";
    NodeBusy, "node_busy", 409, Later, "The node still holds attempts",
        "Drain it with `skep node drain`, wait until it holds none, then remove it.";
    NodeGone, "node_gone", 409, Useless, "The node was given up or has left",
        "It holds nothing that could wait for it. When it is back, `skep node ls` shows it as ready.";
    ParkTimeInvalid, "park_time_invalid", 422, Useless, "A node cannot be parked for so long, or so short",
        "One second to one day: `skep node park NODE --for 30m`. Park it again before the time is over if it sleeps for longer.";
    AgentComesWithNode, "agent_comes_with_node", 409, Useless, "The agent came with its node",
        "Remove the node instead, or pause the agent.";
    GrantImpossible, "grant_impossible", 409, Later, "The agent cannot take the task now",
        "`GET /api/v2/tasks/{id}/explain` says why for each node.";
    InstanceReplaced, "instance_replaced", 409, Useless, "A newer process of the node is connected",
        "Two processes use the same node identity. Stop one of them, or give it a data directory of its own.";
    InstanceOld, "instance_old", 409, Useless, "A later process of the node is known",
        "The node was started again elsewhere, or its state directory was restored from a copy. Let it join anew with an empty state directory.";
    NodeCloned, "node_cloned", 409, Useless, "The node runs twice with one key",
        "A state directory was copied and both copies were started. Stop the copy, empty its state directory and let it join by a token of its own.";
    JoinUnavailable, "join_unavailable", 409, Useless, "No other machine can reach this coordinator",
        "It listens on loopback only. Start it with `skep up --listen 0.0.0.0:8600` to let other machines join.";
    BackupRefused, "backup_refused", 409, Useless, "No backup can be made there",
        "The detail says what is wrong with the place. Name a new or empty directory of the coordinator's machine, outside of its data.";
    BackupUnknown, "backup_unknown", 404, Useless, "There is no such backup",
        "Ids are looked up below `backups` beside the coordinator's data. Name a backup that lies elsewhere by its absolute path on that machine.";
    BackupUnusable, "backup_unusable", 422, Useless, "The backup cannot be restored",
        "The detail names what is missing or damaged; nothing was staged. `skep backup verify` reads everything of a backup. Use another one.";
    BackupFailed, "backup_failed", 500, Later, "The backup was not made",
        "The detail names the step and the file; nothing under the backup's name was left behind. `skep doctor` examines the store.";
    NodesMissing, "nodes_missing", 409, Later, "No node takes work",
        "Start one with `skep node start`, or resume a drained one with `skep node resume`.";
    BenchmarkStalled, "benchmark_stalled", 504, Later, "The tasks of the measurement did not end in time",
        "`GET /api/v2/analysis/bottlenecks` says what holds work up; the tasks that were submitted go on.";
    VersionConflict, "version_conflict", 412, Useless, "It changed since it was read",
        "Read it again, look at the change, and send `If-Match` with its new `version`.";

    PlanInvalid, "plan_invalid", 422, Useless, "The plan is not valid",
        "The detail lists each problem with its place. `skep plan FILE` shows the same without submitting.";
    WatchInvalid, "watch_invalid", 422, Useless, "This cannot be watched",
        "Write what is watched, what becomes of it, and patterns: `task failed name=build*`. The detail says what can be given; docs/triggers.md lists all of it.";
    CronInvalid, "cron_invalid", 422, Useless, "The cron expression is not valid",
        "The detail names the field and where it stands. Five fields are wanted: minute, hour, day of the month, month, weekday.";
    TimeZoneUnknown, "time_zone_unknown", 422, Useless, "The time zone is not known",
        "Give the IANA name of a zone, such as `Europe/Berlin`, or `UTC`. Zones come from the coordinator's machine: install its time zone data (`tzdata`) if the name is right.";
    TaskInvalid, "task_invalid", 422, Useless, "The task is not valid",
        "The detail names the key and what it should hold.";
    DependencyNotLive, "dependency_not_live", 422, Useless, "A needed task is not live",
        "A task can need tasks of the same submission and live tasks of its run. Leave out what is already final.";
    NeedsCycle, "needs_cycle", 422, Useless, "Tasks need each other in a circle",
        "The detail names a task of the circle; remove one of its needs.";
    LimitExceeded, "limit_exceeded", 422, Useless, "A limit is exceeded",
        "The detail names the limit, its value and what was given.";
    GateEvidenceMissing, "gate_evidence_missing", 422, Useless, "The report lacks the evidence of a gate",
        "A result is accepted only with what each declared gate said. Bring the node to the coordinator's version.";
    FieldInvalid, "field_invalid", 422, Useless, "A field holds a value that is not possible",
        "The detail names the field and what it should hold.";

    ArtifactMissing, "artifact_missing", 409, Later, "The bytes of an artifact are not here",
        "Upload the bytes with `PUT /api/v2/artifacts/{blake3}` before the result that names them.";
    ArtifactHashMismatch, "artifact_hash_mismatch", 422, Useless, "The bytes do not have the hash they were sent under",
        "The upload was thrown away. Compute BLAKE3 over the whole content and send it from offset 0.";
    ArtifactTooLarge, "artifact_too_large", 413, Useless, "The artifact is too large",
        "The detail names the limit. Split the file, or store it elsewhere and hand in a reference.";
    UploadOffsetMismatch, "upload_offset_mismatch", 409, Useless, "The upload does not continue where the last one ended",
        "Ask `HEAD` for `Upload-Offset` and send the bytes from there.";
    PatternInvalid, "pattern_invalid", 400, Useless, "The pattern is not a regular expression",
        "The detail says where it breaks. Escape characters such as `(` and `[` with a backslash.";

    Overloaded, "overloaded", 429, Later, "Too many requests wait",
        "Wait as long as `Retry-After` says. Submitting in batches of 100 to 1,000 tasks costs far less than one by one.";
    SwarmFull, "swarm_full", 429, Later, "The swarm holds as many live tasks as it may",
        "Wait until tasks are final, or cancel what is no longer wanted.";
    StorageLow, "storage_low", 507, Later, "The coordinator's disk is full",
        "Nothing was stored. Free space on the disk of the data directory; the coordinator goes on by itself.";
    Stopped, "stopped", 503, Later, "The coordinator is stopping or stopped",
        "Nothing was stored. Start it again with `skep up`; its log says why it stopped.";
    OutcomeUnknown, "outcome_unknown", 504, Later, "Whether it was done is not known",
        "The answer did not come in time. With an `Idempotency-Key` the request can be sent again safely for 24 hours; without one, look first.";
    Internal, "internal", 500, Later, "Something broke inside",
        "The coordinator's log has the cause under the request id of this answer.";
}

impl ErrorCode {
    /// The code with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == word)
    }
}

/// One page per code, as file name and Markdown text.
pub fn error_pages() -> Vec<(String, String)> {
    ErrorCode::ALL
        .iter()
        .map(|code| (format!("{}.md", code.as_str()), page(*code)))
        .collect()
}

fn page(code: ErrorCode) -> String {
    let repeat = match code.repeat() {
        Repeat::Useless => "The same request will fail again until something changes.",
        Repeat::Later => "The same request may succeed later.",
    };
    format!(
        "# `{word}`: {title}\n\nHTTP status: {status}. {repeat}\n\n## What to do\n\n{advice}\n",
        word = code.as_str(),
        title = code.title(),
        status = code.status(),
        advice = code.advice(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_page_that_says_what_to_do() {
        let pages = error_pages();
        assert_eq!(pages.len(), ErrorCode::ALL.len());
        for (code, (file, text)) in ErrorCode::ALL.iter().zip(&pages) {
            assert_eq!(*file, format!("{}.md", code.as_str()));
            assert!(
                code.advice().len() > 40 && code.advice().ends_with('.'),
                "{file}"
            );
            assert!(
                text.contains(code.advice()) && text.contains(code.title()),
                "{file}"
            );
        }
    }

    #[test]
    fn codes_are_unique_words_with_an_error_status() {
        let words: BTreeSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), ErrorCode::ALL.len());
        for code in ErrorCode::ALL {
            assert!((400..600).contains(&code.status()), "{}", code.as_str());
            assert!(
                code.as_str()
                    .bytes()
                    .all(|byte| byte == b'_' || byte.is_ascii_lowercase())
            );
            assert_eq!(ErrorCode::from_word(code.as_str()), Some(*code));
        }
    }
}
