//! One module per verb, or per family of verbs.

pub(crate) mod agent;
pub(crate) mod analyse;
pub(crate) mod artifact;
pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod debug_bundle;
pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod hooks;
pub(crate) mod join;
mod joined_node;
pub(crate) mod mcp;
pub(crate) mod memory;
pub(crate) mod merge;
pub(crate) mod node;
mod node_profile;
mod node_start;
mod node_table;
mod park;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod schedule;
pub(crate) mod service;
pub(crate) mod submit;
pub(crate) mod task;
mod task_split;
pub(crate) mod token;
pub(crate) mod trigger;
pub(crate) mod up;
pub(crate) mod wait;
pub(crate) mod watch;
pub(crate) mod work;

use crate::api::Api;
use crate::args::Global;
use crate::exit::Failure;
use crate::output::Output;
use crate::places::Places;
use crate::settings::Settings;

/// What every command is given.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) global: Global,
    pub(crate) places: Places,
    pub(crate) output: Output,
    pub(crate) settings: Settings,
}

impl Session {
    /// A client for the coordinator.
    pub(crate) fn api(&self) -> Result<Api, Failure> {
        Ok(Api::new(crate::connection::client(
            &self.global,
            &self.places,
        )?))
    }
}
