//! The tests' Google Cloud Storage as a program, for benchmarks and for trying things by hand.
//!
//! ```text
//! cargo run --example fake-gcs -- state:my-state my-artifacts
//! export STORAGE_EMULATOR_HOST=http://127.0.0.1:…      # the line that it prints
//! ```
//! A bucket after `state:` is as strict as in the tests; others can also be made by a POST.

#![expect(clippy::unwrap_used, reason = "a server that cannot start has nothing else to do")]

#[path = "../tests/it/support/gcs.rs"]
#[expect(dead_code, reason = "tests use the rest")]
mod gcs;

use std::io::Write;

fn main() {
    let server = gcs::Gcs::start();
    for bucket in std::env::args().skip(1) {
        match bucket.strip_prefix("state:") {
            Some(bucket) => server.state(bucket),
            None => server.bucket(&bucket),
        }
    }
    let mut out = std::io::stdout();
    writeln!(out, "{}", server.endpoint()).unwrap();
    out.flush().unwrap();
    loop {
        std::thread::park();
    }
}
