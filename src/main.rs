//! See [`reapify`].
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    reapify::cli::main()
}
