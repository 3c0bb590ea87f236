//! The words of Skep: ids, units, limits, records, commands and events.
//!
//! Every other crate speaks in these types. Those that derive `Serialize` are
//! promises: the log stores them (postcard, versioned by [`command::LOG_FORMAT`])
//! and the surfaces show them as JSON.
//!
//! This crate may not: do I/O, read a clock, draw randomness, or decide anything.

pub mod agent;
pub mod attempt;
pub mod command;
pub mod event;
mod finished_task;
pub mod hold;
pub mod ids;
pub mod isolation;
pub mod join;
pub mod limits;
pub mod memory;
pub mod node;
pub mod planted;
pub mod refusal;
pub mod requirements;
pub mod row;
pub mod run;
pub mod schedule;
pub mod session;
pub mod task;
mod task_state;
pub mod template;
pub mod time;
pub mod token;
pub mod trigger;
pub mod work;
