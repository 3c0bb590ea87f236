//! The bridge between MCP and MCPX.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| skep_wire::fuzz_targets::bridge(data));
