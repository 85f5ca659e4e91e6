//! `measure FILE COMMAND…`: runs a command and writes its cost to FILE on one line: seconds, CPU seconds, and
//! the peak RSS in kB of the largest process.
//!
//! This is a separate program, because the peak of a new process starts with that of the process that started it
//! (getrusage(2)), and this one is small.

use std::process::{Command, ExitCode};
use std::time::Instant;

/// `struct timeval` on 64-bit Linux.
#[repr(C)]
#[derive(Default)]
struct Time {
    seconds: i64,
    micros: i64,
}

/// `struct rusage` on 64-bit Linux.
#[repr(C)]
#[derive(Default)]
struct Usage {
    user: Time,
    system: Time,
    peak: i64,
    rest: [i64; 13],
}

unsafe extern "C" {
    fn wait4(pid: i32, status: *mut i32, options: i32, usage: *mut Usage) -> i32;
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let [file, program, args @ ..] = &args[..] else {
        eprintln!("usage: measure FILE COMMAND…");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let child = match Command::new(program).args(args).spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("measure: {}: {error}", program.display());
            return ExitCode::from(127);
        }
    };
    let (mut status, mut usage) = (0, Usage::default());
    // SAFETY: the child belongs to this process, and nothing else waits for it; both references outlive the call.
    while unsafe { wait4(child.id() as i32, &mut status, 0, &mut usage) } < 0 {}
    let wall = start.elapsed().as_secs_f64();
    let cpu = (usage.user.seconds + usage.system.seconds) as f64
        + (usage.user.micros + usage.system.micros) as f64 / 1e6;
    if let Err(error) = std::fs::write(file, format!("{wall} {cpu} {}\n", usage.peak)) {
        eprintln!("measure: {}: {error}", file.display());
        return ExitCode::FAILURE;
    }
    let code = if status & 0x7f == 0 { status >> 8 } else { 128 + (status & 0x7f) };
    ExitCode::from(code as u8)
}
