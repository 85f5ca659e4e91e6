//! Starting the main process.

use reaper::lookup;
use reaper::options::Options;
use reaper::text::{after, decimal};

use crate::say::{Text, fail, say};
use crate::stack::Stack;
use crate::sys::{self, Action, Answer, Mask};
use crate::tty::Tty;

/// The variable with the id of the process that sockets were handed to (sd_listen_fds(3)).
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// All that the child needs to know.
pub struct Spawn<'a> {
    pub options: &'a Options,
    pub stack: Stack,
    /// Which argument the program is.
    pub first: usize,
    /// The program, as it was called.
    pub name: &'static [u8],
    /// Our own process id.
    pub pid: i32,
    /// What we inherited, and the child shall have.
    pub mask: Mask,
    pub on_child: Action,
}

impl Spawn<'_> {
    /// Becomes the program itself unless a system call `works` that the init cannot do without. A
    /// seccomp profile that was recorded without the init still allows what the program needs.
    #[inline(never)]
    pub fn needs(&self, works: bool, call: &str) {
        if !works {
            if self.options.verbosity > 0 {
                say("no init: kernel refuses $", call.as_bytes(), &[]);
            }
            become_program(self);
        }
    }
}

/// Starts the program and returns its process id, once it runs or has failed to. Until then we are
/// suspended and forward nothing, so no signal meets the child outside its own group.
pub fn spawn(spawn: &Spawn<'_>) -> i32 {
    let pid = sys::vfork(child, spawn);
    if matches!(pid, Answer::EAGAIN | Answer::ENOMEM) {
        // A shortage ends: better to be started again than to go on without an init.
        fail("cannot fork: error #", pid);
    }
    spawn.needs(pid.is_ok(), "clone");
    pid.value().unwrap_or(0)
}

extern "C" fn child(spawn: &Spawn<'_>) -> ! {
    own_group();
    if let Some(signal) = spawn.options.parent_death {
        // Otherwise a KILL of ours would leave it behind.
        sys::set_parent_death_signal(signal);
    }
    become_program(spawn)
}

fn become_program(spawn: &Spawn<'_>) -> ! {
    if !spawn.on_child.is_default() {
        sys::restore_on_child(&spawn.on_child);
    }
    sys::set_mask(&spawn.mask);
    let mut listen = [0; 32];
    let mut path = None;
    let mut place = spawn.stack.envp().cast_mut();
    for entry in spawn.stack.environment() {
        if let Some(value) = after(entry, b"PATH=") {
            path = path.or(Some(value));
        }
        // SAFETY: the list is on our own stack, and `place` is where it has `entry`. The text ends
        // in NUL, and lives until this process becomes another; our parent, if we run on its
        // memory, has no more use for the environment.
        unsafe {
            if after(entry, LISTEN_PID).and_then(decimal) == Some(spawn.pid as u32) {
                Text::new(&mut listen).fill("$#\0", LISTEN_PID, &[sys::getpid() as u32]);
                *place = listen.as_ptr();
            }
            place = place.add(1);
        }
    }
    // This is the init's own stack: what is touched here stays resident for its whole life.
    let errno = if spawn.name.len() + path.map_or(0, <[u8]>::len) < 250 {
        search(spawn, path, &mut [0; 256])
    } else {
        search_far(spawn, path)
    };
    if spawn.options.verbosity > 0 {
        say(lookup::explain(errno), spawn.name, &[errno as u32]);
    }
    sys::exit(lookup::exit_code(errno))
}

/// Moves into a process group of our own, and takes the terminal along if we had it.
fn own_group() {
    let tty = Tty::open().filter(|tty| tty.foreground() == Some(sys::group(0)));
    sys::lead_group();
    if let Some(tty) = tty {
        tty.set_foreground(sys::group(0));
    }
}

/// [`search`] for paths as long as the kernel takes them.
#[inline(never)]
fn search_far(spawn: &Spawn<'_>, path: Option<&[u8]>) -> i32 {
    search(spawn, path, &mut [0; 4096])
}

/// Replaces this process by the program; returns the error if it cannot.
#[inline(never)]
fn search(spawn: &Spawn<'_>, path: Option<&[u8]>, buffer: &mut [u8]) -> i32 {
    let (argv, envp) = (spawn.stack.argv(spawn.first), spawn.stack.envp());
    let Some(directories) = lookup::directories(spawn.name, path) else {
        // SAFETY: argv holds a first string, for `name` is it.
        return unsafe { sys::execve(*argv, argv, envp) };
    };
    let mut errno = Answer::ENOENT.errno();
    for directory in directories {
        let mut file = Text::new(buffer);
        file.fill(if directory.is_empty() { "./" } else { "$/" }, directory, &[]);
        file.fill("$\0", spawn.name, &[]);
        if file.is_full() {
            continue;
        }
        // SAFETY: the path ends in NUL, and the lists are the kernel's own.
        let failed = unsafe { sys::execve(buffer.as_ptr(), argv, envp) };
        if !lookup::search_on(failed) {
            return failed;
        }
        errno = lookup::worse(errno, failed);
    }
    errno
}
