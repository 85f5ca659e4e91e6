//! Table tests of signals, wait statuses, the stop sequence, the search for a program, and `/proc`.

use reaper::lookup;
use reaper::proc::{PARENT, PID, USER, field};
use reaper::signal::{Rewrites, Signal};
use reaper::status::Change;
use reaper::stop::{Step, Stop};
use reaper::text::{cut, decimal};

#[test]
fn signals_are_known_by_number_and_by_name() {
    for (text, number) in [
        ("1", Some(1)),
        ("64", Some(64)),
        ("015", Some(15)),
        ("HUP", Some(1)),
        ("SIGTERM", Some(15)),
        ("sigterm", Some(15)),
        ("Chld", Some(17)),
        ("SYS", Some(31)),
        ("VTALRM", Some(26)),
        ("RTMIN", Some(34)),
        ("SIGRTMIN+3", Some(37)),
        ("RTMAX", Some(64)),
        ("rtmax-30", Some(34)),
        ("RTMAX-31", None),
        ("RTMIN+31", None),
        ("RTMIN-1", None),
        ("RTMAX+0", None),
        ("RTMIN+", None),
        ("0", None),
        ("65", None),
        ("-1", None),
        ("", None),
        ("SIG", None),
        ("TERM ", None),
        ("HUP INT", None),
        ("SIGSIGTERM", None),
        ("a name that is longer than any", None),
    ] {
        assert_eq!(Signal::parse(text.as_bytes()).map(Signal::number), number, "{text}");
    }
}

#[test]
fn faults_and_exits_of_children_are_messages_only_when_a_process_sent_them() {
    const SI_USER: i32 = 0;
    const SI_QUEUE: i32 = -1;
    const SI_KERNEL: i32 = 0x80;
    for number in 1..=64 {
        let signal = Signal::new(number).unwrap();
        let about_us = [4, 5, 7, 8, 11, 17, 31].contains(&number);
        assert!(signal.is_message(SI_USER) && signal.is_message(SI_QUEUE), "{number}");
        assert_eq!(signal.is_message(SI_KERNEL), !about_us, "{number}");
        assert_eq!(signal.is_message(1), !about_us, "{number}");
    }
}

#[test]
fn rewrites_change_only_what_they_name() {
    let mut rewrites = Rewrites::NONE;
    for rule in ["TERM:QUIT", "HUP:", "USR1:0", "RTMIN+1:SIGKILL", "2:3"] {
        assert!(rewrites.set(rule.as_bytes()), "{rule}");
    }
    for number in 1..=64 {
        let to = match number {
            15 | 2 => Some(3),
            1 | 10 => None,
            35 => Some(9),
            same => Some(same),
        };
        let signal = Signal::new(number).unwrap();
        assert_eq!(rewrites.get(signal).map(|to| u32::from(to.number())), to, "{number}");
    }
}

#[test]
fn a_wait_status_becomes_a_shells_exit_code() {
    for (status, change, code) in [
        (0x0000, Change::Exited(0), Some(0)),
        (0x2a00, Change::Exited(42), Some(42)),
        (0xff00, Change::Exited(255), Some(255)),
        (0x000f, Change::Killed(15), Some(143)),
        (0x008b, Change::Killed(11), Some(139)),
        (0x0040, Change::Killed(64), Some(192)),
        (0x137f, Change::Stopped(19), None),
        (0xffff, Change::Continued, None),
    ] {
        assert_eq!(Change::decode(status), change, "{status:#x}");
        assert_eq!(change.exit_code(), code, "{status:#x}");
    }
}

#[test]
fn the_rest_is_warned_once_waited_for_and_killed() {
    let mut stop = Stop::new(3000);
    assert_eq!(stop.step(0, true), Step::Terminate);
    assert_eq!(stop.step(0, true), Step::Sleep(1));
    assert_eq!(stop.step(80, true), Step::Sleep(10));
    assert_eq!(stop.step(2900, true), Step::Sleep(20));
    assert_eq!(stop.step(2999, true), Step::Sleep(1));
    assert_eq!(stop.step(3000, true), Step::Kill);
    // KILL is repeated for a process that does not end, until the sequence gives up.
    assert_eq!(stop.step(3001, true), Step::Sleep(20));
    assert_eq!(stop.step(3100, true), Step::Kill);
    assert_eq!(stop.step(3999, true), Step::Kill);
    assert_eq!(stop.step(4099, true), Step::Exit);
}

