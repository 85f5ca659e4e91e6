//! The command line: turns options into typed plans, and is the only module that prints.

mod archive;
mod batch;
mod help;
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
mod password;
mod places;
mod pod;
mod pod_files;
mod pod_images;
mod progress;
mod reaper;
mod shell;
mod stderr;
mod suggest;
mod transform;
mod unwrap;
mod values;
mod verify;
mod wrap;

use crate::error::{Error, Result};
use crate::temporary;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};
use options::{Format, Global};
use output::Console;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

/// Retrofits container images with a static reaper as PID 1: one layer appended, nothing unpacked,
/// nothing rebuilt.
#[derive(Parser)]
#[command(name = "reapify", version, long_version = help::version(), disable_help_subcommand = true)]
#[command(after_help = help::TOPICS)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Wrap an image: add a reaper and start it as PID 1
    #[command(after_help = help::WRAP, override_usage = help::WRAP_USAGE)]
    Wrap(Box<wrap::Args>),
    /// Remove the reaper: restores the original image, digest for digest
    #[command(after_help = help::UNWRAP)]
    Unwrap(unwrap::Args),
    /// Show what becomes PID 1 of an image, whether it reaps zombies, and whether it can be stopped
    #[command(after_help = help::INSPECT)]
    Inspect(inspect::Args),
    /// Verify a wrapped image against its record and, optionally, its source
    #[command(after_help = help::VERIFY)]
    Verify(verify::Args),
    /// Check how the containers of Kubernetes documents handle zombies and signals, and patch the documents
    #[command(after_help = help::POD)]
    Pod(pod::Args),
    /// Mirror and wrap many images, as a regsync configuration describes
    #[command(after_help = help::MIRROR)]
    Mirror(mirror::Args),
    /// List the built-in reapers, or write one to a file
    #[command(after_help = help::REAPER)]
    Reaper(reaper::Args),
    /// Print a completion script for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(shell::Completions),
    /// Print the manual pages, or write one per command
    #[command(after_help = help::MAN)]
    Man(shell::Man),
    /// Print the help of a command or of a topic
    #[command(after_help = help::TOPICS)]
    Help(help::Args),
}

impl Command {
    /// Returns the image that the command is about.
    fn image(&self) -> Option<&str> {
        match self {
            Command::Wrap(args) => args.image(),
            Command::Unwrap(args) => Some(args.image()),
            Command::Inspect(args) => args.image(),
            Command::Verify(args) => Some(args.image()),
            Command::Pod(_)
            | Command::Mirror(_)
            | Command::Reaper(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Help(_) => None,
        }
    }

    /// Returns how the command takes credentials.
    fn credentials(&self) -> &'static str {
        match self {
            Command::Wrap(_) | Command::Unwrap(_) => "--creds, --src-creds or --dest-creds",
            Command::Verify(_) => "--creds, --src-creds or --source-creds",
            Command::Mirror(_) => "`creds` in the configuration",
            _ => "--creds",
        }
    }

    /// Returns the name of a command whose text has no other form.
    fn plain(&self) -> Option<&'static str> {
        match self {
            Command::Completions(_) => Some("completions"),
            Command::Man(_) => Some("man"),
            Command::Help(_) => Some("help"),
            _ => None,
        }
    }
}

/// Parses the command line, runs it, and turns the outcome into an exit code.
pub fn main() -> ExitCode {
    // Before anything that may wait.
    interrupt::install();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return misused(&error),
    };
    log::start(cli.global.verbose, cli.global.quiet);
    interrupt::set_format(cli.global.output);
    hints::set_credentials(cli.command.credentials());
    let console = Console::new(cli.global.verbose, cli.global.quiet, cli.global.output);
    if let Some(image) = cli.command.image() {
        console.set_last(image);
    }
    match run(cli, &console) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console.last_error(&error);
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Prints requested help, or the error in the command line.
fn misused(error: &clap::Error) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let wants_json = words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|two| two[0] == "--output" && two[1] == "json");
    let word = match error.get(ContextKind::InvalidSubcommand) {
        Some(ContextValue::String(word)) => word,
        _ => "",
    };
    if let Some(error) = suggest::command_of_others(word) {
        let format = if wants_json { Format::Json } else { Format::Text };
        Console::new(0, false, format).error(&error, None);
    } else if error.use_stderr() && wants_json {
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").lines().take_while(|line| !line.is_empty());
        let message: Vec<&str> = message.map(str::trim).collect();
        let error = Error::usage(message.join(" ")).hint("see --help");
        Console::new(0, false, Format::Json).error(&error, None);
    } else {
        // A closed pipe is not an error.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn run(cli: Cli, console: &Console) -> Result<()> {
    if cli.global.output == Format::Sarif && !matches!(cli.command, Command::Pod(_)) {
        return Err(Error::usage("--output sarif: only `reapify pod` has findings to report"));
    }
    if let Some(name) = cli.command.plain().filter(|_| cli.global.output == Format::Json) {
        return Err(Error::usage(format!("{name} has no JSON output; remove --output json")));
    }
    match cli.command {
        Command::Wrap(args) => wait(wrap::run(&cli.global, *args, console)),
        Command::Unwrap(args) => wait(unwrap::run(&cli.global, args, console)),
        Command::Inspect(args) => wait(inspect::run(&cli.global, args, console)),
        Command::Verify(args) => wait(verify::run(&cli.global, args, console)),
        Command::Pod(args) => wait(pod::run(&cli.global, args, console)),
        Command::Mirror(args) => wait(mirror::run(&cli.global, args, console)),
        Command::Reaper(args) => reaper::run(&cli.global, args),
        Command::Completions(args) => shell::completions(args, Cli::command()),
        Command::Man(args) => shell::man(&args, Cli::command()),
        Command::Help(args) => help::run(&args, Cli::command()),
    }
}

/// The time limit for cancelled tasks to end.
const LAST_STEPS: Duration = Duration::from_millis(200);
/// The number of worker threads. Tasks mostly wait, but two cores hash and encrypt two streams faster than
/// one.
const THREADS: usize = 4;

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(THREADS))
        .enable_all()
        .build()
        .map_err(|e| Error::other(format!("cannot start: {e}")))?;
    let outcome = runtime.block_on(interrupt::until_signal(work));
    // Tasks that still resolve a name or wait for a file must not delay the end for long.
    runtime.shutdown_timeout(LAST_STEPS);
    temporary::remove_all();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_has_the_same_headings_in_one_order() {
        let mut cli = Cli::command();
        cli.build();
        let known: Vec<String> = ["Arguments", "Options"]
            .into_iter()
            .chain(options::HEADINGS)
            .map(|name| format!("{name}:"))
            .collect();
        for command in cli.get_subcommands_mut() {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            let headings: Vec<&str> =
                help.lines().filter(|line| known.iter().any(|heading| heading == line)).collect();
            let expected: Vec<&str> =
                known.iter().map(String::as_str).filter(|heading| headings.contains(heading)).collect();
            assert_eq!(headings, expected, "{name}");
            let (before, output) = help.split_once("Output options:").expect("the options of all commands");
            for option in ["--verbose", "--quiet", "--output", "--progress"] {
                assert!(
                    output.contains(option) && !before.contains(&format!("{option} ")),
                    "{name}: {option}"
                );
            }
            assert!(help.contains("Examples:"), "{name}");
        }
    }
}
