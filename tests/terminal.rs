//! Progress, colours and questions on a terminal, through `script`, which gives a program a terminal of its own.

mod support;

use std::time::Duration;

use support::image::{Image, file};
use support::registry::{Act, Kind, Registry};
use support::run::{Outcome, reapify, tool};
use support::{scratch, zombies};

/// Runs a shell command on a terminal with this many columns. Its standard input is not the terminal's.
fn on_terminal(columns: u16, command: &str, settings: &[(&str, &str)]) -> Outcome {
    let command = format!("stty -F /dev/tty rows 24 cols {columns}; {command}");
    let run = tool("script", ["--quiet", "--return", "--command", &command, "/dev/null"]);
    let run = run.env("TERM", "xterm").env("HOME", "/nonexistent");
    settings.iter().fold(run, |run, (name, value)| run.env(name, value)).run()
}

/// Returns the lines that were drawn, without escape sequences, each once. A line that fills the terminal is followed by
/// the next one without a line end.
fn drawn(outcome: &Outcome, columns: u16) -> Vec<String> {
    let mut text = String::new();
    let mut rest = outcome.text();
    while let Some(at) = rest.find('\u{1b}') {
        text.push_str(&rest[..at]);
        text.push('\n');
        let end = rest[at..].find(|c: char| c.is_ascii_alphabetic()).map_or(rest.len(), |end| at + end + 1);
        rest = rest[end..].to_owned();
    }
    text.push_str(&rest);
    let mut lines = Vec::new();
    for line in text.split(['\r', '\n']) {
        let cells: Vec<char> = line.chars().collect();
        let rows =
            cells.chunks(columns.into()).map(|row| row.iter().collect::<String>().trim_end().to_owned());
        lines.extend(rows.filter(|row| !row.is_empty()));
    }
    lines.dedup();
    lines
}

/// A registry from which a large layer comes slowly, and the command that wraps its image.
fn slow() -> (Registry, tempfile::TempDir, String) {
    let (registry, dir) = (Registry::start(), scratch());
    let content: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let image = Image::new().layer(&[file("data", &content)]);
    let source = image.in_registry(&registry, "app", "v1");
    registry.hook(|asked| match asked.kind {
        Kind::Blob { .. } if asked.method == "GET" => {
            Act::alter(|reply| reply.drip(Duration::from_millis(500)))
        }
        _ => Act::Serve,
    });
    let program = env!("CARGO_BIN_EXE_reapify");
    let command = format!("{program} wrap {source} oci:{}", dir.path().join("out").display());
    (registry, dir, command)
}

#[test]
fn progress_fits_the_terminal() {
    let (_registry, dir, command) = slow();
    support::in_parallel([40, 80, 200], |columns| {
        let outcome = on_terminal(columns, &format!("{command}:v{columns}"), &[]).succeeds();
        let lines = drawn(&outcome, columns);
        let progress: Vec<&String> = lines.iter().filter(|line| line.contains("B/s")).collect();
        assert!(progress.len() >= 2, "{lines:?}");
        for line in &progress {
            assert!(line.chars().count() < columns.into(), "{columns}: {line}");
        }
        let has_bar = progress.iter().any(|line| line.contains('['));
        assert_eq!(has_bar, columns > 40, "{progress:?}");
        assert!(outcome.text().contains("@sha256:"), "{lines:?}");
    });
    drop(dir);
}

#[test]
fn progress_can_be_turned_off_and_is_plain_elsewhere() {
    let (_registry, _dir, command) = slow();
    for (options, settings) in
        [("--progress none", &[][..]), ("--progress plain", &[]), ("--quiet", &[]), ("", &[("TERM", "dumb")])]
    {
        let outcome = on_terminal(80, &format!("{command}:v1 {options}"), settings).succeeds();
        assert!(drawn(&outcome, 80).iter().all(|line| !line.contains("B/s")), "{options}: {outcome}");
    }
    // Nothing is drawn into a pipe.
    let piped = tool("sh", ["-c", &format!("{command}:v2")]).run().succeeds();
    assert_eq!(piped.stderr(), "");
}

#[test]
fn errors_are_coloured_on_a_terminal_only() {
    let command = format!("{} inspect oci:/nonexistent", env!("CARGO_BIN_EXE_reapify"));
    let red = "\u{1b}[31m";
    assert!(on_terminal(80, &command, &[]).text().contains(red));
    assert!(!on_terminal(80, &command, &[("NO_COLOR", "1")]).text().contains(red));
    reapify(["inspect", "oci:/nonexistent"]).run().exits(3).never_says("\u{1b}");
}

#[test]
fn a_terminal_is_asked_for_a_missing_password() {
    use support::registry::Auth;
    let registry = Registry::start();
    registry.set(|settings| settings.auth = Auth::Basic { user: "ann".into(), password: "s3cret".into() });
    let to = registry.name("app", "v1");
    let command = format!("{} wrap --creds ann {} {to}", env!("CARGO_BIN_EXE_reapify"), zombies());
    let dir = scratch();
    let record = dir.path().join("record").display().to_string();
    // `script` types what it reads from its own standard input. What is typed before the question is discarded.
    let typing =
        format!("until grep -q Password {record}; do sleep 0.1; done; sleep 0.3; echo s3cret; sleep 1");
    let command = format!("({typing}) | script --quiet --flush --return --command '{command}' {record}");
    let outcome = tool("sh", ["-c", &command]).env("HOME", "/nonexistent").run().succeeds();
    assert!(outcome.text().contains("Password for ann: "), "{outcome}");
    // Without a terminal nobody is asked.
    reapify(["wrap", "--creds", "ann", &zombies(), &to]).run().exits(4);
    reapify(["wrap", &zombies(), &to]).env("REAPIFY_CREDS", "ann:s3cret").run().succeeds();
}
