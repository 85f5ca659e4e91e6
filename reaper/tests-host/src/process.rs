//! One run of an init: namespaces, standard streams, and the actions in the child before `execve`.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{children, init, kill, state, until};

/// An action in the new process before it becomes the init. It must be safe after a fork.
type Before = Box<dyn Fn()>;

/// The settings of a run.
pub struct Start {
    args: Vec<String>,
    environment: Vec<String>,
    pid1: bool,
    mount_proc: bool,
    before: Vec<Before>,
    terminal: Option<OwnedFd>,
}

impl Start {
    /// Prepares a run of the init with these arguments, as PID 1 of a new namespace with its own
    /// `/proc`.
    pub fn pid1(args: &[&str]) -> Start {
        Start { pid1: true, mount_proc: true, ..Start::beside(args) }
    }

    /// Prepares a run of the init with these arguments, as one process among others.
    pub fn beside(args: &[&str]) -> Start {
        let args = [init()].into_iter().chain(args.iter().map(ToString::to_string));
        Start::command(args.collect())
    }

    /// Prepares a run of any command, as one process among others.
    pub fn command(args: Vec<String>) -> Start {
        let path = std::env::var("PATH").expect("PATH is set");
        Start {
            args,
            environment: vec![format!("PATH={path}")],
            pid1: false,
            mount_proc: false,
            before: Vec::new(),
            terminal: None,
        }
    }

    /// Makes the command PID 1 of a new namespace.
    pub fn in_namespace(mut self) -> Start {
        (self.pid1, self.mount_proc) = (true, true);
        self
    }

    pub fn without_proc(mut self) -> Start {
        self.mount_proc = false;
        self
    }

    pub fn env(mut self, entry: &str) -> Start {
        self.environment.push(entry.to_string());
        self
    }

    pub fn without_environment(mut self) -> Start {
        self.environment.clear();
        self
    }

    /// Calls `action` in the new process before it becomes the init.
    pub fn before(mut self, action: impl Fn() + 'static) -> Start {
        self.before.push(Box::new(action));
        self
    }

    /// Makes this terminal the controlling terminal, and standard input, output and error.
    pub fn terminal(mut self, terminal: OwnedFd) -> Start {
        self.terminal = Some(terminal);
        self
    }

    /// Starts the process.
    pub fn run(self) -> Running {
        let strings = |list: &[String]| -> Vec<CString> {
            list.iter().map(|text| CString::new(text.as_str()).expect("no NUL")).collect()
        };
        let pointers = |list: &[CString]| -> Vec<*const c_char> {
            list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let (args, environment) = (strings(&self.args), strings(&self.environment));
        let (argv, envp) = (pointers(&args), pointers(&environment));
        let (out, err) = (pipe(), pipe());
        let namespaces = if self.pid1 { libc::CLONE_NEWPID | libc::CLONE_NEWNS } else { 0 };
        // SAFETY: without CLONE_VM and without a stack, this is the same as fork(2). The child
        // makes only system calls until it executes another program.
        let pid = unsafe {
            libc::syscall(
                libc::SYS_clone,
                libc::SIGCHLD | namespaces,
                0usize,
                0usize,
                0usize,
                0usize,
            )
        } as i32;
        assert!(pid >= 0, "clone: {}", std::io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: the same as above; all strings were created before the fork.
            unsafe {
                self.prepare(&out.1, &err.1);
                libc::execve(argv[0], argv.as_ptr(), envp.as_ptr());
                libc::_exit(125);
            }
        }
        drop((out.1, err.1));
        Running { pid, code: None, out: Output::collect(out.0), err: Output::collect(err.0) }
    }

    /// # Safety
    /// Must be called only in the child of a fork, which may make only system calls.
    unsafe fn prepare(&self, out: &OwnedFd, err: &OwnedFd) {
        // SAFETY: these are plain system calls on valid descriptors and constant strings.
        unsafe {
            match &self.terminal {
                Some(terminal) => {
                    libc::setsid();
                    libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0);
                    for target in 0..3 {
                        libc::dup2(terminal.as_raw_fd(), target);
                    }
                }
                None => {
                    let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
                    libc::dup2(null, 0);
                    libc::close(null);
                    libc::dup2(out.as_raw_fd(), 1);
                    libc::dup2(err.as_raw_fd(), 2);
                }
            }
            if self.pid1 {
                let root = c"/".as_ptr();
                let private = libc::MS_REC | libc::MS_PRIVATE;
                libc::mount(std::ptr::null(), root, std::ptr::null(), private, std::ptr::null());
            }
            if self.mount_proc {
                let (kind, place) = (c"proc".as_ptr(), c"/proc".as_ptr());
                libc::mount(kind, place, kind, 0, std::ptr::null());
            }
            // Reset all signals, so that the init gets the defaults, whatever the tests inherited.
            let default = [0u64; 4];
            for signal in 1..=64 {
                let action = default.as_ptr();
                libc::syscall(libc::SYS_rt_sigaction, signal, action, 0usize, 8usize);
            }
        }
        for action in &self.before {
            action();
        }
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors, which this process then owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// The output of a run so far, which a thread reads continuously.
#[derive(Clone, Default)]
pub struct Output(Arc<Mutex<Written>>);

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    ended: bool,
}

impl Output {
    pub fn collect(from: OwnedFd) -> Output {
        let output = Output::default();
        let sink = output.clone();
        std::thread::spawn(move || {
            let mut file = File::from(from);
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = file.read(&mut buffer) {
                sink.lock().bytes.extend_from_slice(&buffer[..read]);
            }
            sink.lock().ended = true;
        });
        output
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.lock().expect("nothing panics while it is locked")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.lock().bytes).into_owned()
    }

