//! Progress, colours and questions on a terminal, through `script`, which gives a program a terminal of its own.

mod support;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::image::{Image, file};
use support::registry::{Act, Auth, Kind, Registry};
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

/// Runs a command on a terminal where the user answers each question: a part of it, and the answer. What is typed
/// before the question is discarded.
fn answering(command: &str, answers: &[(&str, &str)]) -> Outcome {
    let acts: Vec<(&str, String)> =
        answers.iter().map(|(question, answer)| (*question, format!("echo {answer}"))).collect();
    reacting(command, &acts)
}

/// Runs a command on a terminal where the user reacts to what it shows: a part of it, and a shell command that prints
/// what is typed. In both commands, `$dir` is a directory.
fn reacting(command: &str, acts: &[(&str, String)]) -> Outcome {
    let dir = scratch();
    let acts = acts.iter().map(|(shown, act)| {
        format!("until grep -qF '{shown}' $dir/record; do sleep 0.1; done; sleep 0.3; {act}; ")
    });
    // `script` types what it reads from its own standard input.
    let command = format!(
        "({} sleep 1) | script --quiet --flush --return --command '{command}' $dir/record",
        acts.collect::<String>()
    );
    let run = tool("sh", ["-c", &command]).env("HOME", "/nonexistent").env("NO_COLOR", "1");
    run.env("dir", dir.path()).run()
}

/// A registry that only `ann` may use, with this password.
fn guarded(password: &str) -> Registry {
    let registry = Registry::start();
    registry.set(|settings| settings.auth = Auth::Basic { user: "ann".into(), password: password.into() });
    registry
}

#[test]
fn a_terminal_is_asked_for_a_missing_password() {
    let registry = guarded("s3cret");
    let to = registry.name("app", "v1");
    let command = format!("{} wrap --creds ann {} {to}", env!("CARGO_BIN_EXE_reapify"), zombies());
    let question = format!("Password for ann at {} (--creds): ", registry.host());
    let outcome = answering(&command, &[(&question, "s3cret")]).succeeds();
    assert_eq!(outcome.text().matches("Password for").count(), 1, "{outcome}");
    // Without a terminal nobody is asked.
    let to_nobody = |options: &[&str]| reapify(["wrap", &zombies(), &to]).args(options).run().exits(2);
    to_nobody(&["--creds", "ann"]).says("--creds has no password, and standard input is not a terminal");
    to_nobody(&["--dest-creds", "ann", "--dest-password-stdin"])
        .says("standard input has no password for --dest-creds");
    reapify(["wrap", "--creds", "ann:", &zombies(), &to]).run().exits(4);
    reapify(["wrap", &zombies(), &to]).env("REAPIFY_CREDS", "ann:s3cret").run().succeeds();
}

#[test]
fn each_place_is_asked_for_its_own_password() {
    let (from, to) = (guarded("s3cret-0f-source"), guarded("s3cret-0f-destination"));
    from.set(|settings| settings.auth = Auth::None);
    let source = Image::new().in_registry(&from, "app", "v1");
    from.set(|settings| {
        settings.auth = Auth::Basic { user: "ann".into(), password: "s3cret-0f-source".into() }
    });
    let command = format!(
        "{} wrap --src-creds ann --dest-creds ann {source} {}",
        env!("CARGO_BIN_EXE_reapify"),
        to.name("app", "v1")
    );
    let questions = [(&from, "--src-creds"), (&to, "--dest-creds")]
        .map(|(registry, option)| format!("Password for ann at {} ({option}): ", registry.host()));
    let answers = [(&*questions[0], "s3cret-0f-source"), (&*questions[1], "s3cret-0f-destination")];
    answering(&command, &answers).succeeds().never_says("s3cret");
    let sent = |registry: &Registry, password: &str| {
        let header = format!("Basic {}", STANDARD.encode(format!("ann:{password}")));
        registry.log().entries.iter().any(|e| e.asked.headers.values().any(|v| v == header.as_str()))
    };
    assert!(sent(&from, "s3cret-0f-source") && sent(&to, "s3cret-0f-destination"));
    assert!(!sent(&from, "s3cret-0f-destination") && !sent(&to, "s3cret-0f-source"));
}

/// Runs a command that asks for a password, and lets the user do something else than answer. Returns its exit code, and
/// the milliseconds until it ended.
fn unanswered(act: &str) -> (u64, u64, Outcome) {
    let program = env!("CARGO_BIN_EXE_reapify");
    // The shell outlives Ctrl-C, and the program starts with the default effect.
    let command = format!(
        "trap : INT; sh -c \"echo \\$\\$ > $dir/pid; exec {program} inspect --creds ann registry.invalid/app\"; \
         echo code=$? took=$((($(date +%s%N) - $(cat $dir/at)) / 1000000)); stty -a"
    );
    let question = "Password for ann at registry.invalid (--creds): ";
    let outcome = reacting(&command, &[(question, format!("date +%s%N > $dir/at; {act}"))]);
    let text = outcome.text();
    let number = |name: &str| {
        let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("{outcome}"));
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    (number("code="), number("took="), outcome)
}

#[test]
fn an_unanswered_question_leaves_the_terminal_as_it_was() {
    support::in_parallel(
        [
            (r"printf '\003'", 130, "error: interrupted"),
            ("kill -TERM $(cat $dir/pid)", 143, "error: interrupted"),
            ("kill -HUP $(cat $dir/pid)", 129, "error: interrupted"),
            (r"printf '\004'", 2, "error: no password was entered for --creds"),
            ("echo", 2, "error: no password was entered for --creds"),
            // Neither stops nor kills the program while the terminal shows nothing.
            (r"printf '\032\034\n'", 2, "it has a control character"),
        ],
        |(act, code, message)| {
            let (ended, milliseconds, outcome) = unanswered(act);
            assert_eq!(ended, code, "{act}: {outcome}");
            assert!(milliseconds < 1000, "{act}: {outcome}");
            // The message has a line of its own.
            assert!(
                outcome.text().contains(&format!("(--creds): \r\n{message}")) || code == 2,
                "{act}: {outcome}"
            );
            assert!(outcome.text().contains(message), "{act}: {outcome}");
            let settings = outcome.text();
            let settings: Vec<&str> = settings.split_whitespace().collect();
            assert!(settings.contains(&"echo") && settings.contains(&"-echonl"), "{act}: {outcome}");
            assert!(
                outcome.text().contains("susp = ^Z") && outcome.text().contains("quit = ^\\"),
                "{act}: {outcome}"
            );
        },
    );
}

#[test]
fn nothing_is_drawn_after_the_last_message() {
    let (_registry, _dir, command) = slow();
    let command = format!("trap : INT; {command}:v1; echo code=$?");
    let twice = r"printf '\003'; sleep 0.02; printf '\003'".to_owned();
    let outcome = reacting(&command, &[("B/s", twice)]);
    let text = outcome.text();
    let (drawn, last) = text.split_once("error:").unwrap_or_else(|| panic!("{outcome}"));
    assert!(drawn.contains("B/s") && !last.contains("B/s"), "{outcome}");
    assert!(last.lines().any(|line| line.trim_end() == "code=130"), "{outcome}");
}
