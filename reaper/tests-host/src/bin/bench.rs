//! Compares inits: `bench NAME=PATH…` prints one line for each. See scripts/bench-reaper.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use reaper_tests::{Running, Start, children, probe, state, status, until};

const STARTS: usize = 300;
const ORPHANS: u32 = 20_000;
const SIGNALS: usize = 2000;
const TERMS: u64 = 200;

struct Init {
    name: String,
    path: String,
}

impl Init {
    fn start(&self, program: &[&str]) -> Start {
        let command = [self.path.as_str(), "--"].into_iter().chain(program.iter().copied());
        Start::command(command.map(String::from).collect()).in_namespace()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors, which this process then owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// Returns the microseconds from the start of a process to its end, without polling in between.
fn duration(start: Start) -> f64 {
    let start = start.without_proc();
    let begin = Instant::now();
    let mut run = start.run();
    run.wait();
    begin.elapsed().as_secs_f64() * 1e6
}

/// Returns the resident kilobytes and the number of mappings, while the main process sleeps.
fn memory(init: &Init) -> (String, usize) {
    let run = settled(init, &["sleep", "1000"]);
    let resident = status(run.pid, "VmRSS").expect("it runs").replace(" kB", "");
    let maps = std::fs::read_to_string(format!("/proc/{}/maps", run.pid)).expect("it runs");
    (resident, maps.lines().count())
}

/// Returns a run whose main process has started and whose init waits.
fn settled(init: &Init, program: &[&str]) -> Running {
    let run = init.start(program).run();
    let name = std::path::Path::new(program[0]).file_name().expect("a name").to_str();
    until("the main process runs", || {
        children(run.pid).first().and_then(|&main| status(main, "Name")).as_deref() == name
    });
    until("the init waits", || state(run.pid) == 'S');
    run
}

/// Returns the nanoseconds that a process has run on a processor.
fn cpu(pid: i32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).expect("it runs");
    text.split(' ').next().and_then(|text| text.parse().ok()).expect("a number")
}

/// Returns the init's processor time for each orphan, in microseconds.
fn orphans(init: &Init, mode: &str) -> f64 {
    let run = init.start(&[&probe(), mode, &ORPHANS.to_string()]).run();
    let end = Instant::now() + Duration::from_secs(60);
    while !(run.out.text().contains("done") && children(run.pid).len() == 1) {
        assert!(Instant::now() < end, "{}: {mode} takes too long", init.name);
        std::thread::sleep(Duration::from_millis(20));
    }
    cpu(run.pid) / 1000.0 / f64::from(ORPHANS)
}

/// Returns the microseconds from sending a signal to the init until the main process receives it,
/// and, as the time without an init, those for a signal sent to the main process itself.
fn latency(init: &Init) -> (f64, f64) {
    let (read, write) = pipe();
    let target = write.as_raw_fd();
    let run = init
        .start(&[&probe(), "echo"])
        .before(move || {
            // SAFETY: this call accesses no memory.
            unsafe { libc::dup2(target, 1) };
        })
        .run();
    drop(write);
    let mut echo = File::from(read);
    let mut byte = [0];
    echo.read_exact(&mut byte).expect("the main process is ready");
    let main = run.main();
    let mut measure = |pid| {
        let once = |_| {
            let begin = Instant::now();
            reaper_tests::kill(pid, libc::SIGUSR1);
            echo.read_exact(&mut byte).expect("an echo");
            begin.elapsed().as_secs_f64() * 1e6
        };
        median((0..SIGNALS).map(once).collect())
    };
    (measure(run.pid), measure(main))
}

/// Returns how many times a second an idle init wakes up.
fn wakeups(init: &Init) -> f64 {
    let run = settled(init, &["sleep", "1000"]);
    let count = || -> f64 {
        let text = status(run.pid, "voluntary_ctxt_switches").expect("it runs");
        text.parse().expect("a number")
    };
    let before = count();
    std::thread::sleep(Duration::from_secs(3));
    (count() - before) / 3.0
}

/// Returns the number of system calls up to the exit of `true`: those of the init itself, and those
/// of its child before `execve`.
fn calls(init: &Init) -> (usize, usize) {
    let log = std::env::temp_dir().join(format!("calls-{}", init.name));
    let words = ["/usr/bin/strace", "-f", "-o", log.to_str().expect("text"), "/usr/bin/unshare"];
    let words = words.into_iter().chain(["--pid", "--fork", &init.path, "--", "/bin/true"]);
    Start::command(words.map(String::from).collect()).run().wait();
    let text = std::fs::read_to_string(log).expect("strace has written");
    let lines: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let started = |path: &str| {
        let call = format!("execve(\"{path}\"");
        lines.iter().position(|(_, rest)| rest.trim().starts_with(&call)).expect("it was started")
    };
    let (begin, main) = (started(&init.path), started("/bin/true"));
    let (own, child) = (lines[begin].0, lines[main].0);
    let exit = lines.iter().rposition(|(pid, rest)| *pid == child && rest.contains("+++"));
    let calls = |pid, range: &[(&str, &str)]| {
        let is_call = |rest: &str| rest.contains('(') && !rest.contains("resumed>");
        range.iter().filter(|(whose, rest)| *whose == pid && is_call(rest)).count()
    };
    (calls(own, &lines[begin + 1..exit.expect("it exits")]), calls(child, &lines[..main]))
}

/// Returns the percentage of TERMs, sent up to 3 ms after the init was executed, that end nothing.
fn lost(init: &Init) -> f64 {
    let lost = |index: u64| {
        let (read, write) = pipe();
        let mut run = init.start(&["sleep", "1000"]).without_proc().run();
        drop(write);
        // Wait for the end of the file: execve closes the other copy of the write end.
        let _ = File::from(read).read(&mut [0]);
        let moment = Instant::now() + Duration::from_micros(3000 * index / TERMS);
        while Instant::now() < moment {
            std::hint::spin_loop();
        }
        reaper_tests::kill(run.pid, libc::SIGTERM);
        let end = Instant::now() + Duration::from_millis(250);
        while Instant::now() < end && !run.ended() {
            std::thread::sleep(Duration::from_micros(500));
        }
        usize::from(!run.ended())
    };
    (0..TERMS).map(lost).sum::<usize>() as f64 * 100.0 / TERMS as f64
}

fn main() {
    let inits: Vec<Init> = std::env::args()
        .skip(1)
        .filter_map(|arg| {
            let (name, path) = arg.split_once('=')?;
            Some(Init { name: name.into(), path: path.into() })
        })
        .collect();
    let plain = || Start::command(vec!["/bin/true".into()]).in_namespace();
    // Run the inits in turn, so that other load on the machine affects all of them equally.
    let mut starts = vec![Vec::new(); inits.len() + 1];
    for _ in 0..STARTS {
        starts[0].push(duration(plain()));
        for (init, times) in inits.iter().zip(&mut starts[1..]) {
            times.push(duration(init.start(&["/bin/true"])));
        }
    }
    let mut starts = starts.into_iter().map(median);
    let base = starts.next().expect("plain true");
    println!("plain true as PID 1: {base:.0} µs, the median of {STARTS}");
    println!(
        "{:<12} {:>7} {:>6} {:>5} {:>6} {:>8} {:>8} {:>9} {:>8} {:>6} {:>6} {:>6}",
        "",
        "bytes",
        "RSS",
        "maps",
        "start",
        "stream",
        "storm",
        "signal",
        "wake-ups",
        "calls",
        "child",
        "TERMs"
    );
    println!(
        "{:<12} {:>7} {:>6} {:>5} {:>6} {:>8} {:>8} {:>9} {:>8} {:>6} {:>6} {:>6}",
        "", "", "kB", "", "ratio", "µs each", "µs each", "µs (+)", "a second", "own", "'s", "lost"
    );
    for (init, start) in inits.iter().zip(starts) {
        let bytes = std::fs::metadata(&init.path).expect("the file").len();
        // It only starts and reaps: see floor.c.
        if init.name == "floor" {
            println!("{:<12} {bytes:>7} {:>6} {:>5} {:>6.2}", init.name, "", "", start / base);
            continue;
        }
        let (resident, maps) = memory(init);
        let (stream, storm) = (orphans(init, "orphans"), orphans(init, "storm"));
        let (through, direct) = latency(init);
        let signal = format!("{through:.0} (+{:.0})", through - direct);
        let (wakeups, (own, child), lost) = (wakeups(init), calls(init), lost(init));
        println!(
            "{:<12} {bytes:>7} {resident:>6} {maps:>5} {:>6.2} {stream:>8.1} {storm:>8.1} \
             {signal:>9} {wakeups:>8.1} {own:>6} {child:>6} {lost:>5.1}%",
            init.name,
            start / base,
        );
    }
}
