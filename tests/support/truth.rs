//! Images made of the packages installed on this machine, run in a PID namespace of their own, to compare the
//! verdicts of `inspect` with what happens. Requires root.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::image::{Family, digest, write_blob, write_index};
use super::run::{Running, tool};
use super::{eventually, scratch};

/// An image, and how to recognise that it works.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    /// Debian packages, besides those of every image.
    pub packages: &'static [&'static str],
    /// Directories whose content the packages' scripts created at installation.
    pub made: &'static [&'static str],
    /// Further scripts.
    pub files: &'static [(&'static str, &'static str)],
    pub entrypoint: &'static [&'static str],
    pub cmd: &'static [&'static str],
    pub stop: &'static str,
    /// The name of the service's process.
    pub runs: &'static str,
    /// The text that the service writes when it is ready; if empty, its process is given a moment.
    pub ready: &'static str,
    /// The text that the service writes when it stops; if empty, its end within the deadline is sufficient.
    pub told: &'static str,
}

/// An image with only the shells and small tools.
pub const PLAIN: Case = Case {
    name: "",
    packages: &[],
    made: &[],
    files: &[],
    entrypoint: &[],
    cmd: &[],
    stop: "TERM",
    runs: "",
    ready: "",
    told: "",
};

/// The packages of every image.
const BASE: &[&str] = &[
    "base-files",
    "libc6",
    "libc-bin",
    "dash",
    "bash",
    "busybox",
    "coreutils",
    "sed",
    "grep",
    "tini",
    "dumb-init",
    "gosu",
];
const BASE_MADE: &[&str] = &[
    "/etc/alternatives",
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/ld.so.cache",
    "/etc/pam.d",
];

/// The time limit for a service to stop.
const STOP: Duration = Duration::from_secs(6);

/// Returns the files of packages, the libraries of their programs, and the files below `made`.
fn paths_of(packages: &[&str], made: &[&str]) -> BTreeSet<PathBuf> {
    let listed: String = packages.iter().map(|package| tool("dpkg", ["-L", package]).run().text()).collect();
    let is_prose = |path: &&str| {
        ["/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info"]
            .iter()
            .any(|dir| path.starts_with(dir))
            || path.contains("/man/")
            || path.contains("/gconv/")
    };
    let mut paths: BTreeSet<PathBuf> = listed
        .lines()
        .filter(|line| line.starts_with('/') && !is_prose(line))
        .filter_map(real_place)
        .collect();
    if !made.is_empty() {
        let found = tool("find", made).run().text();
        paths.extend(found.lines().filter_map(real_place));
    }
    let links: Vec<PathBuf> =
        paths.iter().filter_map(|path| path.canonicalize().ok()).filter(|path| path.is_file()).collect();
    paths.extend(links);
    let is_program = |path: &&PathBuf| {
        path.metadata().is_ok_and(|about| {
            about.is_file() && (about.mode() & 0o111 != 0 || path.extension().is_some_and(|end| end == "so"))
        })
    };
    let programs: Vec<&PathBuf> = paths.iter().filter(is_program).collect();
    if !programs.is_empty() {
        let text = tool("ldd", programs).run().text();
        let library =
            |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
        for library in
            text.lines().filter(|line| line.starts_with('\t')).filter_map(library).collect::<BTreeSet<_>>()
        {
            paths.extend(real_place(&library));
            paths.extend(Path::new(&library).canonicalize().ok());
        }
    }
    paths
}

/// Returns the path with links among its directories resolved: `/bin/sh` becomes `/usr/bin/sh`.
fn real_place(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return None };
    let place = dir.canonicalize().ok()?.join(name);
    place.symlink_metadata().is_ok().then_some(place)
}

fn tar_of(paths: &BTreeSet<PathBuf>) -> Vec<u8> {
    let relative = |path: &PathBuf| path.as_os_str().as_encoded_bytes().get(1..).unwrap_or_default().to_vec();
    let names: Vec<u8> = paths.iter().flat_map(|path| [relative(path), vec![0]].concat()).collect();
    let args =
        ["--create", "--no-recursion", "--directory=/", "--hard-dereference", "--null", "--files-from=-"];
    tool("tar", args).stdin(names).run().succeeds().stdout
}

