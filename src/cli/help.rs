//! `reapify help`: the help of commands, and topics that several commands share.

use super::output;
use super::values::AnyText;
use crate::error::{Error, Result};
use crate::reapers::Reapers;
use std::sync::LazyLock;

#[derive(clap::Args)]
pub struct Args {
    /// A command such as `wrap` or `mirror once`, or a topic
    #[arg(value_name = "COMMAND|TOPIC", value_parser = AnyText(&WORDS), hide_possible_values = true)]
    words: Vec<String>,
}

/// The words that `help` takes first.
const WORDS: [&str; 14] = [
    "wrap",
    "unwrap",
    "inspect",
    "verify",
    "pod",
    "mirror",
    "reaper",
    "completions",
    "man",
    "help",
    "environment",
    "exit-codes",
    "reaper-options",
    "transports",
];

/// The end of `reapify --help`.
pub const TOPICS: &str = "\
Examples:
  reapify help wrap
  reapify help exit-codes

Topics:
  environment     environment variables
  exit-codes      what each exit code means
  reaper-options  the options of the reaper in the image
  transports      how images are named";

/// The usage of `wrap`, in which a list replaces both names.
pub const WRAP_USAGE: &str = "\
reapify wrap [OPTIONS] <SOURCE> <DESTINATION>
       reapify wrap [OPTIONS] --batch <FILE>";

pub const WRAP: &str = "\
Examples:
  reapify wrap registry.example/app:1.4 registry.example/app:1.4-reaped
  reapify wrap --dry-run registry.example/app:1.4 registry.example/app:1.4
  docker build -t app . && reapify wrap docker-daemon:app:latest registry.example/app:1.4
  docker save app | reapify wrap docker-archive:- docker-archive:- | docker load
  reapify wrap --batch images.txt --output json";

pub const UNWRAP: &str = "\
Examples:
  reapify unwrap registry.example/app:1.4-reaped registry.example/app:1.4
  reapify unwrap oci:app:reaped oci:app:original";

pub const INSPECT: &str = "\
Examples:
  reapify inspect registry.example/app:1.4
  reapify inspect --check=strict registry.example/app:1.4 && echo nothing to do
  reapify inspect --output json docker-archive:app.tar";

pub const VERIFY: &str = "\
Examples:
  reapify verify registry.example/app:1.4-reaped
  reapify verify --deep --source registry.example/app:1.4 registry.example/app:1.4-reaped";

pub const POD: &str = "\
Examples:
  reapify pod deployment.yaml
  helm template chart | reapify pod --images --check -
  reapify pod --patch --map app:1.4=app:1.4-reaped deployment.yaml";

pub const MIRROR: &str = "\
Examples:
  reapify mirror once --config regsync.yml --report report.jsonl
  reapify mirror check --config regsync.yml
  reapify mirror server --config regsync.yml --listen 127.0.0.1:8080";

pub const REAPER: &str = "\
Examples:
  reapify reaper --list
  reapify reaper linux/arm64 --file reaper";

pub const COMPLETIONS: &str = "\
Examples:
  reapify completions bash > /etc/bash_completion.d/reapify
  reapify completions zsh > ~/.zfunc/_reapify";

pub const MAN: &str = "\
Examples:
  reapify man | man -l -
  reapify man --dir /usr/local/share/man/man1";

const ENVIRONMENT: &str = "\
Credentials:
  REAPIFY_CREDS         USER[:PASSWORD] for both the source and the destination (--creds)
  REAPIFY_SRC_CREDS     for the source (--src-creds)
  REAPIFY_DEST_CREDS    for the destination (--dest-creds)
  REAPIFY_SOURCE_CREDS  for the image of `verify --source` (--source-creds)
  REGISTRY_AUTH_FILE    podman's auth.json
  DOCKER_CONFIG         the directory of docker's config.json
  XDG_RUNTIME_DIR       the directory of containers/auth.json

Network:
  HTTPS_PROXY, HTTP_PROXY, NO_PROXY  proxies, and hosts that are reached without one
  SSL_CERT_FILE, SSL_CERT_DIR        CA certificates in place of the system's

Docker engine (docker-daemon:):
  DOCKER_HOST, DOCKER_CONTEXT        the engine
  DOCKER_TLS, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH  TLS to an engine on a tcp:// address

Files:
  XDG_CACHE_HOME  the directory of what `inspect` and `pod` keep about layers
  TMPDIR          the directory of temporary files, such as images from standard input

Terminal:
  NO_COLOR  no colours
  TERM      progress lines are not redrawn if it is `dumb`

Mirror:
  JOB_COMPLETION_INDEX, REAPIFY_SHARDS  the part of the work that this process does (--shard)";

