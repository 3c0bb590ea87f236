//! A node's end against any coordinator.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| skep_wire::fuzz_targets::node_session(data));
