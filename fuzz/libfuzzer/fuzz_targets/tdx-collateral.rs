#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some(target) = zkpass_fuzz::target("tdx-collateral") {
        (target.run)(input);
    }
});
