//! The bounds of a session that are nobody else's business; shared ones are in
//! [`skep_model::limits`].

use skep_model::limits::SESSION_HEARTBEAT_MS;

/// Version of the protocol that this crate speaks.
pub const PROTOCOL_VERSION: &str = "1.0";
/// Sessions are possible between ends whose versions agree in this part.
pub const PROTOCOL_MAJOR: &str = "1";

/// From the opened connection to the answered synchronisation; both ends close a slower one.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
/// From the order to connect to the opened connection; the node tries again after that.
pub const CONNECT_TIMEOUT_MS: u64 = 15_000;
/// Largest delay before the first try to connect again; it doubles with each failure. The delay
/// itself is drawn evenly between 0 and the bound (full jitter).
pub const RECONNECT_INITIAL_MS: u64 = 250;
/// Largest bound of that delay. Well below the time a node may hold its work without an answer.
pub const RECONNECT_MAX_MS: u64 = 5_000;
/// A node whose hello was refused because the coordinator's disk is full waits at least this long.
/// With the delay above it says hello several times per lease, and so keeps it.
pub const STORAGE_FULL_RETRY_MS: u64 = 1_000;
/// Doublings of that bound that are counted; `RECONNECT_MAX_MS` is reached before.
pub const RECONNECT_DOUBLINGS_MAX: u32 = 16;
/// A node closes a connection on which nothing came in for this share of the lease, in percent:
/// several heartbeats are missed by then, and there is time to connect again before it must stop
/// its work at `SELF_FENCE_PERCENT`.
pub const SILENCE_PERCENT: u64 = 40;
/// Heartbeats are sent up to this many percent earlier or later, so that nodes do not march in
/// step.
pub const HEARTBEAT_JITTER_PERCENT: u64 = 20;
/// Shortest heartbeat interval and lease that a node follows, so that a broken welcome cannot
/// make it spin.
pub const TIMER_MS_MIN: u64 = 10;
/// Longest heartbeat interval and lease that a node follows: one day.
pub const TIMER_MS_MAX: u64 = 24 * 3_600 * 1_000;

/// Malformed or misplaced messages that one connection survives; the next one closes it.
pub const BAD_MESSAGES_MAX: u32 = 8;
/// Characters of a request id that was chosen by the peer.
pub const REQUEST_ID_LENGTH_MAX: usize = 64;
/// Characters of a peer's text that are repeated in an error message.
pub const ECHO_LENGTH_MAX: usize = 64;

/// Characters of a parser's explanation that are passed on.
pub const DETAIL_LENGTH_MAX: usize = 256;

/// Requests with results that a node sends without waiting for answers.
pub const RESULT_REQUESTS_IN_FLIGHT_MAX: usize = 4;
/// Requests with results that a coordinator has unanswered per connection; more are refused.
pub const RESULT_REQUESTS_PENDING_MAX: usize = 16;
/// A result request that is not answered by then makes the node close the connection.
pub const RESULT_ANSWER_TIMEOUT_MS: u64 = 30_000;
/// Refused results are sent again after this time.
pub const RESULT_RETRY_MS: u64 = 5_000;
/// Assignments that a node has not answered, in requests; beyond it the connection is closed.
pub const ASSIGN_REQUESTS_UNANSWERED_MAX: usize = 1_024;
/// Heartbeats a node remembers as unanswered; older ones can no longer renew its lease.
pub const HEARTBEATS_UNANSWERED_MAX: usize = 16;