const EXIT_CODES: &str = "  0    done: wrapped, already wrapped, or skipped with a reason
  1    any other error
  2    usage: an invalid name or option, or a platform that the image does not have
  3    image not found
  4    access denied
  5    image not supported: malformed, ambiguous, an artifact, no reaper for it
  6    verification failed: a digest or a size does not match
  7    the registry, the engine or the network failed, after retries
  8    `inspect --check` or `pod --check` found a problem; `mirror check` found work
  9    some images of a mirror or a list failed; the others are done
  129  ended by SIGHUP: the terminal was closed
  130  interrupted by Ctrl-C (SIGINT)
  143  terminated by SIGTERM

`mirror server` exits with 0 when Ctrl-C or SIGTERM stops it.";

const REAPER_OPTIONS: &str = "\
These options are stored in the image's entrypoint. `wrap` sets the first three; any of them can be set with
--reaper-arg.

  -t SECONDS  time between SIGTERM and SIGKILL for processes that are left when the main process exits
              (wrap --grace)
  -g          send signals to the whole process group of the main process (wrap --group)
  -r FROM:TO  translate a signal before it is forwarded (wrap --rewrite)
  -e CODE     report this exit code of the main process as 0
  -p SIGNAL   send this signal to the reaper when its parent exits
  -s          become a subreaper if it is not PID 1, which is the default
  -w          warn about each orphan that is reaped
  -v          log more; may be repeated

The variables REAPER_* and TINI_* of the container override them: see reaper/README.md in the sources.";

const TRANSPORTS: &str = "\
Images are named as in skopeo, podman and buildah.

  [docker://]HOST/REPOSITORY[:TAG][@DIGEST]  a registry; Docker Hub's host may be left out
  oci:DIR[:TAG][@DIGEST]                     an OCI image layout in a directory
  oci-archive:FILE[:TAG]                     an OCI image layout in a tar file
  docker-archive:FILE[:NAME:TAG]             what `docker save` writes
  docker-daemon:NAME[:TAG]                   an image of the Docker engine, or of Podman's service
  docker-daemon:ID                           the same, by its ID; as a source only

FILE may be `-`: standard input or standard output. Archives may be compressed with gzip or zstd. `:@N` instead of a
tag selects the image at a position, counted from 0. The engine is the one of DOCKER_HOST or of the Docker context.";

/// All topics: name, title and text.
const ALL: [(&str, &str, &str); 4] = [
    ("environment", "Environment variables:", ENVIRONMENT),
    ("exit-codes", "Exit codes:", EXIT_CODES),
    ("reaper-options", "Options of the reaper:", REAPER_OPTIONS),
    ("transports", "Transports:", TRANSPORTS),
];

/// Returns the sections of a manual page that every command shares, by the page that lists it: the page of the program
/// has them, and the others refer to it.
pub fn sections(parent: &str) -> Vec<(&'static str, &'static str)> {
    match parent {
        "" => vec![
            ("EXIT STATUS", EXIT_CODES),
            ("ENVIRONMENT", ENVIRONMENT),
            ("IMAGE NAMES", TRANSPORTS),
            ("VERSION", env!("CARGO_PKG_VERSION")),
        ],
        _ => vec![("SEE ALSO", "reapify(1) has the exit status, the environment and the names of images.")],
    }
}

/// Prints the help of a command, or a topic.
pub fn run(args: &Args, mut command: clap::Command) -> Result<()> {
    command.build();
    if let [topic] = &args.words[..]
        && let Some((_, title, text)) = ALL.iter().find(|(name, ..)| name == topic)
    {
        return output::result(&format!("{title}\n\n{text}"), false);
    }
    let mut found = &mut command;
    for word in &args.words {
        found = found.find_subcommand_mut(word).ok_or_else(|| {
            let topics = ALL.map(|(name, ..)| name).join(", ");
            Error::usage(format!("no command or topic {:?}", args.words.join(" ")))
                .hint(format!("run `reapify --help` for the commands; topics: {topics}"))
        })?;
    }
    output::raw(&found.render_long_help().to_string())
}

/// Returns the long form of the version, with the built-in reapers.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let reapers = Reapers::default();
        let lines = reapers
            .embedded()
            .iter()
            .map(|reaper| format!("\n  {:<15} {}", reaper.platform.to_string(), reaper.digest));
        format!("{}\n\nReapers:{}", env!("CARGO_PKG_VERSION"), lines.collect::<String>())
    });
    &VERSION
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn help_takes_every_command_and_topic() {
        let command = super::super::Cli::command();
        let commands = command.get_subcommands().map(|command| command.get_name().to_owned());
        let words: Vec<String> = commands.chain(ALL.map(|(name, ..)| name.to_owned())).collect();
        assert_eq!(words, WORDS);
    }
}
