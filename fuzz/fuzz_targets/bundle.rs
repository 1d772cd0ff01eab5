#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| comity_tests::fuzz::bundle::run(bytes));
