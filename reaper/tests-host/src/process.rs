//! One run of an init: namespaces, standard streams, what is done in the child before `execve`.

use std::ffi::{CString, c_char};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{children, init, kill, state, until};

/// What runs in the new process before it becomes the init: only what is safe after a fork.
type Before = Box<dyn Fn()>;

/// A run to be made.
pub struct Start {
    args: Vec<String>,
    environment: Vec<String>,
    pid1: bool,
    mount_proc: bool,
    before: Vec<Before>,
    terminal: Option<OwnedFd>,
}

impl Start {
    /// The init with these arguments, as PID 1 of its own namespace, with its own `/proc`.
    pub fn pid1(args: &[&str]) -> Start {
        Start { pid1: true, mount_proc: true, ..Start::beside(args) }
    }

    /// The init with these arguments, as one process among others.
    pub fn beside(args: &[&str]) -> Start {
        let args = [init()].into_iter().chain(args.iter().map(ToString::to_string));
        Start::command(args.collect())
    }

    /// Any command, as one process among others.
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

    /// Makes any command PID 1 of its own namespace.
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

    /// Does something in the new process before it becomes the init.
    pub fn before(mut self, action: impl Fn() + 'static) -> Start {
        self.before.push(Box::new(action));
        self
    }

    /// Makes this terminal the controlling one, and standard input, output and error.
    pub fn terminal(mut self, terminal: OwnedFd) -> Start {
        self.terminal = Some(terminal);
        self
    }

    /// Starts it.
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
        // SAFETY: without CLONE_VM and with no stack this is fork(2); the child makes only system
        // calls until it becomes another program.
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
            // SAFETY: as above; all strings were made before.
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
    /// Only for the child of a fork, which may only make system calls.
    unsafe fn prepare(&self, out: &OwnedFd, err: &OwnedFd) {
        // SAFETY: plain system calls on valid descriptors and constant strings.
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
            // Whatever the tests were started with, the init gets the defaults.
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
    // SAFETY: the kernel writes two descriptors, which are ours from then on.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    }
}

/// What was written so far, read as it comes.
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

    /// All that was ever written, once every writer has closed its end.
    #[track_caller]
    pub fn whole(&self) -> String {
        until("the output ends", || self.lock().ended);
        self.text()
    }
}

/// A run under way. Dropped, it is killed.
pub struct Running {
    /// The init's process id, as seen from the test.
    pub pid: i32,
    pub out: Output,
    pub err: Output,
    code: Option<i32>,
}

impl Running {
    /// Waits until standard output holds a text.
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

    /// The main process, as seen from the test.
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

    /// Sends a signal with a value, as sigqueue(3) does.
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

    /// Waits for the init's end; 128 and the number for a signal.
    #[track_caller]
    pub fn code(&mut self) -> i32 {
        until("the init ends", || self.ended());
        self.code.expect("it has ended")
    }

    /// Whether the init has ended.
    pub fn ended(&mut self) -> bool {
        self.reap(libc::WNOHANG)
    }

    /// Waits for the end without a deadline, and without the delay of polling.
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

    /// Waits until the init has nothing to do: it sleeps in its wait.
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
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
        }
    }
}
