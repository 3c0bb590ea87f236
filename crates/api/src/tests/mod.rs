//! Routes against a real hive over a real store.

mod answer;
mod fixture;

mod access;
mod events;
mod node_session;
mod pages;
mod protocol;
mod registry;
mod resources;
mod work;
