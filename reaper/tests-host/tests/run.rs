//! Signals and orphans while the main process runs.

use reaper_tests::{Start, children, deny, init, install, kill, probe, state, status, tty, until};

/// Returns all signals that can be caught; a process can send each of them.
fn catchable() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| ![libc::SIGKILL, libc::SIGSTOP].contains(signal))
}

#[test]
fn every_signal_from_1_to_64_is_forwarded() {
    let run = Start::pid1(&["--", &probe(), "record"]).run();
    run.says("ready").settles();
    for signal in catchable() {
        run.signal(signal).says(&format!("signal {signal} code"));
    }
}

#[test]
fn values_of_queued_signals_are_kept() {
    let run = Start::pid1(&["--", &probe(), "record"]).run();
    run.says("ready").settles();
    for signal in catchable() {
        run.queue(signal, 1000 + signal);
        run.says(&format!("signal {signal} code -1 value {}.", 1000 + signal));
    }
}

#[test]
fn queued_real_time_signals_are_neither_merged_nor_reordered() {
    let run = Start::pid1(&["--", &probe(), "record"]).run();
    run.says("ready");
    for value in 0..200 {
        run.queue(40, value);
    }
    run.says("value 199.");
    let text = run.out.text();
    let values: Vec<_> = text.lines().filter_map(|line| line.split("value ").nth(1)).collect();
    assert_eq!(values, (0..200).map(|value| format!("{value}.")).collect::<Vec<_>>());
}

#[test]
fn only_the_main_process_gets_a_signal_by_default() {
    let script = "sh -c 'trap \"echo child\" USR1; echo r; while :; do sleep 0.05; done' & \
                  trap 'echo main' USR1; echo r; while :; do wait; done";
    let run = Start::pid1(&["--", "sh", "-c", script]).run();
    run.says("r\nr\n").signal(libc::SIGUSR1).says("main");
    run.signal(libc::SIGUSR1);
    until("main got the second", || run.out.text().matches("main").count() == 2);
    assert!(!run.out.text().contains("child"));
}

#[test]
fn the_whole_group_gets_a_signal_if_asked() {
    let script = "sh -c 'trap \"echo child\" USR1; echo r; while :; do sleep 0.05; done' & \
                  trap 'echo main' USR1; echo r; while :; do wait; done";
    for start in [
        Start::pid1(&["-g", "--", "sh", "-c", script]),
        Start::pid1(&["--", "sh", "-c", script]).env("REAPER_GROUP=1"),
        Start::pid1(&["--", "sh", "-c", script]).env("TINI_KILL_PROCESS_GROUP="),
    ] {
        let run = start.run();
        run.says("r\nr\n").signal(libc::SIGUSR1).says("main").says("child");
    }
}

#[test]
fn a_main_process_that_left_its_group_still_gets_signals() {
    // The leader of a group cannot leave it with setsid, but can by joining another group.
    let join = "setpgrp(0, $ARGV[0]); $| = 1; print \"r\"; sleep 1000";
    let script = format!("set -m; sleep 1000 & exec perl -e '{join}' $!");
    let mut run = Start::pid1(&["-g", "--", "bash", "-c", &script]).run();
    run.says("r").signal(libc::SIGTERM);
    assert_eq!(run.code(), 143);
}

#[test]
fn a_signal_between_fork_and_setpgid_is_not_lost() {
    // strace delays the child before its setpgid.
    let strace = "strace -f -o /dev/null -e trace=setpgid -e inject=setpgid:delay_enter=300000";
    let words = strace.split(' ').map(String::from);
    let command = ["/usr/bin/env".to_string()].into_iter().chain(words);
    let end = [init(), "-g".into(), "--".into(), "sleep".into(), "1000".into()];
    let mut run = Start::command(command.chain(end).collect()).run();
    let find = |parent: i32| children(parent).first().copied();
    until("there is a child", || find(run.pid).and_then(find).is_some());
    let init = find(run.pid).expect("it was there");
    kill(init, libc::SIGTERM);
    until("the init ends", || !matches!(state(init), 'S' | 'D' | 'R' | 't' | 'T'));
    assert_eq!(run.code(), 143);
}

#[test]
fn a_signal_that_may_not_be_sent_is_told_once_and_survived() {
    let copy = std::env::temp_dir().join(format!("reaper-root-{}", std::process::id()));
    install(&copy, &std::fs::read(probe()).unwrap(), "4755");
    let nobody = || {
        // SAFETY: these calls access no memory.
        unsafe {
            libc::setgid(65534);
            libc::setuid(65534);
        }
    };
    let mut run = Start::pid1(&["--", copy.to_str().unwrap(), "root"]).before(nobody).run();
    run.says("root 0").settles();
    for signal in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGHUP] {
        run.signal(signal).settles();
    }
    until("a warning", || run.err.text().contains("may not send"));
    kill(run.main(), libc::SIGKILL);
    assert_eq!(run.code(), 137);
    assert_eq!(run.err.text().matches("may not send").count(), 1, "{}", run.err.text());
    assert!(run.err.text().contains("CAP_KILL"), "the remedy: {}", run.err.text());
    std::fs::remove_file(copy).unwrap();
}

