//! The binary of every platform: the format of its file, and its behaviour under qemu-user.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use reaper_tests::{Running, Start, children, deny, install, probe, until};

/// The platform, its name in qemu, the ELF machine, and the maximum size in bytes.
const PLATFORMS: [(&str, &str, u16, u64); 11] = [
    ("linux-amd64", "x86_64", 62, 10 * 1024),
    ("linux-386", "i386", 3, 16 * 1024),
    ("linux-arm64", "aarch64", 183, 16 * 1024),
    ("linux-arm-v7", "arm", 40, 16 * 1024),
    ("linux-arm-v6", "arm", 40, 16 * 1024),
    ("linux-arm-v5", "arm", 40, 16 * 1024),
    ("linux-ppc64le", "ppc64le", 21, 16 * 1024),
    ("linux-s390x", "s390x", 22, 16 * 1024),
    ("linux-riscv64", "riscv64", 243, 16 * 1024),
    ("linux-loong64", "loongarch64", 258, 16 * 1024),
    ("linux-mips64le", "mips64el", 8, 16 * 1024),
];

fn prebuilt() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../prebuilt")
}

/// Returns an executable copy of a binary, because the files in the repository need not be
/// executable. The script that runs the tests removes the copies.
fn executable(platform: &str) -> String {
    static COPIED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let to = std::env::temp_dir().join(platform).display().to_string();
    let mut copied = COPIED.lock().expect("nothing panics while it is locked");
    if copied.insert(to.clone()) {
        let bytes = std::fs::read(prebuilt().join(platform)).expect("it was built");
        install(Path::new(&to), &bytes, "755");
    }
    to
}

/// Prepares a run of a platform's reaper as PID 1 under its qemu; the programs that it starts are
/// the host's.
fn start(platform: &str, qemu: &str, args: &[&str]) -> Start {
    let command = [format!("/usr/bin/qemu-{qemu}-static"), executable(platform)];
    let command = command.into_iter().chain(args.iter().map(ToString::to_string));
    Start::command(command.collect()).in_namespace()
}

fn emulated(platform: &str, qemu: &str, args: &[&str]) -> Running {
    start(platform, qemu, args).run()
}

fn each(test: impl Fn(&str, &str)) {
    for (platform, qemu, ..) in PLATFORMS {
        test(platform, qemu);
    }
}

#[test]
fn exit_codes_are_right_on_every_platform() {
    each(|platform, qemu| {
        for (args, code) in [
            (["--", "sh", "-c", "exit 7"].as_slice(), 7),
            (&["--", "sh", "-c", "kill -KILL $$"], 137),
            (&["-e", "143", "--", "sh", "-c", "kill -TERM $$"], 0),
            (&["--", "nothing"], 127),
            (&["--", "/etc/passwd"], 126),
            (&["-t", "soon"], 1),
        ] {
            let mut run = emulated(platform, qemu, args);
            assert_eq!(run.code(), code, "{platform} {args:?}: {}", run.err.text());
        }
        let mut run = emulated(platform, qemu, &["--version"]);
        assert_eq!(run.code(), 0);
        assert!(run.out.whole().starts_with("reapify-reaper version="), "{platform}");
    });
}

#[test]
fn signals_are_forwarded_on_every_platform() {
    each(|platform, qemu| {
        let args = ["-r", "USR1:USR2", "--", "sh", "-c"];
        let script = "trap 'echo usr2' USR2; trap 'echo term; exit 9' TERM; echo r; \
                      while :; do sleep 0.02; done";
        let mut run = emulated(platform, qemu, &[args.as_slice(), &[script]].concat());
        run.says("r").signal(libc::SIGUSR1).says("usr2").signal(libc::SIGTERM).says("term");
        assert_eq!(run.code(), 9, "{platform}");
    });
}

#[test]
fn other_users_get_signals_without_cap_kill_on_every_platform() {
    let member = |user: u32, name: &str| {
        format!(
            "setpriv --reuid {user} --regid {user} --clear-groups sh -c \
             'trap \"echo {name}; exit 9\" TERM; echo r; while :; do sleep 0.02; done'"
        )
    };
    let script = format!("{} & exec {}", member(65533, "third"), member(65534, "main"));
    each(|platform, qemu| {
        let start = start(platform, qemu, &["-g", "--", "sh", "-c", &script]);
        let mut run = start.before(deny::cap_kill).run();
        run.says("r\nr\n").signal(libc::SIGTERM).says("third").says("main");
        assert_eq!(run.code(), 9, "{platform}");
        assert_eq!(run.err.whole().matches("reaper: ").count(), 0, "{platform}");
    });
}

