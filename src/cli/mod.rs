//! The command line: options become typed plans here, and only here is anything printed.

mod inspect;
mod interrupt;
mod log;
mod options;
mod output;
mod places;
mod reaper;
mod shell;
mod unwrap;
mod verify;
mod wrap;

use crate::error::{Error, Result};
use clap::{CommandFactory, Parser, Subcommand};
use interrupt::interruptible;
use options::Global;
use output::Console;
use std::process::ExitCode;

/// The table of exit codes, as `--help` shows it.
const EXIT_CODES: &str = "\
Exit codes:
  0    done: wrapped, already wrapped, or skipped with a reason
  1    anything not named here
  2    usage: a reference or option that cannot be understood, no such platform
  3    image not found
  4    access denied
  5    image not supported: malformed, ambiguous, an artifact, no reaper for it
  6    verification failed: a digest or a size does not match
  7    the registry or the network failed, after retries
  8    `inspect --check` found an image without a reaper
  130  interrupted by Ctrl-C (SIGINT)
  143  ended by SIGTERM

Images are named as in skopeo, podman and buildah:
  [docker://]HOST/REPOSITORY[:TAG][@DIGEST]   oci:DIR[:TAG][@DIGEST]
  oci-archive:FILE[:TAG]                      docker-archive:FILE[:NAME:TAG]
A FILE that is `-` is standard input or output.";

/// Retrofits container images with a static reaper as PID 1: one layer appended, nothing unpacked,
/// nothing rebuilt.
#[derive(Parser)]
#[command(name = "reapify", version, after_long_help = EXIT_CODES, after_help = "`reapify --help` lists the exit codes.")]
#[command(propagate_version = true, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Put the reaper in front of an image's entrypoint
    Wrap(Box<wrap::Args>),
    /// Take the reaper away again: the image comes back digest for digest
    Unwrap(unwrap::Args),
    /// Tell how an image starts, and whether and by what it is wrapped
    Inspect(inspect::Args),
    /// Check that a wrapped image is what its record says, and what wrapping its source gives
    Verify(verify::Args),
    /// List the built-in reapers, or write one out
    Reaper(reaper::Args),
    /// Print a completion script for a shell
    Completions(shell::Completions),
    /// Print the manual page
    Man,
}

/// Parses the command line, runs it, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    // Before anything that could wait.
    interrupt::install();
    let cli = Cli::parse();
    log::start(cli.global.verbose, cli.global.quiet);
    let console = Console::new(cli.global.verbose, cli.global.quiet);
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<()> {
    match cli.command {
        Command::Wrap(args) => wait(wrap::run(&cli.global, *args, console)),
        Command::Unwrap(args) => wait(unwrap::run(&cli.global, args, console)),
        Command::Inspect(args) => wait(inspect::run(&cli.global, args, console)),
        Command::Verify(args) => wait(verify::run(&cli.global, args, console)),
        Command::Reaper(args) => reaper::run(args),
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man => shell::man(Cli::command()),
    }
}

/// One thread: the work is waiting, and hashing is faster than any network.
fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Error::other(format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(interrupt::until_signal(work));
    // Whoever still looks up a name, or waits for a file, does not hold up the end.
    runtime.shutdown_background();
    outcome
}