#[test]
fn exits_at_once_if_no_process_remains() {
    let mut stop = Stop::new(3000);
    assert_eq!(stop.step(0, false), Step::Exit);
    assert_eq!(stop.step(0, true), Step::Terminate);
    assert_eq!(stop.step(10, false), Step::Exit);
    // Without a grace period, no process is signalled.
    assert_eq!(Stop::new(0).step(0, true), Step::Exit);
    // A long sleep does not skip the warning or KILL.
    let mut late = Stop::new(100);
    assert_eq!(late.step(5000, true), Step::Terminate);
    assert_eq!(late.step(5000, true), Step::Kill);
}

#[test]
fn programs_are_looked_for_as_engines_do() {
    let tried = |name: &str, path: Option<&'static str>| -> Option<Vec<String>> {
        let directories = lookup::directories(name.as_bytes(), path.map(str::as_bytes))?;
        Some(directories.map(|text| String::from_utf8(text.to_vec()).unwrap()).collect())
    };
    assert_eq!(tried("./x", Some("/bin")), None);
    assert_eq!(tried("/bin/x", None), None);
    assert_eq!(tried("", Some("/bin")), None);
    assert_eq!(tried("x", Some("/a:/b")), Some(vec!["/a".into(), "/b".into()]));
    // An empty entry is the working directory.
    assert_eq!(tried("x", Some(":b")), Some(vec!["".into(), "b".into()]));
    assert_eq!(tried("x", Some("b:")), Some(vec!["b".into(), "".into()]));
    let default = tried("x", None).unwrap();
    assert_eq!((default.len(), default[0].as_str()), (6, "/usr/local/sbin"));
}

#[test]
fn an_empty_path_does_not_search_the_working_directory() {
    let directories = lookup::directories(b"x", Some(b"")).expect("a name without a slash");
    assert_eq!(directories.count(), 0);
}

#[test]
fn not_found_is_127_and_not_executable_126() {
    let [enoent, e2big, enoexec, eacces, enotdir] = [2, 7, 8, 13, 20];
    for (errno, code, on) in [
        (enoent, 127, true),
        (enotdir, 127, true),
        (eacces, 126, true),
        (enoexec, 126, false),
        (e2big, 126, false),
    ] {
        assert_eq!(lookup::exit_code(errno), code, "{errno}");
        assert_eq!(lookup::search_on(errno), on, "{errno}");
        assert!(lookup::explain(errno).contains('$'));
    }
    assert_eq!(lookup::worse(eacces, enoent), eacces);
    assert_eq!(lookup::worse(enoent, eacces), eacces);
    assert_eq!(lookup::worse(enoent, enotdir), enotdir);
}

#[test]
fn fields_of_a_process_are_found_behind_any_name() {
    let rest = "Umask:\t0022\nState:\tS (sleeping)\nTgid:\t7\nNgid:\t0\nPid:\t7\nPPid:\t12\n\
                TracerPid:\t9\nUid:\t4294967294\t1000\t0\t0\nGid:\t0\t0\t0\t0\n";
    for name in ["sh", "a b", "Pid:\t1", "x\\nPid:\t1", ")", ""] {
        let status = format!("Name:\t{name}\n{rest}");
        let field = |name| field(status.as_bytes(), name);
        assert_eq!((field(PID), field(PARENT)), (Some(7), Some(12)), "{name}");
        assert_eq!(field(USER), Some(4_294_967_294), "{name}: the real one");
    }
    for status in ["", "Pid:", "Pid:\t", "Pid:\tx\n", "TracerPid:\t9\n", "Name:\tPid:\t9"] {
        assert_eq!(field(status.as_bytes(), PID), None, "{status}");
    }
}

#[test]
fn text_is_cut_once_and_numbers_are_only_digits() {
    assert_eq!(cut(b"a=b=c", b'='), (b"a".as_slice(), Some(b"b=c".as_slice())));
    assert_eq!(cut(b"a=", b'='), (b"a".as_slice(), Some(b"".as_slice())));
    assert_eq!(cut(b"a", b'='), (b"a".as_slice(), None));
    for (text, value) in [
        ("0", Some(0)),
        ("4294967295", Some(u32::MAX)),
        ("4294967296", None),
        ("", None),
        ("1 ", None),
        ("+1", None),
    ] {
        assert_eq!(decimal(text.as_bytes()), value, "{text}");
    }
}
