//! A coordinator's end against any node.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| skep_wire::fuzz_targets::coordinator_session(data));
