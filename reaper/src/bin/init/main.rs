//! The init: no libc, no allocator, raw system calls, everything it knows on one stack.
//!
//! `start` reads the command line, [`spawn`] starts the main process, [`init`] waits, forwards and
//! reaps, [`rest`] finds who is left at the end. [`sys`] is the kernel, and [`arch`] the processor.
#![no_std]
#![no_main]
#![cfg_attr(target_arch = "mips64", feature(asm_experimental_arch))]

mod arch;
mod init;
mod panic;
mod rest;
mod say;
mod spawn;
mod stack;
mod sys;
mod tty;

use reaper::options::{Options, Parsed, Request};

use init::Init;
use say::say;
use spawn::Spawn;
use stack::Stack;

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
Usage: reaper [OPTIONS] [--] PROGRAM [ARGS]
-g  signal PROGRAM's group; -c, --single-child: not
-t SECS  from TERM to KILL at exit (3)
-r, --rewrite FROM:TO  forward TO for FROM; FROM: drops it
-e CODE  exit 0 for CODE
-p SIG  SIG at the parent's death
-s  subreaper (default)
-w  warn about orphans
-v  say more
-l, -h, --version
Environment wins: REAPER_SUBREAPER _GROUP _GRACE _VERBOSITY
";

/// What a usage error exits with: tini's code.
const USAGE: u8 = 1;

/// Where the processor's entry code lands, with the stack as execve(2) left it.
///
/// # Safety
/// To be called once, by the entry code, with the initial stack pointer.
#[unsafe(no_mangle)]
unsafe extern "C" fn start(stack: *const usize) -> ! {
    // First of all: a signal that arrives from here on waits, and is not lost.
    let mask = sys::block_signals();
    // SAFETY: the entry code passes the initial stack pointer.
    let stack = unsafe { Stack::new(stack) };

    let mut parsed = Parsed::NOTHING;
    if let Err(error) = parsed.read(stack.args(1)) {
        say(error.fault.complaint(), error.argument, &[]);
        sys::exit(USAGE);
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
    if let Some(value) = options.environment(stack.environment())
        && options.verbosity > 0
    {
        say("bad in the environment: $", value, &[]);
    }
    let first = 1 + parsed.consumed;
    if stack.args(first).next().is_none() {
        say("no program; see -h", b"", &[]);
        sys::exit(USAGE);
    }
    run(options, stack, first, mask)
}

fn run(options: &Options, stack: Stack, first: usize, mask: sys::Mask) -> ! {
    let pid = sys::getpid();
    if let Some(signal) = options.parent_death {
        let parent = sys::getppid();
        sys::set_parent_death_signal(signal);
        if sys::getppid() != parent {
            // It died before the kernel knew that we wanted to hear of it.
            let _ = sys::kill(pid, signal);
        }
    }
    if pid != 1 && options.subreaper {
        // Refused by seccomp, old kernels and some sandboxes: orphans then go elsewhere.
        sys::become_subreaper();
    }
    // Inherited as ignored, it would hide every exit from us.
    let on_child = sys::default_on_child();
    let main = spawn::spawn(&Spawn { options, stack, first, mask, on_child });
    // Descriptors 0 to 2 stay: people write to /proc/1/fd/1, and we warn on 2.
    sys::close_from(3);
    sys::leave_directory();
    Init::new(options, pid, main).run()
}
