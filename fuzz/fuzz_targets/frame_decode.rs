//! Frames, as text and as binary.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| skep_wire::fuzz_targets::frame_decode(data));