/// Returns the lowest layer, created once.
fn base() -> &'static Vec<u8> {
    static BASE_LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    BASE_LAYER.get_or_init(|| {
        let mut paths = paths_of(BASE, BASE_MADE);
        for link in [
            "/bin",
            "/sbin",
            "/lib",
            "/lib64",
            "/usr",
            "/usr/bin",
            "/usr/sbin",
            "/usr/lib",
            "/tmp",
            "/run",
            "/var",
            "/var/tmp",
            "/etc",
        ] {
            paths.insert(link.into());
        }
        tar_of(&paths)
    })
}

/// Returns the scripts of a case, and the directories that a running system has.
fn own_files(case: &Case) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for dir in
        ["proc", "dev", "run/mysqld", "run/php", "run/apache2", "run/haproxy", "run/postgresql", "var/lock"]
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_data(&mut header, dir, &[][..]).expect("a tar in memory");
    }
    for (path, text) in case.files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o755);
        tar.append_data(&mut header, path.trim_start_matches('/'), text.as_bytes()).expect("a tar in memory");
    }
    tar.into_inner().expect("a tar in memory")
}

/// An image on disk, as a layout and unpacked.
pub struct Built {
    _dir: tempfile::TempDir,
    name: String,
    root: PathBuf,
}

/// Creates the image of a case.
pub fn build(case: &Case) -> Built {
    let dir = scratch();
    let root = dir.path().join("root");
    std::fs::create_dir(&root).expect("a directory");
    let mut layers = vec![base().clone()];
    if !case.packages.is_empty() || !case.made.is_empty() {
        layers.push(tar_of(&paths_of(case.packages, case.made)));
    }
    layers.push(own_files(case));
    let layout = dir.path().join("layout");
    let blob = |bytes: &[u8], media_type: &str| {
        write_blob(&layout, bytes);
        json!({"mediaType": media_type, "digest": digest(bytes), "size": bytes.len()})
    };
    let mut descriptors = Vec::new();
    for tar in layers {
        // Uncompressed, because deflate is slow in an unoptimised build.
        descriptors.push(blob(&tar, "application/vnd.oci.image.layer.v1.tar"));
        tool("tar", ["--extract", "--directory"]).arg(&root).stdin(tar).run().succeeds();
    }
    let diff_ids: Vec<&Value> = descriptors.iter().map(|descriptor| &descriptor["digest"]).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Entrypoint": case.entrypoint, "Cmd": case.cmd, "StopSignal": format!("SIG{}", case.stop), "Env": [format!("PATH={PATH}")]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = blob(config.to_string().as_bytes(), Family::Oci.config());
    let manifest = json!({"schemaVersion": 2, "mediaType": Family::Oci.manifest(), "config": config, "layers": descriptors});
    let manifest = manifest.to_string().into_bytes();
    write_blob(&layout, &manifest);
    write_index(&layout, &[("v1", Family::Oci.manifest(), &manifest)]);
    let name = format!("oci:{}:v1", layout.display());
    Built { _dir: dir, name, root }
}

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the platform's part of the output of `inspect`.
pub fn verdict(built: &Built) -> serde_json::Value {
    let args = ["inspect", "--output", "json", "--no-cache", &built.name];
    let told = super::run::reapify(args).run().succeeds().json();
    told["platforms"][0].clone()
}

/// The observations of a running image.
#[derive(Debug)]
pub struct Seen {
    /// The number of zombies of PID 1 that remained.
    pub zombies: usize,
    /// Whether the container ended by itself after the stop signal.
    pub ended: bool,
    /// Whether the service reported the stop, if it reports one.
    pub told: bool,
    pub took: Duration,
    /// The device and inode of PID 1's program.
    pub program: (u64, u64),
    pub log: String,
}

/// A script that mounts what a container has, sets up the container's network, and becomes PID 1's parent. Its
/// arguments are the root and the command.
const CONTAIN: &str = r#"set -e
root=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
hostname truth
printf '127.0.0.1 localhost truth\n' >"$root/etc/hosts"
busybox ifconfig lo 127.0.0.1 up
exec unshare --pid --fork --kill-child --mount-proc="$root/proc" chroot "$root" env -i "$@"
"#;

