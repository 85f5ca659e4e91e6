//! Table tests of the command line and the environment.

use reaper::options::{Fault, Options, Parsed, Request, parse};
use reaper::signal::Signal;

fn line(words: &str) -> Result<Parsed, (Fault, String)> {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    parse(words.into_iter())
        .map_err(|error| (error.fault, String::from_utf8_lossy(error.argument).into_owned()))
}

fn options(words: &str) -> Options {
    line(words).unwrap_or_else(|error| panic!("{words}: {error:?}")).options
}

#[test]
fn options_end_at_the_first_operand_or_two_dashes() {
    for (words, consumed) in [
        ("sleep -g", 0),
        ("-- sleep", 1),
        ("-g -- sleep -v", 2),
        ("-g sleep -- x", 1),
        ("-e 143 -v sleep", 3),
        ("-vge143 sleep", 1),
        ("-", 0),
        ("--rewrite 15:2 -- sleep", 3),
        ("--rewrite=15:2 sleep", 1),
        ("-- -- sleep", 1),
    ] {
        assert_eq!(line(words).map(|parsed| parsed.consumed), Ok(consumed), "{words}");
    }
}

#[test]
fn tinis_flags_mean_what_they_mean_in_tini() {
    let default = Options::DEFAULT;
    assert_eq!(options("-s x"), default);
    assert_eq!(options("-g x"), Options { group: true, ..default });
    assert_eq!(options("-w x"), Options { warn_reaped: true, ..default });
    assert_eq!(options("-vvv x"), Options { verbosity: 4, ..default });
    assert_eq!(options("-v -v x"), Options { verbosity: 3, ..default });
    let death = Options { parent_death: Some(Signal::KILL), ..default };
    for words in ["-p SIGKILL x", "-pSIGKILL x", "-p KILL x", "-p kill x", "-p 9 x"] {
        assert_eq!(options(words), death, "{words}");
    }
    let expected = options("-e 143 -e0 -e 255 x").expected;
    for code in 0..=255 {
        assert_eq!(expected.contains(code), [0, 143, 255].contains(&code), "{code}");
    }
    for (words, request) in [
        ("-h", Request::Help),
        ("--help", Request::Help),
        ("--version", Request::Version),
        ("-V", Request::Version),
        ("-l", Request::License),
        ("-vl", Request::License),
        ("-g x", Request::Run),
    ] {
        assert_eq!(line(words).map(|parsed| parsed.request), Ok(request), "{words}");
    }
}

#[test]
fn dumb_inits_flags_mean_what_they_mean_in_dumb_init() {
    for words in ["-g -c x", "-g --single-child x"] {
        assert!(!options(words).group, "{words}");
    }
    assert_eq!(options("--verbose x").verbosity, 2);
    for words in ["-r 15:3 x", "--rewrite 15:3 x", "--rewrite=TERM:QUIT x", "-rSIGTERM:sigquit x"] {
        assert_eq!(options(words).rewrites.get(Signal::TERM), Signal::new(3), "{words}");
    }
    let both = options("-r 15:0 --rewrite 1:15 x").rewrites;
    assert_eq!(both.get(Signal::TERM), None);
    assert_eq!(both.get(Signal::HUP), Some(Signal::TERM));
}

#[test]
fn the_grace_is_seconds_with_decimals() {
    for (text, ms) in [("0", 0), ("10", 10_000), ("0.5", 500), ("1.25", 1250), ("2.005", 2005)] {
        assert_eq!(options(&format!("-t {text} x")).grace_ms, ms);
        assert_eq!(options(&format!("-t{text} x")).grace_ms, ms);
    }
    for text in ["", ".", "1.", ".5", "-1", "1s", "1.2345", "4294968", "99999999999"] {
        let refused = line(&format!("-t {text} x"));
        assert_eq!(refused, Err((Fault::BadGrace, text.to_string())));
    }
}

