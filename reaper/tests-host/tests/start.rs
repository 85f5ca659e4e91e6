//! How the init starts the main process.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use reaper_tests::{Start, children, deny, init, install, kill, probe, status, tty, until};

/// Creates a directory for one test.
fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("reaper-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("a directory");
    // Other users must be able to read the directory.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("its mode");
    path
}

/// Returns the ignored or blocked signals from `/proc/PID/status` of the main process, one bit
/// each.
fn signals(running: &reaper_tests::Running, field: &str) -> u64 {
    let text = status(running.main(), field).expect("the main process is there");
    u64::from_str_radix(&text, 16).expect("hexadecimal")
}

#[test]
fn term_is_not_lost_once_the_first_system_call_has_run() {
    let mut run = Start::pid1(&["--", "sleep", "1000"]).before(reaper_tests::trace::trace_me).run();
    reaper_tests::trace::after_first_call(&run, || {
        kill(run.pid, libc::SIGTERM);
    });
    assert_eq!(run.code(), 143);
}

#[test]
fn sigchld_inherited_as_ignored_hides_no_exit_and_is_ignored_again_in_the_child() {
    let ignore = || {
        // SAFETY: no handler is set.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
    };
    assert_eq!(Start::pid1(&["--", "sh", "-c", "exit 7"]).before(ignore).run().code(), 7);
    let run = Start::pid1(&["--", "sleep", "1000"]).before(ignore).run();
    until("sleep runs", || status(run.main(), "Name").as_deref() == Some("sleep"));
    assert_eq!(signals(&run, "SigIgn"), 1 << (libc::SIGCHLD - 1));
}

#[test]
fn the_inherited_mask_and_dispositions_are_the_childs() {
    let inherit = || {
        // SAFETY: a signal set is initialised before it is used, and no handler is set.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&mut set);
            libc::sigaddset(&mut set, libc::SIGUSR1);
            libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
        }
    };
    let run = Start::pid1(&["--", "sleep", "1000"]).before(inherit).run();
    until("sleep runs", || status(run.main(), "Name").as_deref() == Some("sleep"));
    assert_eq!(signals(&run, "SigBlk"), 1 << (libc::SIGUSR1 - 1));
    assert_eq!(signals(&run, "SigIgn"), 1 << (libc::SIGHUP - 1));
    let plain = Start::pid1(&["--", "sleep", "1000"]).run();
    until("sleep runs", || status(plain.main(), "Name").as_deref() == Some("sleep"));
    assert_eq!((signals(&plain, "SigBlk"), signals(&plain, "SigIgn")), (0, 0));
}

#[test]
fn it_becomes_a_subreaper_by_itself_when_it_is_not_pid_1() {
    let run = Start::beside(&["--", &probe(), "orphans", "20"]).run();
    run.says("done").settles();
    until("only the main process is left", || children(run.pid).len() == 1);
    // Orphans become children of this init, instead of another process above it.
    let run = Start::beside(&["--", "sh", "-c", "(sleep 1000 & echo $!); exec sleep 1000"]).run();
    until("the orphan is ours", || children(run.pid).len() == 2);
}

#[test]
fn a_refused_prctl_is_neither_fatal_nor_noisy() {
    let refuse = || deny::calls(&[libc::SYS_prctl], libc::EPERM);
    let mut run = Start::beside(&["--", "sh", "-c", "exit 7"]).before(refuse).run();
    assert_eq!(run.code(), 7);
    assert_eq!(run.err.text(), "");
}

#[test]
fn the_child_leads_a_group_of_its_own() {
    let run = Start::pid1(&["--", "sh", "-c", "cut -d' ' -f1,5 /proc/$$/stat; sleep 1000"]).run();
    until("a line", || run.out.text().ends_with('\n'));
    let text = run.out.text();
    let (pid, group) = text.trim().split_once(' ').expect("two numbers");
    assert_eq!(pid, group);
}

#[test]
fn the_terminals_foreground_is_handed_over() {
    let (mut person, terminal) = tty::open();
    // A background process would be stopped when it reads.
    let run = Start::pid1(&["--", "cat"]).terminal(terminal).run();
    until("cat runs", || status(run.main(), "Name").as_deref() == Some("cat"));
    person.types(b"hello\n");
    person.sees("hello\r\nhello");
}

