//! Acts as the main process of a container: each mode does one thing and reports it on standard
//! output.

use std::io::Write;

fn say(text: &str) {
    let mut out = std::io::stdout();
    // If the reader is gone, the test has ended.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints every signal that arrives, with its code and value, until standard output is closed.
fn record() -> ! {
    // Use the kernel's own set, because C libraries reserve signals 32 and 33.
    let all = u64::MAX;
    // SAFETY: a set has 8 bytes and a siginfo 128; the kernel reads and writes no more.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const all, 0usize, 8usize);
        say("ready");
        loop {
            let mut info = [0i32; 32];
            let (set, info_) = (&raw const all, info.as_mut_ptr());
            let got = libc::syscall(libc::SYS_rt_sigtimedwait, set, info_, 0usize, 8usize);
            if got > 0 {
                say(&format!("signal {got} code {} value {}.", info[2], info[6]));
            }
        }
    }
}

/// Writes one byte when it is ready, and one for each USR1.
fn echo() -> ! {
    // SAFETY: the set is initialised before it is used, and one byte is written.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGUSR1);
        libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
        loop {
            libc::write(1, c".".as_ptr().cast(), 1);
            libc::sigwaitinfo(&set, std::ptr::null_mut());
        }
    }
}

/// Creates orphans that exit at once: each is a grandchild whose parent exits first.
fn orphans(count: u32) {
    for _ in 0..count {
        // SAFETY: the children make only system calls.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                if libc::fork() == 0 {
                    libc::_exit(0);
                }
                libc::_exit(0);
            }
            libc::waitpid(child, std::ptr::null_mut(), 0);
        }
    }
}

/// Creates orphans that live until the returned descriptor is closed.
fn crowd(count: u32) -> i32 {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors; the children make only system calls.
    unsafe {
        libc::pipe(ends.as_mut_ptr());
        let child = libc::fork();
        if child == 0 {
            for _ in 0..count {
                if libc::fork() == 0 {
                    libc::close(ends[1]);
                    let mut byte = 0u8;
                    libc::read(ends[0], (&raw mut byte).cast(), 1);
                    libc::_exit(0);
                }
            }
            libc::_exit(0);
        }
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
    ends[1]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse().ok()).unwrap_or(0);
    match args.first().map(String::as_str) {
        Some("record") => record(),
        Some("echo") => echo(),
        Some("orphans") => {
            orphans(number(1));
            say("done");
            park()
        }
        Some("crowd") => {
            crowd(number(1));
            say("made");
            orphans(number(2));
            say("done");
            park()
        }
        Some("storm") => {
            let end = crowd(number(1));
            say("made");
            // SAFETY: this call accesses no memory.
            unsafe { libc::close(end) };
            say("done");
            park()
        }
        // Starts a process that ignores TERM, and exits without waiting for it.
        Some("leave") => {
            // SAFETY: no handler is set; the child only sleeps.
            unsafe {
                libc::signal(libc::SIGTERM, libc::SIG_IGN);
                if libc::fork() == 0 {
                    libc::setsid();
                    libc::sleep(1000);
                }
                libc::usleep(100_000);
            }
            std::process::exit(number(1) as i32)
        }
        // Becomes root permanently, so that no other user may send it signals.
        Some("root") => {
            // SAFETY: this call accesses no memory.
            let code = unsafe { libc::setresuid(0, 0, 0) };
            say(&format!("root {code}"));
            park()
        }
        _ => std::process::exit(64),
    }
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}
