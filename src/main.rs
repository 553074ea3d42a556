//! The process: everything else is the library's.

use std::process::ExitCode;

fn main() -> ExitCode {
    chronon_plan::cli::main()
}
