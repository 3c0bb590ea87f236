//! Routes against a real hive over a real store.

mod answer;
mod clock;
mod fixture;

mod access;
mod agent_line;
mod calls;
mod events;
mod instances;
mod joining;
mod linearizability;
mod memory;
mod memory_closed;
mod memory_conflicts;
mod memory_meaning;
mod memory_model;
mod memory_orders;
mod memory_refusals;
mod memory_secrets;
mod memory_transfer;
mod node_requests;
mod node_session;
mod pages;
mod protocol;
mod refusals;
mod registry;
mod resources;
mod schedules;
mod seats;
mod sessions;
mod stalled;
mod thirteen_commands;
mod triggers;
mod unified_swarm;
mod websocket;
mod work;
