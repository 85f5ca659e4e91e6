//! What happens after the main process has exited.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use reaper_tests::{Running, Start, deny, init, install, kill, probe, state, until};

#[derive(Clone, Copy, Debug)]
enum Place {
    Pid1,
    Beside,
    BesideWithoutProc,
}
use Place::{Beside, BesideWithoutProc, Pid1};

/// Runs a main process that leaves a script running in another session, and exits with 7 after the
/// script has reached its `READY`.
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
    // SAFETY: the strings are constants that end in NUL.
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
fn sends_cont_to_remaining_stopped_processes() {
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
            run.err.whole().contains("killed 1,") || run.err.text().contains("killed 2,"),
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
fn no_signals_are_sent_with_a_grace_of_0() {
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
    // The bystander has the same parent, session and process group as the init.
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
fn expected_exit_codes_become_0() {
    for (flags, code) in [("-e143", 0), ("-e 143", 0), ("-e 1 -e 143", 0), ("-e 142", 143)] {
        let args = flags.split(' ').chain(["--", "sh", "-c", "kill -TERM $$"]).collect::<Vec<_>>();
        assert_eq!(Start::pid1(&args).run().code(), code, "{flags}");
    }
}

#[test]
fn the_rest_of_another_user_gets_its_time_without_cap_kill() {
    // Some of these processes end while they are being signalled, which is not a refusal.
    let left = "trap \"sleep 0.3; echo cleaned; exit\" TERM; (while :; do sleep 0; done) & \
                echo r; while :; do sleep 0.02; done";
    let user = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    let script = format!("{user} setsid sh -c '{left}' & sleep 0.5; exit 7");
    for start in
        [Start::pid1(&["--", "sh", "-c", &script]), Start::beside(&["--", "sh", "-c", &script])]
    {
        let begin = Instant::now();
        let mut run = start.before(deny::cap_kill).run();
        assert_eq!(run.code(), 7);
        run.says("cleaned");
        assert!(!run.err.whole().contains("reaper: "), "{}", run.err.text());
        assert!(begin.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn what_may_not_be_signalled_is_not_waited_for() {
    let copy = std::env::temp_dir().join(format!("reaper-left-{}", std::process::id()));
    install(&copy, &std::fs::read(probe()).unwrap(), "4755");
    let nobody = || {
        // SAFETY: these calls access no memory.
        unsafe {
            libc::setgid(65534);
            libc::setuid(65534);
        }
    };
    let alone = format!("{} root & sleep 0.3; exit 7", copy.display());
    let other = "trap \"sleep 0.3; echo cleaned; exit\" TERM; while :; do sleep 0.02; done";
    let mixed = format!("sh -c '{other}' & {alone}");
    for (script, cleaned) in [(&alone, false), (&mixed, true)] {
        let begin = Instant::now();
        let mut run = Start::pid1(&["--", "sh", "-c", script]).before(nobody).run();
        assert_eq!(run.code(), 7, "{script}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{script}: {:?}", begin.elapsed());
        assert_eq!(run.out.whole().contains("cleaned"), cleaned, "{script}");
        assert_eq!(run.err.whole().matches("CAP_KILL").count(), 1, "{}", run.err.text());
    }
    std::fs::remove_file(copy).unwrap();
}

/// The system calls that the reaper itself makes.
const CALLS: [i64; 24] = [
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_wait4,
    libc::SYS_clone,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getpgid,
    libc::SYS_setpgid,
    libc::SYS_prctl,
    libc::SYS_kill,
    libc::SYS_setresuid,
    libc::SYS_clock_gettime,
    libc::SYS_close_range,
    libc::SYS_close,
    libc::SYS_chdir,
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_ioctl,
    libc::SYS_pwritev2,
    libc::SYS_ppoll,
    libc::SYS_pidfd_open,
    libc::SYS_exit_group,
];

/// Runs an init for which these system calls fail. The main process leaves a process behind, and
/// exits with 6.
fn refused(start: Start, numbers: &'static [i64], errno: i32) {
    let mut run = start.before(move || deny::calls(numbers, errno)).run();
    let begin = Instant::now();
    let code = run.code();
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(8), "{numbers:?} {errno}: {took:?}");
    if code != 6 {
        until(&format!("{numbers:?} {errno}: {code} and why"), || !run.err.text().is_empty());
    }
}

#[test]
fn a_refused_system_call_neither_hangs_nor_is_silent() {
    // The process that remains ignores TERM, so that the stop sequence runs all its steps.
    let probe = probe();
    let args = ["-t", "0.3", "--", &probe, "leave", "6"];
    for number in CALLS.chunks(1) {
        for errno in [libc::EPERM, libc::ENOSYS] {
            refused(Start::pid1(&args), number, errno);
            // Without a list of processes the init tries every possible process ID, which takes
            // long.
            if number != [libc::SYS_getdents64] {
                refused(Start::beside(&args), number, errno);
            }
        }
    }
    refused(Start::pid1(&args), &[libc::SYS_close_range, libc::SYS_close], libc::EPERM);
    refused(Start::pid1(&args), &[libc::SYS_clock_gettime, libc::SYS_kill], libc::EPERM);
}

#[test]
fn a_refused_call_that_the_init_needs_leaves_the_program_as_it_was_without_it() {
    for (number, name) in [
        (&[libc::SYS_rt_sigprocmask], "rt_sigprocmask"),
        (&[libc::SYS_rt_sigtimedwait], "rt_sigtimedwait"),
        (&[libc::SYS_rt_sigaction], "rt_sigaction"),
        (&[libc::SYS_wait4], "wait4"),
    ] {
        let refuse = || deny::calls(number, libc::EPERM);
        let ids = Start::pid1(&["--", "cat", "/proc/self/status"]);
        let mut run = ids.env("LISTEN_PID=1").before(refuse).run();
        assert_eq!(run.code(), 0);
        assert!(run.out.whole().contains("\nPid:\t1\n"), "{name}: the program is PID 1");
        assert!(run.out.text().contains("\nSigBlk:\t0000000000000000\n"), "{name}");
        assert!(run.err.whole().contains(name), "{}", run.err.text());
    }
}

#[test]
fn a_shortage_of_processes_is_an_error() {
    let refuse = || deny::calls(&[libc::SYS_clone], libc::EAGAIN);
    let mut run = Start::pid1(&["--", "echo", "started"]).before(refuse).run();
    assert_eq!(run.code(), 1);
    assert_eq!(run.out.whole(), "");
    assert_eq!(run.err.whole(), "reaper: cannot fork: error 11\n");
}

#[test]
fn signals_and_orphans_do_not_extend_the_grace_period() {
    // The process that remains ignores TERM, continuously signals the init, and creates orphans.
    let left = "trap \"\" TERM; while :; do kill -WINCH 1; (sleep 0 &); done";
    let script = format!("setsid sh -c '{left}' & sleep 0.2; exit 7");
    let begin = Instant::now();
    assert_eq!(Start::pid1(&["-t", "1", "--", "sh", "-c", &script]).run().code(), 7);
    let took = begin.elapsed().as_secs_f32();
    assert!((1.2..3.5).contains(&took), "{took}");
}
