//! The init's messages, command line and environment.

use reaper_tests::Start;

fn run(args: &[&str]) -> (i32, String, String) {
    let mut run = Start::pid1(args).run();
    let code = run.code();
    (code, run.out.whole(), run.err.whole())
}

#[test]
fn it_is_silent_unless_asked() {
    let script = "(sleep 0 &); sleep 0.1; exit 7";
    assert_eq!(run(&["--", "sh", "-c", script]), (7, String::new(), String::new()));
}

#[test]
fn w_reports_reaped_orphans() {
    let script = "(sh -c 'exit 3' &); sleep 0.1; exit 7";
    let (code, _, err) = run(&["-w", "--", "sh", "-c", script]);
    assert_eq!(code, 7);
    assert!(err.contains("reaped orphan") && err.contains("exit code 3"), "{err}");
}

#[test]
fn counts_are_told_at_exit_with_v() {
    let script = "(sh -c 'exit 3' &); setsid sleep 1000 & sleep 0.1; exit 7";
    let (_, _, err) = run(&["-v", "--", "sh", "-c", script]);
    assert_eq!(err, "reaper: reaped 2, left over 1, killed 0, exit code 7\n");
}

#[test]
fn tinis_command_line_works_unchanged() {
    for flags in
        ["-s", "-g", "-w", "-e 143", "-p SIGKILL", "-vvv", "-sgw -v", "-s -g -e 0 --", "--"]
    {
        let args = flags.split(' ').chain(["sh", "-c", "exit 7"]).collect::<Vec<_>>();
        assert_eq!(run(&args).0, 7, "{flags}");
    }
    for (flag, text) in [("-h", "Usage"), ("-l", "http"), ("--version", "version")] {
        let (code, out, err) = run(&[flag]);
        assert_eq!((code, err.as_str()), (0, ""), "{flag}");
        assert!(out.contains(text), "{flag}: {out}");
    }
    // Options after the program belong to the program.
    assert_eq!(run(&["echo", "-g", "--", "-v"]), (0, "-g -- -v\n".into(), String::new()));
}

#[test]
fn the_licence_has_a_name_and_an_address() {
    assert_eq!(run(&["-l"]).1, "Apache-2.0 https://apache.org/licenses/LICENSE-2.0\n");
}

#[test]
fn nonsense_is_an_error() {
    for args in
        [["-x", "true"].as_slice(), &["-t", "soon", "true"], &["-e", "256", "true"], &[], &["--"]]
    {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}");
        assert!(err.starts_with("reaper: ") && err.lines().count() == 1, "{args:?}: {err}");
    }
}

#[test]
fn the_environment_is_honoured_and_nonsense_in_it_is_survived() {
    let text = |entries: &[&str]| {
        let start = Start::pid1(&["--", "sh", "-c", "exit 7"]);
        let mut run = entries.iter().fold(start, |start, entry| start.env(entry)).run();
        assert_eq!(run.code(), 7);
        run.err.whole()
    };
    assert!(text(&["REAPER_VERBOSITY=2"]).contains("reaped 0"));
    assert!(text(&["TINI_VERBOSITY=2"]).contains("reaped 0"));
    assert_eq!(text(&["TINI_VERBOSITY=2", "REAPER_VERBOSITY=1"]), "");
    assert!(text(&["REAPER_GRACE=soon"]).contains("REAPER_GRACE=soon"));
    assert!(text(&["TINI_VERBOSITY="]).contains("TINI_VERBOSITY="));
    let both = text(&["REAPER_GRACE=soon", "REAPER_VERBOSITY=loud"]);
    assert!(both.contains("REAPER_GRACE=soon\n") && both.contains("REAPER_VERBOSITY=loud\n"));
    assert_eq!(text(&["REAPER_GRACE=soon", "REAPER_VERBOSITY=0"]), "");
    assert_eq!(text(&["TINI_SUBREAPER=", "REAPER_SUBREAPER=1"]), "");
}

#[test]
fn a_closed_standard_error_kills_nobody() {
    // A SIGPIPE from the init's own standard error is not forwarded to the main process.
    let mut run = Start::pid1(&["-vvv", "--", "sh", "-c", "kill -USR1 1; sleep 0.2; exit 7"])
        .before(|| {
            let mut ends = [0; 2];
            // SAFETY: the kernel writes two descriptors.
            unsafe {
                libc::pipe(ends.as_mut_ptr());
                libc::dup2(ends[1], 2);
                libc::close(ends[0]);
                libc::close(ends[1]);
            }
        })
        .run();
    assert!([7, 138].contains(&run.code()));
}