#[test]
fn no_terminal_is_stolen_from_the_foreground() {
    let (mut person, terminal) = tty::open();
    let shell = ["/bin/bash", "--norc", "--noprofile", "-i"].map(String::from).to_vec();
    let run = Start::command(shell).terminal(terminal).env("PS1=% ").run();
    person.sees("% ");
    person.types(format!("{} -- sleep 1000 &\n", init()).as_bytes());
    until("the init has its child", || {
        children(run.pid).iter().any(|&init| !children(init).is_empty())
    });
    person.types(b"echo still $((40 + 2))\n");
    person.sees("still 42");
    person.types(b"kill %1; wait; exit\n");
}

#[test]
fn the_child_keeps_the_working_directory_and_the_init_does_not() {
    let place = directory("cwd");
    let path = std::ffi::CString::new(place.to_str().unwrap()).unwrap();
    let enter = move || {
        // SAFETY: the path ends in NUL.
        unsafe { libc::chdir(path.as_ptr()) };
    };
    let run = Start::pid1(&["--", "sh", "-c", "pwd; sleep 1000"]).before(enter).run();
    run.says(&format!("{}\n", place.display()));
    let held = || std::fs::read_link(format!("/proc/{}/cwd", run.pid)).unwrap();
    until("the init is elsewhere", || held() == Path::new("/"));
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn descriptors_stay_open_in_the_child_and_are_closed_in_the_init() {
    let open = || {
        // SAFETY: these calls access no memory.
        unsafe {
            libc::dup2(2, 7);
            libc::dup2(2, 300);
        }
    };
    let run = Start::pid1(&["--", "sh", "-c", "echo /proc/$$/fd/*; sleep 1000"]).before(open).run();
    run.says("/fd/7").says("/fd/300");
    let files = || {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", run.pid)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    // The standard descriptors stay open: programs write to /proc/1/fd/1.
    until("only the standard descriptors are left", || files() == ["0", "1", "2"]);
}

#[test]
fn programs_are_found_on_the_path_of_the_environment() {
    let place = directory("path");
    install(&place.join("found"), b"#!/bin/sh\nexit 7\n", "755");
    install(&place.join("locked"), b"#!/bin/sh\nexit 7\n", "644");
    install(&place.join("no-shebang"), b"exit 7\n", "755");
    let place_ = place.display();
    let run = |program: &str| {
        let start = Start::pid1(&["--", program]).without_environment();
        let mut run = start.env(&format!("PATH=/nonsense:{place_}")).run();
        (run.code(), run.err.text())
    };
    assert_eq!(run("found"), (7, String::new()));
    assert_eq!(run(&format!("{place_}/found")), (7, String::new()));
    for missing in ["nothing", "/nothing", "./found", "/etc/passwd/x", ""] {
        assert_eq!(run(missing).0, 127, "{missing}");
    }
    for barred in ["locked", "/etc/passwd", "/etc"] {
        assert_eq!(run(barred).0, 126, "{barred}");
    }
    assert!(run("nothing").1.contains("nothing"));
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn an_empty_path_does_not_search_the_working_directory() {
    let place = directory("empty-path");
    install(&place.join("tool"), b"#!/bin/sh\nexit 7\n", "755");
    let path = std::ffi::CString::new(place.to_str().unwrap()).unwrap();
    let enter = move || {
        // SAFETY: the path ends in NUL.
        unsafe { libc::chdir(path.as_ptr()) };
    };
    let start = Start::pid1(&["--", "tool"]).without_environment().env("PATH=");
    assert_eq!(start.before(enter).run().code(), 127);
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn the_program_gets_its_own_id_as_listen_pid_if_it_was_meant_for_the_init() {
    let ask = "echo $$ is $LISTEN_PID.; exit 7";
    for (value, said) in [
        ("1", "2 is 2."),
        ("4711", "2 is 4711."),
        ("", "2 is ."),
        ("11", "2 is 11."),
        ("1 ", "2 is 1 ."),
    ] {
        let start = Start::pid1(&["--", "sh", "-c", ask]).env(&format!("LISTEN_PID={value}"));
        let mut run = start.env("LISTEN_PIDS=1").run();
        assert_eq!((run.code(), run.out.whole().trim()), (7, said), "{value}");
    }
    // A longer ID than the previous one, with an init that is not PID 1.
    let script = format!("LISTEN_PID=$$ exec {} -- sh -c 'echo $$ is $LISTEN_PID.'", init());
    let mut run = Start::command(["/bin/sh", "-c", &script].map(String::from).to_vec()).run();
    assert_eq!(run.code(), 0);
    let text = run.out.whole();
    let (pid, value) = text.trim().split_once(" is ").expect("two ids");
    assert_eq!(format!("{pid}."), value);
    let mut run = Start::pid1(&["--", "sh", "-c", "echo ${LISTEN_PID-unset}"]).run();
    assert_eq!((run.code(), run.out.whole().trim()), (0, "unset"));
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_child_starts_on_an_aligned_stack() {
    let run = Start::pid1(&["--", "sleep", "1000"]).before(reaper_tests::trace::trace_me).run();
    let stack = reaper_tests::trace::stack_of_the_childs_function(run.pid);
    assert_eq!(stack % 16, 8, "as after a call from an aligned stack");
}

#[test]
fn a_file_without_an_interpreter_line_is_not_given_to_a_shell() {
    let place = directory("shebang");
    install(&place.join("no-shebang"), b"exit 7\n", "755");
    let program = place.join("no-shebang");
    assert_eq!(Start::pid1(&["--", program.to_str().unwrap()]).run().code(), 126);
    let path = format!("PATH={}", place.display());
    let start = Start::pid1(&["--", "no-shebang"]).without_environment().env(&path);
    assert_eq!(start.run().code(), 126);
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn relative_names_are_relative_to_the_working_directory() {
    let place = directory("relative");
    std::fs::create_dir(place.join("bin")).unwrap();
    install(&place.join("bin/tool"), b"#!/bin/sh\nexit 7\n", "755");
    let path = std::ffi::CString::new(place.to_str().unwrap()).unwrap();
    let run = |args: &[&str], search: &str| {
        let path = path.clone();
        let enter = move || {
            // SAFETY: the path ends in NUL.
            unsafe { libc::chdir(path.as_ptr()) };
        };
        Start::pid1(args).without_environment().env(search).before(enter).run().code()
    };
    assert_eq!(run(&["--", "bin/tool"], "PATH=/bin"), 7);
    assert_eq!(run(&["--", "./bin/tool"], "PATH=/bin"), 7);
    assert_eq!(run(&["--", "tool"], "PATH=/nonsense:bin"), 7);
    std::fs::remove_dir_all(place).unwrap();
}

#[test]
fn neither_environment_nor_proc_is_needed() {
    let start = Start::pid1(&["--", "sh", "-c", "exit 7"]).without_proc().without_environment();
    assert_eq!(start.run().code(), 7);
}

#[test]
fn it_works_behind_another_init_and_behind_a_wrapper() {
    // This is the case with `docker run --init`, and with a start script before the init.
    let command = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    let init = init();
    let orphans = "(sleep 0 & sleep 0 &); exit 7";
    let behind = command(&["/usr/bin/tini", "--", &init, "--", "sh", "-c", orphans]);
    let mut run = Start::command(behind).in_namespace().run();
    assert_eq!((run.code(), run.err.text()), (7, String::new()));
    let wrapper = format!("{init} -- sh -c '{orphans}'; exit $?");
    let mut run = Start::command(command(&["/bin/sh", "-c", &wrapper])).in_namespace().run();
    assert_eq!((run.code(), run.err.text()), (7, String::new()));
}

#[test]
fn the_parents_death_sends_the_signal_asked_for() {
    let shell = format!("{} -p SIGTERM -- {} record & wait", init(), probe());
    let mut run = Start::command(["/bin/sh", "-c", &shell].map(String::from).to_vec()).run();
    run.says("ready");
    kill(run.pid, libc::SIGKILL);
    run.says("signal 15");
    assert_eq!(run.code(), 137);
}
