//! The commands: one file each, or one for a tight family, with its tests.

pub(crate) mod agents;
pub(crate) mod assign;
mod attach;
pub(crate) mod cancel;
pub(crate) mod gate;
pub(crate) mod grant;
pub(crate) mod hand_back;
pub(crate) mod joining;
pub(crate) mod memory;
pub(crate) mod move_attempts;
pub(crate) mod nodes;
pub(crate) mod park;
pub(crate) mod pause;
pub(crate) mod progress;
pub(crate) mod register;
pub(crate) mod report;
pub(crate) mod retry;
pub(crate) mod schedules;
pub(crate) mod set_node;
pub(crate) mod submit;
pub(crate) mod timers;
pub(crate) mod tokens;
pub(crate) mod triggers;
pub(crate) mod update;
