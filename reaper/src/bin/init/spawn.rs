//! Starting the main process.

use reaper::options::Options;
use reaper::{lookup, text::after};

use crate::say::say;
use crate::stack::Stack;
use crate::sys::{self, Action, Mask};
use crate::tty::Tty;

/// What we exit with when no process can be made: tini's code.
const NO_PROCESS: u8 = 1;

/// All that the child needs to know.
pub struct Spawn<'a> {
    pub options: &'a Options,
    pub stack: Stack,
    /// Which argument the program is.
    pub first: usize,
    /// What we inherited, and the child shall have.
    pub mask: Mask,
    pub on_child: Action,
}

/// Starts the program and returns its process id, once it runs or has failed to. Until then we are
/// suspended and forward nothing, so no signal meets the child outside its own group.
pub fn spawn(spawn: &Spawn<'_>) -> i32 {
    match sys::vfork(child, spawn) {
        Ok(pid) => pid,
        Err(errno) => {
            say("cannot fork: error #", b"", &[errno as u32]);
            sys::exit(NO_PROCESS)
        }
    }
}

extern "C" fn child(spawn: &Spawn<'_>) -> ! {
    own_group();
    if let Some(signal) = spawn.options.parent_death {
        // Otherwise a KILL of ours would leave it behind.
        sys::set_parent_death_signal(signal);
    }
    if !spawn.on_child.is_default() {
        sys::restore_on_child(&spawn.on_child);
    }
    sys::set_mask(&spawn.mask);
    let errno = execute(spawn.stack, spawn.first);
    if spawn.options.verbosity > 0 {
        let name = spawn.stack.args(spawn.first).next().unwrap_or_default();
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
    let Some(name) = stack.args(first).next() else { return sys::ENOENT };
    let path = stack.environment().find_map(|entry| after(entry, b"PATH="));
    // This is the init's own stack: what is touched here stays resident for its whole life.
    if name.len() + path.map_or(0, <[u8]>::len) < 250 {
        search(stack, first, name, path, &mut [0; 256])
    } else {
        search_far(stack, first, name, path)
    }
}

/// [`search`] for paths as long as the kernel takes them.
#[inline(never)]
fn search_far(stack: Stack, first: usize, name: &[u8], path: Option<&[u8]>) -> i32 {
    search(stack, first, name, path, &mut [0; 4096])
}

fn search(stack: Stack, first: usize, name: &[u8], path: Option<&[u8]>, buffer: &mut [u8]) -> i32 {
    let (argv, envp) = (stack.argv(first), stack.envp());
    let Some(directories) = lookup::directories(name, path) else {
        // SAFETY: argv holds a first string, for `name` is it.
        return unsafe { sys::execve(*argv, argv, envp) };
    };
    let mut errno = sys::ENOENT;
    for directory in directories {
        let Some(file) = lookup::join(buffer, directory, name) else { continue };
        // SAFETY: `join` ends the path in NUL, and the lists are the kernel's own.
        let failed = unsafe { sys::execve(file.as_ptr(), argv, envp) };
        errno = lookup::worse(errno, failed);
        if !lookup::search_on(failed) {
            break;
        }
    }
    errno
}
