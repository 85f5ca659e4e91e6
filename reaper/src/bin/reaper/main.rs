//! The reaper: no libc, no allocator, raw system calls, everything it knows on one stack.
//!
//! `start` reads the command line, [`spawn`] starts the main process, [`life`] waits, forwards and
//! reaps, [`rest`] finds who is left at the end. [`sys`] is the kernel, and [`arch`] the processor.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "mips64", feature(asm_experimental_arch))]

mod arch;
mod life;

mod panic;
mod rest;
mod say;
mod send;
mod spawn;
mod stack;
mod sys;
mod tty;

use reaper::options::{Parsed, Request};

use life::Life;
use say::say;
use spawn::Spawn;
use stack::Stack;
use sys::{Action, Mask};

/// Also how the tool recognises its own layers: it must stand in the file once, in one piece.
const MARKER: &str = concat!(
    "reapify-reaper version=",
    env!("CARGO_PKG_VERSION"),
    " source=sha256:",
    env!("REAPER_SOURCE"),
    "\n"
);
const LICENSE: &str = "Apache-2.0 http://www.apache.org/licenses/LICENSE-2.0\n";
const HELP: &str = "\
Usage: reaper [-gcswvlh] [-t SECONDS] [-r FROM:TO] [-e CODE] [-p SIGNAL] [--] PROGRAM [ARGS]
";

/// What we exit with if we fail before the main process has ended: tini's code.
const FAILED: u8 = 1;

/// Where the processor's entry code lands, with the stack as execve(2) left it.
///
/// # Safety
/// To be called once, by the entry code, with the initial stack pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // First of all: a signal that arrives from here on waits, and is not lost.
    let mut mask = Mask::NONE;
    let blocked = sys::block_signals(&mut mask);
    // SAFETY: the entry code passes the initial stack pointer.
    let stack = unsafe { Stack::new(stack) };

    let mut parsed = Parsed::nothing();
    if let Err(error) = parsed.read(stack.args(1)) {
        say("invalid argument: $", error.argument, &[]);
        sys::exit(FAILED);
    }
    let text = match parsed.request {
        Request::Run => None,
        Request::Help => Some(HELP),
        Request::Version => Some(MARKER),
        Request::License => Some(LICENSE),
    };
    if let Some(text) = text {
        sys::write(1, text.as_bytes());
        sys::exit(0);
    }
    let options = &mut parsed.options;
    options.environment(stack.environment(), |entry| {
        say("invalid variable: $", entry, &[]);
    });
    let first = 1 + parsed.consumed;
    let Some(name) = stack.args(first).next() else {
        say("no program; see -h", b"", &[]);
        sys::exit(FAILED);
    };
    let (options, pid, on_child) = (&parsed.options, sys::getpid(), Action::DEFAULT);
    run(&mut Spawn { options, stack, first, name, pid, mask, on_child }, blocked)
}

fn run(spawn: &mut Spawn<'_>, blocked: bool) -> ! {
    let Spawn { options, pid, .. } = *spawn;
    // Inherited as ignored, SIGCHLD would hide every exit from us.
    let defaulted = sys::default_on_child(&mut spawn.on_child);
    spawn.needs(blocked, "rt_sigprocmask");
    spawn.needs(defaulted, "rt_sigaction");
    spawn.needs(sys::can_wait(), "rt_sigtimedwait");
    spawn.needs(sys::can_reap(), "wait4");
    spawn.needs(pid > 0, "getpid");
    if let Some(signal) = options.parent_death {
        let parent = sys::getppid();
        sys::set_parent_death_signal(signal);
        if sys::getppid() != parent {
            // It died before the kernel knew that we wanted to hear of it.
            let _ = sys::kill(pid, signal.number());
        }
    }
    if pid != 1 && options.subreaper {
        // Refused by seccomp, old kernels and some sandboxes: orphans then go elsewhere.
        sys::become_subreaper();
    }
    let main = spawn::spawn(spawn);
    // Descriptors 0 to 2 stay: people write to /proc/1/fd/1, and we warn on 2.
    sys::close_from(3);
    sys::leave_directory();
    Life::new(options, pid, main).run()
}
