//! What happens once the main process has exited.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reaper_tests::{Running, Start, init, kill, state, until};

#[derive(Clone, Copy, Debug)]
enum Place {
    Pid1,
    Beside,
    BesideWithoutProc,
}
use Place::{Beside, BesideWithoutProc, Pid1};

/// Runs a main process that leaves a script behind in another session and, when that has come to
/// its `READY`, exits with 7.
fn run(place: Place, flags: &[&str], left: &str) -> Running {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("reaper-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let fifo = std::env::temp_dir().join(name);
    let path = CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the path ends in NUL.
    unsafe { libc::mkfifo(path.as_ptr(), 0o600) };
    let fifo = fifo.display();
    let left = left.replace("READY", &format!("echo > {fifo}; rm {fifo}"));
    let script = format!("setsid sh -c '{left}' & read -r _ < {fifo}; exit 7");
    let args = [flags, &["--", "sh", "-c", &script]].concat();
    match place {
        Pid1 => Start::pid1(&args).run(),
        Beside => Start::beside(&args).run(),
        BesideWithoutProc => Start::beside(&args).before(hide_proc).run(),
    }
}

fn hide_proc() {
    let none = std::ptr::null();
    // SAFETY: constant strings that end in NUL.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS);
        libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast());
        libc::mount(c"none".as_ptr(), c"/proc".as_ptr(), c"tmpfs".as_ptr(), 0, none.cast());
    }
}

#[test]
fn the_rest_gets_term_in_every_session_and_its_time() {
    for place in [Pid1, Beside, BesideWithoutProc] {
        let left =
            "trap \"sleep 0.2; echo cleaned; exit\" TERM; READY; while :; do sleep 0.05; done";
        let mut run = run(place, &[], left);
        assert_eq!(run.code(), 7);
        run.says("cleaned");
    }
}

#[test]
fn a_stopped_rest_gets_cont_too() {
    for place in [Pid1, Beside, BesideWithoutProc] {
        let left = "trap \"echo cleaned; exit\" TERM; READY; kill -STOP $$; sleep 1000";
        let mut run = run(place, &[], left);
        assert_eq!(run.code(), 7);
        run.says("cleaned");
    }
}

#[test]
fn the_rest_is_killed_when_the_grace_is_over() {
    for place in [Pid1, Beside, BesideWithoutProc] {
        let left = "trap \"echo told\" TERM; READY; while :; do sleep 0.05; done";
        let mut run = run(place, &["-v", "-t", "0.5"], left);
        assert_eq!(run.code(), 7, "{place:?}");
        assert!(run.out.whole().contains("told"), "{place:?}");
        assert!(
            run.err.whole().contains(" 1 killed") || run.err.text().contains(" 2 killed"),
            "{place:?} {}",
            run.err.text()
        );
    }
}

#[test]
fn the_grace_is_3_seconds_and_the_environment_can_change_it() {
    let left = "trap \"\" TERM; echo r; while :; do sleep 0.05; done";
    let script = format!("setsid sh -c '{left}' & sleep 0.2; exit 7");
    for (variable, low, high) in [("X=1", 3.0, 5.0), ("REAPER_GRACE=1", 1.0, 2.9)] {
        let begin = Instant::now();
        assert_eq!(Start::pid1(&["--", "sh", "-c", &script]).env(variable).run().code(), 7);
        let took = begin.elapsed().as_secs_f32();
        assert!((low..high).contains(&took), "{variable}: {took}");
    }
}

#[test]
fn a_grace_of_0_tells_nobody() {
    let left = "trap \"echo told\" TERM; READY; while :; do sleep 0.05; done";
    let mut run = run(Pid1, &["-t", "0"], left);
    assert_eq!(run.code(), 7);
    assert_eq!(run.out.whole(), "");
}

#[test]
fn the_exit_is_at_once_when_nothing_is_left() {
    for start in [Start::pid1(&["--", "true"]), Start::beside(&["--", "true"])] {
        let begin = Instant::now();
        assert_eq!(start.run().code(), 0);
        assert!(begin.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn only_descendants_are_stopped_when_others_share_the_namespace() {
    // The bystander has the init's parent, session and group.
    let script = format!(
        "sleep 1000 & echo bystander $!; {} -- sh -c 'setsid sleep 1000 & echo left $!; exit 7'; \
         echo code $?; exec sleep 1000",
        init()
    );
    let run = Start::command(["/bin/sh", "-c", &script].map(String::from).to_vec()).run();
    run.says("code 7");
    let text = run.out.text();
    let pid = |name: &str| -> i32 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().parse().expect(name)
    };
    until("what was left is gone", || matches!(state(pid("left")), 'X' | 'Z'));
    assert_eq!(state(pid("bystander")), 'S');
    kill(pid("bystander"), libc::SIGKILL);
}

#[test]
fn what_entered_the_namespace_is_given_its_time_too() {
    let mut run = Start::pid1(&["--", "sh", "-c", "echo r; sleep 1000"]).run();
    run.says("r");
    let script = "trap 'sleep 0.3; echo cleaned; exit' TERM; echo in; while :; do sleep 0.05; done";
    let target = run.pid.to_string();
    let words = ["/usr/bin/nsenter", "-t", &target, "-p", "-m", "sh", "-c", script];
    let entered = Start::command(words.map(String::from).to_vec()).run();
    entered.says("in");
    run.signal(libc::SIGTERM);
    assert_eq!(run.code(), 143);
    entered.says("cleaned");
}

#[test]
fn the_exit_code_is_the_main_processs() {
    for (script, code) in [
        ("exit 0", 0),
        ("exit 42", 42),
        ("exit 255", 255),
        ("kill -TERM $$", 143),
        ("kill -SEGV $$", 139),
        ("kill -KILL $$", 137),
    ] {
        for start in
            [Start::pid1(&["--", "sh", "-c", script]), Start::beside(&["--", "sh", "-c", script])]
        {
            assert_eq!(start.run().code(), code, "{script}");
        }
    }
}

#[test]
fn codes_that_are_expected_become_0() {
    for (flags, code) in [("-e143", 0), ("-e 143", 0), ("-e 1 -e 143", 0), ("-e 142", 143)] {
        let args = flags.split(' ').chain(["--", "sh", "-c", "kill -TERM $$"]).collect::<Vec<_>>();
        assert_eq!(Start::pid1(&args).run().code(), code, "{flags}");
    }
}