#[test]
fn term_to_a_stopped_child_is_followed_by_cont() {
    let mut run = Start::pid1(&["--", "sleep", "1000"]).run();
    let main = run.main();
    until("sleep runs", || status(main, "Name").as_deref() == Some("sleep"));
    kill(main, libc::SIGSTOP);
    until("it is stopped", || state(main) == 'T');
    run.settles().signal(libc::SIGTERM);
    assert_eq!(run.code(), 143);
}

#[test]
fn does_not_send_cont_to_running_children() {
    let run = Start::pid1(&["--", &probe(), "record"]).run();
    run.says("ready").settles().signal(libc::SIGTERM).says("signal 15");
    run.signal(libc::SIGUSR1).says("signal 10");
    assert!(!run.out.text().contains("signal 18"));
}

#[test]
fn ctrl_z_does_not_hang_a_container_and_ctrl_c_ends_it() {
    let (mut person, terminal) = tty::open();
    let mut run = Start::pid1(&["--", "sleep", "1000"]).terminal(terminal).run();
    let main = run.main();
    until("sleep runs", || status(main, "Name").as_deref() == Some("sleep"));
    until("the init waits", || state(run.pid) == 'S');
    person.types(tty::CTRL_Z);
    person.sees("^Z");
    until("it goes on", || state(main) == 'S');
    person.types(tty::CTRL_C);
    assert_eq!(run.code(), 130);
}

#[test]
fn ctrl_z_under_a_shell_stops_the_job_and_fg_continues_it() {
    let (mut person, terminal) = tty::open();
    let shell = ["/bin/bash", "--norc", "--noprofile", "-i"].map(String::from).to_vec();
    let mut run = Start::command(shell).terminal(terminal).env("PS1=% ").run();
    person.sees("% ");
    person.types(format!("{} -- sleep 1000\n", init()).as_bytes());
    let sleeps = || children(run.pid).first().and_then(|&init| children(init).first().copied());
    let named = |pid| status(pid, "Name").as_deref() == Some("sleep");
    until("sleep runs", || sleeps().is_some_and(named));
    let sleep = sleeps().unwrap();
    person.types(tty::CTRL_Z);
    person.sees("Stopped");
    assert_eq!(state(sleep), 'T');
    person.types(b"fg\n");
    until("it goes on", || state(sleep) == 'S');
    person.types(tty::CTRL_C);
    until("it is gone", || state(sleep) == 'X');
    person.types(b"echo code=$?; exit\n");
    person.sees("code=130");
    until("the shell ends", || run.ended());
}

#[test]
fn orphans_are_reaped() {
    let run = Start::pid1(&["--", &probe(), "orphans", "500"]).run();
    run.says("done");
    until("only the main process is left", || children(run.pid).len() == 1);
}

#[test]
fn orphans_that_exit_at_once_are_reaped() {
    let run = Start::pid1(&["--", &probe(), "storm", "5000"]).run();
    run.says("done");
    until("only the main process is left", || children(run.pid).len() == 1);
}

#[test]
fn an_orphan_among_thousands_does_not_cost_a_scan_of_them_all() {
    const LIVING: usize = 4000;
    let run = Start::pid1(&["--", &probe(), "crowd", &LIVING.to_string(), "3000"]).run();
    run.says("made");
    let spent = || -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", run.pid)).unwrap();
        text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
    };
    let (begin, before) = (std::time::Instant::now(), spent());
    run.says("done");
    until("only the crowd is left", || children(run.pid).len() == LIVING + 1);
    let (took, spent) = (begin.elapsed().as_secs_f64(), spent() - before);
    // Examining every child for each one that exits would keep a processor busy.
    assert!(spent < took / 3.0, "{spent} s of {took} s");
}

#[test]
fn nothing_wakes_an_idle_init() {
    let run = Start::pid1(&["--", "sleep", "1000"]).run();
    let main = run.main();
    until("sleep runs", || status(main, "Name").as_deref() == Some("sleep"));
    until("the init waits", || state(run.pid) == 'S');
    let switches = || status(run.pid, "voluntary_ctxt_switches").unwrap();
    let before = switches();
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert_eq!(switches(), before);
}

#[test]
fn signals_are_rewritten_and_dropped() {
    let flags = ["-r", "TERM:USR1", "--rewrite", "1:RTMIN+3", "-r", "INT:", "--rewrite=USR2:0"];
    let probe = probe();
    let args = [flags.as_slice(), &["--", &probe, "record"]].concat();
    let run = Start::pid1(&args).run();
    run.says("ready").settles();
    run.signal(libc::SIGTERM).says("signal 10 ");
    run.queue(libc::SIGHUP, 5);
    run.says("signal 37 code -1 value 5.");
    run.signal(libc::SIGINT).signal(libc::SIGUSR2).signal(libc::SIGWINCH).says("signal 28 ");
    let text = run.out.text();
    assert!(!text.contains("signal 2 ") && !text.contains("signal 12 "), "{text}");
}