#[test]
fn nonsense_is_refused_and_named() {
    for (words, fault, argument) in [
        ("-x", Fault::UnknownOption, "-x"),
        ("-gx", Fault::UnknownOption, "-gx"),
        ("-?", Fault::UnknownOption, "-?"),
        ("--nonsense", Fault::UnknownOption, "--nonsense"),
        ("-p", Fault::MissingValue, "-p"),
        ("-gt", Fault::MissingValue, "-gt"),
        ("--rewrite", Fault::MissingValue, "--rewrite"),
        ("--verbose=3", Fault::UnexpectedValue, "--verbose=3"),
        ("-p NONSENSE", Fault::BadSignal, "NONSENSE"),
        ("-p 65000", Fault::BadSignal, "65000"),
        ("-p 0", Fault::BadSignal, "0"),
        ("-e 256", Fault::BadCode, "256"),
        ("-e x", Fault::BadCode, "x"),
        ("-r 15", Fault::BadRewrite, "15"),
        ("-r 0:15", Fault::BadRewrite, "0:15"),
        ("-r TERM:NONE", Fault::BadRewrite, "TERM:NONE"),
        ("--rewrite=:", Fault::BadRewrite, ":"),
    ] {
        assert_eq!(line(words), Err((fault, argument.to_string())), "{words}");
    }
    let error = parse([b"-p".as_slice(), b"\xffx"].into_iter()).unwrap_err();
    assert_eq!(error.to_string(), r"not a signal: \xffx");
}

#[test]
fn the_environment_wins_over_the_command_line() {
    let from = |entries: &[&'static str]| {
        let mut options = options("-g -t 9 -v x");
        let mut rejected = Vec::new();
        options.environment(entries.iter().map(|entry| entry.as_bytes()), |entry| {
            rejected.push(String::from_utf8_lossy(entry).into_owned());
        });
        (options, rejected)
    };
    let baked = from(&["PATH=/bin", "REAPER", "REAPER_UNKNOWN=1"]);
    assert_eq!(baked, (options("-g -t 9 -v x"), vec![]));
    let (options, rejected) =
        from(&["REAPER_GROUP=0", "REAPER_GRACE=0.5", "REAPER_VERBOSITY=0", "REAPER_SUBREAPER=0"]);
    assert_eq!(rejected, [""; 0]);
    assert!(!options.group && !options.subreaper);
    assert_eq!((options.grace_ms, options.verbosity), (500, 0));
}

#[test]
fn rejected_variables_are_named_and_change_nothing() {
    let from = |entries: &[&'static str]| {
        let mut options = options("-t 9 x");
        let mut rejected = Vec::new();
        options.environment(entries.iter().map(|entry| entry.as_bytes()), |entry| {
            rejected.push(String::from_utf8_lossy(entry).into_owned());
        });
        (options.grace_ms, options.verbosity, rejected.join(" "))
    };
    assert_eq!(from(&["REAPER_GRACE=soon"]), (9000, 1, "REAPER_GRACE=soon".into()));
    let both = from(&["REAPER_GRACE=", "TINI_VERBOSITY=x", "REAPER_VERBOSITY=2"]);
    assert_eq!(both, (9000, 2, "TINI_VERBOSITY=x REAPER_GRACE=".into()));
    // With verbosity 0, nothing is reported.
    let silent = from(&["REAPER_GRACE=soon", "REAPER_VERBOSITY=0"]);
    assert_eq!(silent, (9000, 0, String::new()));
}

#[test]
fn tinis_environment_is_honoured_and_ours_wins() {
    let from = |entries: &[&'static str]| {
        let mut options = Options::DEFAULT;
        let entries = entries.iter().map(|entry| entry.as_bytes());
        options.environment(entries, |entry| panic!("{}", entry.escape_ascii()));
        options
    };
    assert!(from(&["TINI_KILL_PROCESS_GROUP="]).group);
    assert!(from(&["TINI_KILL_PROCESS_GROUP=0"]).group);
    assert_eq!(from(&["TINI_VERBOSITY=3"]).verbosity, 3);
    for entries in [
        ["REAPER_GROUP=0", "TINI_KILL_PROCESS_GROUP=1"],
        ["TINI_KILL_PROCESS_GROUP=1", "REAPER_GROUP=0"],
    ] {
        assert!(!from(&entries).group, "{entries:?}");
    }
    assert!(!from(&["REAPER_SUBREAPER=0", "TINI_SUBREAPER=1"]).subreaper);
    assert_eq!(from(&["REAPER_VERBOSITY=2", "TINI_VERBOSITY=0"]).verbosity, 2);
}
