//! The reaper: it uses no libc and no allocator, makes raw system calls, and keeps all its data on
//! one stack.
//!
//! `start` parses the command line, [`spawn`] starts the main process, [`life`] waits for signals,
//! forwards them and reaps children, and [`rest`] finds the processes that remain at the end.
//! [`sys`] is the interface to the kernel, and [`arch`] is the interface to the processor.
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

/// The text that `--version` prints. reapify also recognises its own layers by it, so the file must
/// contain it exactly once and contiguously.
const MARKER: &str = concat!(
    "reapify-reaper version=",
    env!("CARGO_PKG_VERSION"),
    " source=sha256:",
    env!("REAPER_SOURCE"),
    "\n"
);
const LICENSE: &str = "Apache-2.0 https://apache.org/licenses/LICENSE-2.0\n";
const HELP: &str = "\
Usage: reaper [-gcswvlh] [-t SECONDS] [-r FROM:TO] [-e CODE] [-p SIGNAL] [--] PROGRAM [ARGS]
";

/// The exit code if the reaper fails before the main process has ended; tini uses the same code.
const FAILED: u8 = 1;

/// Runs the reaper. The architecture's entry code calls this function, with the stack as execve(2)
/// set it up.
///
/// # Safety
/// Must be called once, by the entry code, with the initial stack pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // Block signals first: a signal that arrives from here on stays pending and is not lost.
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
    // If SIGCHLD were still ignored, as it may have been inherited, every exit status would be
    // lost.
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
            // The parent died before the kernel recorded the request, and so will not send the
            // signal.
            let _ = sys::kill(pid, signal.number());
        }
    }
    if pid != 1 && options.subreaper {
        // seccomp, old kernels and some sandboxes refuse this; orphans then go to another process.
        sys::become_subreaper();
    }
    let main = spawn::spawn(spawn);
    // Descriptors 0 to 2 stay open: programs write to /proc/1/fd/1, and the reaper prints warnings
    // on 2.
    sys::close_from(3);
    sys::leave_directory();
    Life::new(options, pid, main).run()
}
