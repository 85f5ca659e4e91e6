//! Starts the main process.

use reaper::lookup;
use reaper::options::Options;
use reaper::text::{after, decimal};

use crate::say::{Text, fail, say};
use crate::stack::Stack;
use crate::sys::{self, Action, Answer, Mask};
use crate::tty::Tty;

/// The variable that holds the ID of the process to which sockets were passed (sd_listen_fds(3)).
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

/// The data that the child needs to become the program.
pub struct Spawn<'a> {
    pub options: &'a Options,
    pub stack: Stack,
    /// The index of the argument that names the program.
    pub first: usize,
    /// The name of the program, as given on the command line.
    pub name: &'static [u8],
    /// The reaper's process ID.
    pub pid: i32,
    /// The signal mask and the SIGCHLD action that the reaper inherited, and that the child
    /// restores.
    pub mask: Mask,
    pub on_child: Action,
}

impl Spawn<'_> {
    /// Replaces the reaper with the program if `works` is false, because the init cannot do without
    /// the system call `call`. A seccomp profile that was recorded without the init still allows
    /// the calls that the program needs.
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

/// Starts the program and returns its process ID, after the program runs or the child has failed to
/// start it. Until then the reaper is suspended and forwards nothing, so that no signal reaches the
/// child before it is in its own process group.
pub fn spawn(spawn: &Spawn<'_>) -> i32 {
    let pid = sys::vfork(child, spawn);
    if matches!(pid, Answer::EAGAIN | Answer::ENOMEM) {
        // A shortage is temporary: failing, and being restarted, is better than running without an
        // init.
        fail("cannot fork: error #", pid);
    }
    spawn.needs(pid.is_ok(), "clone");
    pid.value().unwrap_or(0)
}

extern "C" fn child(spawn: &Spawn<'_>) -> ! {
    own_group();
    if let Some(signal) = spawn.options.parent_death {
        // Otherwise the main process would keep running if the reaper were killed by KILL.
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
        // SAFETY: the list is on the process's own stack, and `place` points to `entry` in it. The
        // text ends in NUL, and lives until this process executes another program. If this process
        // runs in its parent's memory, the parent no longer needs the environment.
        unsafe {
            if after(entry, LISTEN_PID).and_then(decimal) == Some(spawn.pid as u32) {
                Text::new(&mut listen).fill("$#\0", LISTEN_PID, &[sys::getpid() as u32]);
                *place = listen.as_ptr();
            }
            place = place.add(1);
        }
    }
    // The reaper itself uses this stack: memory touched here stays resident for the reaper's
    // lifetime.
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

/// Moves this process into its own process group, and moves that group to the foreground of the
/// terminal if the old group was there.
fn own_group() {
    let tty = Tty::open().filter(|tty| tty.foreground() == Some(sys::group(0)));
    sys::lead_group();
    if let Some(tty) = tty {
        tty.set_foreground(sys::group(0));
    }
}

/// Calls [`search`] with a buffer for the longest path that the kernel accepts.
#[inline(never)]
fn search_far(spawn: &Spawn<'_>, path: Option<&[u8]>) -> i32 {
    search(spawn, path, &mut [0; 4096])
}

/// Replaces this process with the program; returns the error number on failure.
#[inline(never)]
fn search(spawn: &Spawn<'_>, path: Option<&[u8]>, buffer: &mut [u8]) -> i32 {
    let (argv, envp) = (spawn.stack.argv(spawn.first), spawn.stack.envp());
    let Some(directories) = lookup::directories(spawn.name, path) else {
        // SAFETY: argv contains at least one string, because `name` is its first.
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
        // SAFETY: the path ends in NUL, and the kernel made the lists.
        let failed = unsafe { sys::execve(buffer.as_ptr(), argv, envp) };
        if !lookup::search_on(failed) {
            return failed;
        }
        errno = lookup::worse(errno, failed);
    }
    errno
}