/// Runs a program as another user, under an init that does not have CAP_KILL.
fn as_another_user(flags: &[&str], program: &[&str]) -> reaper_tests::Running {
    let setpriv = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let args = [flags, &["--"], &setpriv, program].concat();
    Start::pid1(&args).before(deny::cap_kill).run()
}

#[test]
fn signals_reach_a_main_process_of_another_user_without_cap_kill() {
    let script = "trap 'echo usr; :' USR1; trap 'echo term; exit 9' TERM; echo r; \
                  while :; do sleep 0.02; done";
    for flags in [&[][..], &["-g"]] {
        let mut run = as_another_user(flags, &["sh", "-c", script]);
        run.says("r\n").settles();
        run.signal(libc::SIGUSR1).says("usr").signal(libc::SIGTERM).says("term");
        assert_eq!(run.code(), 9, "{flags:?}");
        assert!(!run.err.whole().contains("reaper: "), "{flags:?}: {}", run.err.text());
    }
}

#[test]
fn the_whole_group_gets_a_signal_whoever_its_members_are() {
    let member = |user: u32, name: &str| {
        format!(
            "setpriv --reuid {user} --regid {user} --clear-groups sh -c 'trap \"echo {name}\" USR1; \
             echo r; while :; do sleep 0.02; done'"
        )
    };
    let root = "sh -c 'trap \"echo root\" USR1; echo r; while :; do sleep 0.02; done'";
    let script = format!("{} & {root} & exec {}", member(65533, "third"), member(65534, "main"));
    let start = Start::pid1(&["-g", "--", "sh", "-c", &script]).before(deny::cap_kill);
    let run = start.run();
    run.says("r\nr\nr\n").signal(libc::SIGUSR1).says("third").says("main").says("root");
    run.signal(libc::SIGUSR1);
    for name in ["third", "main", "root"] {
        until("each got both, once", || run.out.text().matches(name).count() == 2);
    }
    assert!(!run.err.text().contains("reaper: "), "{}", run.err.text());
}

#[test]
fn the_init_itself_stays_the_user_that_it_is() {
    let run = as_another_user(&[], &[&probe(), "record"]);
    run.says("ready").settles().signal(libc::SIGUSR1).says("signal 10 ");
    assert_eq!(status(run.pid, "Uid").unwrap(), "0\t0\t0\t0");
    assert!(std::fs::read_link(format!("/proc/{}/exe", run.pid)).is_ok());
    until("only the main process is left", || children(run.pid).len() == 1);
}

#[test]
fn values_of_queued_signals_reach_another_user_too() {
    let run = as_another_user(&[], &[&probe(), "record"]);
    run.says("ready").settles();
    for signal in [libc::SIGTERM, 40] {
        run.queue(signal, 1000 + signal);
        run.says(&format!("signal {signal} code -1 value {}.", 1000 + signal));
    }
}

#[test]
fn term_to_a_stopped_main_process_of_another_user_is_followed_by_cont() {
    let mut run = as_another_user(&[], &["sleep", "1000"]);
    let main = run.main();
    until("sleep runs", || status(main, "Name").as_deref() == Some("sleep"));
    kill(main, libc::SIGSTOP);
    until("it is stopped", || state(main) == 'T');
    run.settles().signal(libc::SIGTERM);
    assert_eq!(run.code(), 143);
}

/// Runs an init with these options and a full standard error through orphans, signals and a stop.
fn with_a_full_log(flags: &[&str], refused: &'static [i64]) {
    let script = "trap 'exit 5' TERM; (sleep 0 & sleep 0 &); sleep 0.1; echo r; \
                  while :; do sleep 0.02; done";
    let args = [flags, &["--", "sh", "-c", script]].concat();
    let mut run = Start::pid1(&args)
        .before(move || {
            deny::reading_of_errors();
            deny::calls(refused, libc::ENOSYS);
        })
        .run();
    run.says("r\n");
    until("the orphans are reaped", || {
        let zombie = |&pid: &i32| state(pid) == 'Z';
        !children(run.pid).iter().any(zombie)
    });
    run.signal(libc::SIGWINCH).signal(libc::SIGTERM);
    assert_eq!(run.code(), 5, "{flags:?}");
}

#[test]
fn a_full_log_blocks_nothing() {
    for flags in [&[][..], &["-w"], &["-v"], &["-vvvw"]] {
        with_a_full_log(flags, &[]);
        // Linux before 6.4.
        with_a_full_log(flags, &[libc::SYS_pwritev2]);
    }
    let full = || deny::reading_of_errors();
    assert_eq!(Start::pid1(&["-x"]).before(full).run().code(), 1);
    assert_eq!(Start::pid1(&["--", "nothing"]).before(full).run().code(), 127);
}
