#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| reapify::fuzzing::engine_answers(data));
