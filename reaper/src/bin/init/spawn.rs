//! Starting the main process.

use reaper::options::Options;
use reaper::{lookup, text::after};

use crate::say::say;
use crate::stack::Stack;
use crate::sys::{self, Action, Mask};
use crate::tty::Tty;

/// What we exit with when no process can be made: tini's code.
const NO_PROCESS: u8 = 1;

/// Starts the program and returns its process id, once it runs or has failed to. Until then we are
/// suspended and forward nothing, so no signal meets the child outside its own group.
pub fn spawn(options: &Options, stack: Stack, first: usize, mask: Mask, on_child: Action) -> i32 {
    match sys::fork() {
        Ok(0) => child(options, stack, first, mask, on_child),
        Ok(pid) => pid,
        Err(errno) => {
            say("cannot start a process: error #", b"", &[errno as u32]);
            sys::exit(NO_PROCESS)
        }
    }
}

fn child(options: &Options, stack: Stack, first: usize, mask: Mask, on_child: Action) -> ! {
    own_group();
    if let Some(signal) = options.parent_death {
        // Otherwise a KILL of ours would leave it behind.
        sys::set_parent_death_signal(signal);
    }
    if !on_child.is_default() {
        sys::restore_on_child(&on_child);
    }
    sys::set_mask(&mask);
    let errno = execute(stack, first);
    if options.verbosity > 0 {
        let name = stack.args(first).next().unwrap_or_default();
        say(lookup::explain(errno), name, &[errno as u32]);
    }
    sys::exit(lookup::exit_code(errno))
}

/// Moves into a process group of our own, and takes the terminal along if we had it.
fn own_group() {
    let tty = Tty::open().filter(|tty| tty.foreground() == Some(sys::group()));
    sys::lead_group();
    if let Some(tty) = tty {
        tty.set_foreground(sys::group());
    }
}

/// Replaces this process by the program; returns the error if it cannot.
fn execute(stack: Stack, first: usize) -> i32 {
    let (argv, envp) = (stack.argv(first), stack.envp());
    let Some(name) = stack.args(first).next() else { return sys::ENOENT };
    let path = stack.environment().find_map(|entry| after(entry, b"PATH="));
    let Some(directories) = lookup::directories(name, path) else {
        // SAFETY: argv holds a first string, for `name` is it.
        return unsafe { sys::execve(*argv, argv, envp) };
    };
    let mut buffer = [0; 4096];
    let mut errno = sys::ENOENT;
    for directory in directories {
        let Some(file) = lookup::join(&mut buffer, directory, name) else { continue };
        // SAFETY: `join` ends the path in NUL, and the lists are the kernel's own.
        let failed = unsafe { sys::execve(file.as_ptr(), argv, envp) };
        errno = lookup::worse(errno, failed);
        if !lookup::search_on(failed) {
            break;
        }
    }
    errno
}