/// A script that starts five processes whose parents end before them.
const ORPHANS: &str = "for n in 1 2 3 4 5; do ( sleep 0.3 & ) done";

/// Runs the image and observes it.
pub fn observe(case: &Case, built: &Built) -> Seen {
    let log = built.root.with_extension("log");
    let out = std::fs::File::create(&log).expect("a log");
    let errors = out.try_clone().expect("a log");
    let mut container = tool(
        "setpriv",
        [
            "--pdeathsig",
            "KILL",
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--ipc",
            "bash",
            "-c",
            CONTAIN,
            "contain",
        ],
    )
    .arg(&built.root)
    .arg(format!("PATH={PATH}"))
    .args(case.entrypoint)
    .args(case.cmd)
    .pipe(1, out)
    .pipe(2, errors)
    .start();
    let read = || String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let pid = eventually(Duration::from_secs(60), case.name, || {
        let pid = is_ready(case, container.pid(), &read());
        if container.has_ended() {
            panic!("{}: it ended: {}", case.name, read())
        }
        pid.ok_or_else(read)
    });
    if case.ready.is_empty() {
        std::thread::sleep(Duration::from_millis(1500));
    }
    let about = std::fs::metadata(format!("/proc/{pid}/exe")).expect("PID 1 runs");
    let zombies = zombies_after_orphans(pid);
    let (ended, took) = stop(case, &mut container, pid);
    let log = read();
    Seen {
        zombies,
        ended,
        told: case.told.is_empty() || log.contains(case.told),
        took,
        program: (about.dev(), about.ino()),
        log,
    }
}

/// Returns the id of the namespace's PID 1 outside of it, if the service is ready.
fn is_ready(case: &Case, unshare: u32, log: &str) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children")).ok()?;
    let pid: u32 = children.split_whitespace().next()?.parse().ok()?;
    let space = namespace(pid)?;
    // Before unshare is executed and forks, the child processes are others.
    if Some(&space) == namespace(unshare).as_ref() {
        return None;
    }
    let is_there = processes().any(|process| {
        namespace(process).as_ref() == Some(&space) && name(process).as_deref() == Some(case.runs)
    });
    (is_there && log.contains(case.ready)).then_some(pid)
}

fn namespace(pid: u32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn name(pid: u32) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim_end().to_owned())
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").expect("/proc is mounted");
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn zombies_of(pid: u32) -> usize {
    let is_zombie = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let mut words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
        words.next() == Some("Z") && words.next() == Some(&pid.to_string())
    };
    processes().filter(is_zombie).count()
}

/// Creates orphans, and returns how many zombies remain after enough time for a PID 1 that reaps at intervals.
fn zombies_after_orphans(pid: u32) -> usize {
    let before = zombies_of(pid);
    tool("nsenter", ["--target", &pid.to_string(), "--pid", "bash", "-c", ORPHANS]).run().succeeds();
    std::thread::sleep(Duration::from_secs(1));
    let end = Instant::now() + Duration::from_secs(4);
    while zombies_of(pid) > before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
    zombies_of(pid).saturating_sub(before)
}

fn stop(case: &Case, container: &mut Running, pid: u32) -> (bool, Duration) {
    let start = Instant::now();
    tool("kill", [format!("-{}", case.stop), pid.to_string()]).run().succeeds();
    while !container.has_ended() && start.elapsed() < STOP {
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = start.elapsed();
    let ended = container.has_ended();
    if !ended {
        tool("kill", ["-KILL", &pid.to_string()]).run();
        eventually(Duration::from_secs(10), "the end of the container", || {
            container.has_ended().then_some(()).ok_or_else(String::new)
        });
    }
    (ended, took)
}

/// Returns whether PID 1's program is this file of the image.
pub fn is_program(built: &Built, seen: &Seen, path: &str) -> bool {
    let file = built.root.join(path.trim_start_matches('/'));
    file.metadata().is_ok_and(|about| (about.dev(), about.ino()) == seen.program)
}