/// Unanswered results at which a node takes no new work.
pub const SPOOLED_REPORTS_MAX: usize = 8_192;
/// Attempts in one synchronisation: all that a node can hold and spool, with room to spare.
/// Results beyond it need no verdict: they are simply sent.
pub const SYNC_ITEMS_MAX: usize = 16_384;
/// Ended attempts that a node remembers, so that a repeated assignment is not run again.
pub const ENDED_ATTEMPTS_REMEMBERED_MAX: usize = 65_536;
/// An attempt that ends sooner costs no progress message.
pub const PROGRESS_DELAY_MS: u64 = 100;
/// A node that was told to stop leaves after this time, with or without answers. Longer than
/// `KILL_GRACE_MS`, so that killed attempts can still be reported.
pub const SHUTDOWN_TIMEOUT_MS: u64 = 15_000;
/// A node that was told to stop says so first, and waits this long for the coordinator to say that
/// nothing more comes. What was granted before arrives in that time and is handed back.
pub const STOP_NOTICE_TIMEOUT_MS: u64 = 2_000;
/// How long the coordinator may take to say that a node goes on, of which it was told so.
pub const PARK_NOTICE_TIMEOUT_MS: u64 = 10_000;
/// Heartbeats whose round trips a node keeps.
pub const ROUND_TRIPS_KEPT: usize = 5;

/// An assignment that a living node leaves unanswered this long did not arrive: the connection is
/// closed, and the next synchronisation sorts out who holds what.
pub const ASSIGN_ANSWER_TIMEOUT_MS: u64 = 10_000;

/// Binary frames above this size are compressed when both ends agreed on it. Below it the frame
/// does not get smaller by what the work costs.
pub const COMPRESS_ABOVE_BYTES: usize = 1_024;
/// Nesting of values in a binary frame; that of text frames is bounded by the JSON reader.
pub const NESTING_MAX: usize = 128;
/// Bytes before the packed values of a binary frame: its form, and the unpacked length.
pub const BINARY_HEAD_BYTES_MAX: usize = 5;
/// Bytes of a message id or an idempotency key in `_meta`.
pub const MESSAGE_NAME_LENGTH_MAX: usize = 128;

/// Answers that an end keeps to repeat them to requests that come again.
pub const ANSWERS_REMEMBERED_MAX: usize = 256;
/// Bytes of those answers; larger ones are not kept, and their requests are refused when they
/// come again.
pub const ANSWER_BYTES_REMEMBERED_MAX: usize = 1 << 20;
/// Requests of a node about its attempts that wait for an answer, on either side.
pub const ASKS_IN_FLIGHT_MAX: usize = 64;
/// A request of a node about an attempt is given up after this time.
pub const ASK_TIMEOUT_MS: u64 = 30_000;
/// Requests to give attempts back that wait for an answer, per connection.
pub const BALANCE_REQUESTS_IN_FLIGHT_MAX: usize = 16;
/// Tasks named in one request of a node, or added by it.
pub const TASKS_PER_REQUEST_MAX: usize = 1_024;
/// Assignments that wait in a coordinator's end for credit; more come back as refused.
pub const ASSIGNMENTS_WAITING_MAX: usize = 8_192;
/// Results that a coordinator takes on before it has answered for others.
pub const RESULT_CREDIT_ITEMS: u64 = 4_096;
/// Bytes of those results. At least one frame of any size.
pub const RESULT_CREDIT_BYTES: u64 = 16 << 20;
/// Assignments under way to a node before it has read others.
pub const ASSIGN_CREDIT_ITEMS: u64 = 1_024;
/// Bytes of those assignments. At least one frame of any size.
pub const ASSIGN_CREDIT_BYTES: u64 = 8 << 20;
/// Instances that one broadcast may go to.
pub const BROADCAST_INSTANCES_MAX: usize = 16_384;

/// Requests of an attached agent that wait for an answer; they are answered one after the other.
pub const AGENT_REQUESTS_WAITING_MAX: usize = 16;
/// An attached agent that was not heard for so long is given nothing, although it wants work: one
/// heartbeat and a half.
pub const AGENT_ASKS_SILENCE_MS: u64 = SESSION_HEARTBEAT_MS / 2 * 3;
/// An attached agent gives a connection up on which a request was not answered for so long. Longer
/// than the coordinator waits for its log.
pub const AGENT_ANSWER_TIMEOUT_MS: u64 = 45_000;
/// A leave of an attached agent that is not answered by then is over all the same.
pub const AGENT_LEAVE_TIMEOUT_MS: u64 = 5_000;
/// Notes of an attached agent that wait for a connection; the oldest give way.
pub const AGENT_NOTES_WAITING_MAX: usize = 64;
