//! The command line: options become typed plans here, and only here is anything printed.

mod hints;
mod inspect;
mod inspect_text;
mod interrupt;
mod log;
mod mirror;
mod mirror_lines;
mod mirror_server;
mod mirror_setup;
mod options;
mod output;
mod places;
mod pod;
mod pod_files;
mod pod_images;
mod progress;
mod reaper;
mod shell;
mod unwrap;
mod verify;
mod wrap;

use crate::error::{Error, Result};
use crate::temporary;
use clap::{CommandFactory, Parser, Subcommand};
use options::{Format, Global};
use output::Console;
use std::process::ExitCode;
use std::time::Duration;

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
  7    the registry, the engine or the network failed, after retries
  8    `inspect --check` or `pod --check` found a problem; `mirror check` found work
  9    some images of a mirror failed; the others are done
  130  interrupted by Ctrl-C (SIGINT)
  143  ended by SIGTERM

Images are named as in skopeo, podman and buildah:
  [docker://]HOST/REPOSITORY[:TAG][@DIGEST]   oci:DIR[:TAG][@DIGEST]
  oci-archive:FILE[:TAG]                      docker-archive:FILE[:NAME:TAG]
  docker-daemon:NAME[:TAG]                    docker-daemon:ID
A FILE that is `-` is standard input or output. docker-daemon: is the Docker engine, or Podman's service, that
DOCKER_HOST or the Docker context names.";

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
    /// Tell who becomes PID 1 of an image, whether orphans are reaped, and whether it can be stopped
    Inspect(inspect::Args),
    /// Check that a wrapped image is what its record says, and what wrapping its source gives
    Verify(verify::Args),
    /// Tell how the containers of Kubernetes documents deal with zombies and signals, and patch the documents
    Pod(pod::Args),
    /// Mirror many images and wrap them on the way, as a regsync configuration says
    Mirror(mirror::Args),
    /// List the built-in reapers, or write one out
    Reaper(reaper::Args),
    /// Print a completion script for a shell
    Completions(shell::Completions),
    /// Print the manual page
    Man,
}

impl Command {
    /// The image that the command is about, as it was given.
    fn image(&self) -> Option<&str> {
        match self {
            Command::Wrap(args) => Some(args.image()),
            Command::Unwrap(args) => Some(args.image()),
            Command::Inspect(args) => args.image(),
            Command::Verify(args) => Some(args.image()),
            Command::Pod(_)
            | Command::Mirror(_)
            | Command::Reaper(_)
            | Command::Completions(_)
            | Command::Man => None,
        }
    }
}

/// Parses the command line, runs it, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    // Before anything that could wait.
    interrupt::install();
    let cli = Cli::parse();
    log::start(cli.global.verbose, cli.global.quiet);
    interrupt::speaks(cli.global.output);
    let console = Console::new(cli.global.verbose, cli.global.quiet, cli.global.output);
    let image = cli.command.image().map(String::from);
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.error(&error, image.as_deref());
            ExitCode::from(error.kind().exit_code())
        }
    }
}

fn run(cli: Cli, console: &Console) -> Result<()> {
    if cli.global.output == Format::Sarif && !matches!(cli.command, Command::Pod(_)) {
        return Err(Error::usage("--output sarif: only `reapify pod` has findings to report"));
    }
    match cli.command {
        Command::Wrap(args) => wait(wrap::run(&cli.global, *args, console)),
        Command::Unwrap(args) => wait(unwrap::run(&cli.global, args, console)),
        Command::Inspect(args) => wait(inspect::run(&cli.global, args, console)),
        Command::Verify(args) => wait(verify::run(&cli.global, args, console)),
        Command::Pod(args) => wait(pod::run(&cli.global, args, console)),
        Command::Mirror(args) => wait(mirror::run(&cli.global, args, console)),
        Command::Reaper(args) => reaper::run(&cli.global, args),
        Command::Completions(_) | Command::Man if cli.global.output == Format::Json => {
            Err(Error::usage("--output json: this command prints a text that has no other form"))
        }
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man => shell::man(Cli::command()),
    }
}

/// How long tasks that were given up may take to end.
const LAST_STEPS: Duration = Duration::from_millis(200);
/// Threads for the work. Most of it is waiting, but two streams are hashed and encrypted faster on two cores than on one.
const THREADS: usize = 4;

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(THREADS))
        .enable_all()
        .build()
        .map_err(|e| Error::other(format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(interrupt::until_signal(work));
    // Whoever still looks up a name, or waits for a file, does not hold up the end for long.
    runtime.shutdown_timeout(LAST_STEPS);
    temporary::remove_all();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_each_heading_once_and_in_one_order() {
        let mut cli = Cli::command();
        cli.build();
        for name in ["wrap", "unwrap", "inspect", "verify", "pod", "reaper", "completions", "man"] {
            let command = cli.find_subcommand_mut(name).expect("a command");
            let help = command.render_long_help().to_string();
            let known = ["Arguments:", "Options:", "Registry options:", "Global options:"];
            let headings: Vec<&str> =
                help.lines().filter(|line| line.ends_with(':') && !line.starts_with(' ')).collect();
            let expected: Vec<&str> =
                known.into_iter().filter(|heading| headings.contains(heading)).collect();
            assert_eq!(headings, expected, "{name}");
            let (before, global) = help.split_once("Global options:").expect("the options of all commands");
            for option in ["--verbose", "--quiet", "--output"] {
                assert!(global.contains(option) && !before.contains(option), "{name}: {option}");
            }
            if let Some((before, _)) = before.split_once("Registry options:") {
                for option in ["-creds", "-password-stdin", "--ca-file", "--jobs"] {
                    assert!(!before.contains(option), "{name}: {option} is for registries");
                }
            }
        }
    }
}