    /// Returns the whole output, after every writer has closed its end.
    #[track_caller]
    pub fn whole(&self) -> String {
        until("the output ends", || self.lock().ended);
        self.text()
    }
}

/// A running init. Dropping it kills the init.
pub struct Running {
    /// The process ID of the init, as seen from the test.
    pub pid: i32,
    pub out: Output,
    pub err: Output,
    code: Option<i32>,
}

impl Running {
    /// Waits until standard output contains a text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Running {
        let deadline = std::time::Instant::now() + crate::DEADLINE;
        while !self.out.text().contains(text) {
            assert!(
                std::time::Instant::now() < deadline,
                "never said {text:?}: {:?} {:?}",
                self.out.text(),
                self.err.text()
            );
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        self
    }

    /// Returns the main process, as seen from the test.
    #[track_caller]
    pub fn main(&self) -> i32 {
        until("the init has a child", || !children(self.pid).is_empty());
        children(self.pid)[0]
    }

    #[track_caller]
    pub fn signal(&self, signal: i32) -> &Running {
        assert!(kill(self.pid, signal), "signal {signal} cannot be sent");
        self
    }

    /// Sends a signal with a value, in the same way as sigqueue(3).
    #[track_caller]
    pub fn queue(&self, signal: i32, value: i32) {
        let mut info = [0i32; 32];
        // si_signo, si_errno, si_code (SI_QUEUE), -, si_pid, si_uid, si_value.
        (info[0], info[2], info[4], info[6]) = (signal, -1, std::process::id() as i32, value);
        // SAFETY: the kernel reads 128 bytes.
        let sent =
            unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, self.pid, signal, info.as_ptr()) };
        assert_eq!(sent, 0, "signal {signal} cannot be queued");
    }

    /// Waits until the init has ended; returns its exit code, or 128 plus the number if a signal
    /// killed it.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        until("the init ends", || self.ended());
        self.code.expect("it has ended")
    }

    /// Returns whether the init has ended.
    pub fn ended(&mut self) -> bool {
        self.reap(libc::WNOHANG)
    }

    /// Waits until the init has ended, without a deadline and without the delay of polling.
    pub fn wait(&mut self) {
        self.reap(0);
    }

    fn reap(&mut self, options: i32) -> bool {
        if self.code.is_none() {
            let mut status = 0;
            // SAFETY: the kernel writes one int.
            if unsafe { libc::waitpid(self.pid, &mut status, options) } == self.pid {
                self.code = Some(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
        }
        self.code.is_some()
    }

    /// Waits until the init is idle, that is, until it sleeps in its wait.
    #[track_caller]
    pub fn settles(&self) -> &Running {
        until("the init sleeps", || state(self.pid) == 'S');
        self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.code.is_none() {
            for child in children(self.pid) {
                kill(child, libc::SIGKILL);
            }
            kill(self.pid, libc::SIGKILL);
            // SAFETY: no status is requested.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
    }
}
