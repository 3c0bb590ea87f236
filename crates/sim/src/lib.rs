//! The deterministic simulator: a whole swarm in virtual time, with faults drawn from a seed.
//!
//! The core, the scheduler, the coordinator's engine and both ends of the node session run
//! unchanged. Simulated are only the clock, the network, the disks, the attempts and the clients.
//! [`run_seed`] plays one seed: first with faults, checking safety at every step, then without,
//! checking that everything accepted reaches its end.
//!
//! This crate may not: contain logic of the swarm, read a real clock, or draw randomness other
//! than from the seed.

mod attempts;
mod breakage;
mod client;
mod connecting;
mod coordinator;
mod disk;
mod faults;
mod happening;
mod joining;
mod laptops;
mod members;
mod memory;
mod network;
mod node;
mod oracle;
mod plans;
mod policies;
mod random;
mod schedules;
mod sessions;
mod traffic;
mod triggers;
mod twins;
mod world;

pub use world::{Report, run_seed};