#[test]
fn listen_pid_is_the_programs_own_on_every_platform() {
    each(|platform, qemu| {
        let args = ["--", "sh", "-c", "[ $$ != 1 ] && [ $$ = $LISTEN_PID ]"];
        let mut run = start(platform, qemu, &args).env("LISTEN_PID=1").run();
        assert_eq!(run.code(), 0, "{platform}");
    });
}

#[test]
fn orphans_are_reaped_on_every_platform() {
    each(|platform, qemu| {
        let mut run = emulated(platform, qemu, &["-vt1", "--", &probe(), "orphans", "20"]);
        run.says("done");
        until("only the main process is left", || children(run.pid).len() == 1);
        run.signal(libc::SIGTERM);
        assert_eq!(run.code(), 143, "{platform}");
        let counts = "reaper: reaped 20, left over 0, killed 0, exit code 143\n";
        assert_eq!(run.err.whole(), counts, "{platform}");
    });
}

#[test]
fn the_rest_is_stopped_on_every_platform() {
    each(|platform, qemu| {
        let left = "trap \"\" TERM; echo r; while :; do sleep 0.05; done";
        let script = format!("setsid sh -c '{left}' & sleep 0.1; exit 7");
        let mut run = emulated(platform, qemu, &["-t", "0.3", "-v", "--", "sh", "-c", &script]);
        assert_eq!(run.code(), 7, "{platform}");
        assert!(run.err.whole().contains("left over"), "{platform}");
    });
}

/// Reads a number in an ELF file of either byte order.
fn number(file: &[u8], offset: usize, bytes: usize) -> u64 {
    let digits = &file[offset..offset + bytes];
    let join = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    let little = file[5] == 1;
    if little { digits.iter().rev().fold(0, join) } else { digits.iter().fold(0, join) }
}

/// Returns the type and the flags of each program header.
fn segments(file: &[u8]) -> Vec<(u64, u64)> {
    let wide = file[4] == 2;
    let (table, size, count, flags) = if wide { (32, 54, 56, 4) } else { (28, 42, 44, 24) };
    let word = if wide { 8 } else { 4 };
    let first = number(file, table, word) as usize;
    (0..number(file, count, 2) as usize)
        .map(|index| first + index * number(file, size, 2) as usize)
        .map(|header| (number(file, header, 4), number(file, header + flags, 4)))
        .collect()
}

#[test]
fn prebuilt_files_are_small_static_elf_files_without_relocations() {
    let [load, dynamic, interp, stack] = [1, 2, 3, 0x6474_e551];
    for (platform, _, machine, most) in PLATFORMS {
        let file = std::fs::read(prebuilt().join(platform)).expect("it was built");
        assert!(file.len() as u64 <= most, "{platform}: {} bytes", file.len());
        assert_eq!(&file[..4], b"\x7fELF", "{platform}");
        // EXEC means a fixed address; without a dynamic section there are no relocations.
        assert_eq!((number(&file, 16, 2), number(&file, 18, 2)), (2, u64::from(machine)));
        let segments = segments(&file);
        let flags = |kind| segments.iter().filter(move |segment| segment.0 == kind);
        assert_eq!(flags(dynamic).count() + flags(interp).count(), 0, "{platform}");
        assert!(flags(load).all(|(_, flags)| flags & 3 != 3), "{platform}: W and X");
        assert!(flags(load).count() >= 1 && flags(stack).count() == 1, "{platform}");
        assert!(flags(stack).all(|(_, flags)| flags & 1 == 0), "{platform}: X stack");
    }
}

#[test]
fn no_file_holds_a_panic_or_a_path_of_the_machine_that_built_it() {
    for (platform, ..) in PLATFORMS {
        let file = std::fs::read(prebuilt().join(platform)).expect("it was built");
        let text = String::from_utf8_lossy(&file);
        for trace in ["panic", ".rs", "/usr/", "/home", "/root", "/tmp", "unwrap", "index out of"] {
            let allowed =
                text.matches("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin").count() * 4;
            let found = text.matches(trace).count();
            assert!(found == if trace == "/usr/" { allowed } else { 0 }, "{platform}: {trace}");
        }
    }
}

#[test]
fn every_file_carries_its_marker_once_and_stands_in_the_manifest() {
    let manifest = std::fs::read_to_string(prebuilt().join("MANIFEST")).expect("a manifest");
    let source = manifest.lines().find_map(|line| line.strip_prefix("source ")).expect("source");
    for (platform, ..) in PLATFORMS {
        let file = std::fs::read(prebuilt().join(platform)).expect("it was built");
        let text = String::from_utf8_lossy(&file);
        let marker = format!(" source={source}\n");
        assert_eq!(text.matches("reapify-reaper version=").count(), 1, "{platform}");
        assert_eq!(text.matches(&marker).count(), 1, "{platform}");
        let entry = format!("{platform} {} sha256:", file.len());
        assert!(manifest.lines().any(|line| line.starts_with(&entry)), "{platform}");
    }
}
