//! The life of the init: one blocking wait for signals and children alike.

use reaper::options::Options;
use reaper::signal::Signal;
use reaper::status::Change;
use reaper::stop::{Step, Stop};

use crate::rest;
use crate::say::say;
use crate::sys::{self, Received};
use crate::tty;

/// How often PID 1 looks for processes that are not its children, while it stops and only then:
/// what entered the container from outside (`docker exec`) tells its end to somebody else.
const FOREIGN_POLL_MS: u64 = 20;

pub struct Init<'a> {
    options: &'a Options,
    pid: i32,
    main: i32,
    /// How the main process ended.
    code: Option<u8>,
    /// The main process is stopped, as far as we were told.
    stopped: bool,
    /// We have said that a signal could not be sent.
    complained: bool,
    reaped: u32,
    left_over: u32,
    killed: u32,
}

impl<'a> Init<'a> {
    pub fn new(options: &'a Options, pid: i32, main: i32) -> Init<'a> {
        Init {
            options,
            pid,
            main,
            code: None,
            stopped: false,
            complained: false,
            reaped: 0,
            left_over: 0,
            killed: 0,
        }
    }

    /// Waits until the main process has exited, stops the rest, and exits as it did.
    pub fn run(mut self) -> ! {
        let mut received = Received::NOTHING;
        let code = loop {
            if let Some(code) = self.code {
                break code;
            }
            if sys::wait_signal(&mut received, None) {
                self.receive(&received);
            }
        };
        self.stop();
        if self.options.verbosity > 1 {
            let counts = [self.reaped, self.left_over, self.killed, u32::from(code)];
            say("# orphans reaped, # left over, # killed; exit code #", b"", &counts);
        }
        sys::exit(if self.options.expected.contains(code) { 0 } else { code })
    }

    fn receive(&mut self, received: &Received) {
        let signal = received.signal();
        if signal == Some(Signal::CHLD) {
            // Whoever sent it: a signal of the kernel's may have been merged into it.
            self.reap(false);
        }
        match signal {
            Some(signal) if received.is_for_main(self.pid) && self.code.is_none() => {
                self.forward(signal, received);
            }
            _ => {}
        }
    }

    /// Passes a signal on to the main process, or to its group.
    fn forward(&mut self, signal: Signal, received: &Received) {
        let Some(signal) = self.options.rewrites.get(signal) else { return };
        if self.options.verbosity > 2 {
            say("forwarding signal #", b"", &[u32::from(signal.number())]);
        }
        if signal == Signal::TERM {
            // Its stop may be news that waits behind this signal.
            self.reap(false);
        }
        let sent = if self.options.group {
            match sys::send_group(self.main, signal, received) {
                // It has left the group that it led.
                Err(sys::ESRCH) => sys::send(self.main, signal, received),
                sent => sent,
            }
        } else {
            sys::send(self.main, signal, received)
        };
        if sent == Err(sys::EPERM) && !self.complained && self.options.verbosity > 0 {
            self.complained = true;
            let numbers = [u32::from(signal.number()), self.main as u32];
            say("may not send signal # to process #", b"", &numbers);
        }
        if signal == Signal::TERM && self.stopped {
            // It would otherwise not hear it before somebody else lets it go on.
            let _ = sys::kill(self.main, Signal::CONT);
        }
    }

    /// Reaps all that have exited. Returns whether any child is left.
    fn reap(&mut self, killing: bool) -> bool {
        loop {
            match sys::wait() {
                Ok((0, _)) => return true,
                Ok((pid, status)) => self.changed(pid, Change::decode(status), killing),
                Err(_) => return false,
            }
        }
    }

    fn changed(&mut self, pid: i32, change: Change, killing: bool) {
        if pid == self.main && self.code.is_none() {
            self.code = change.exit_code();
            self.stopped = false;
            if let Change::Stopped(signal) = change {
                self.stopped = true;
                self.job_control(signal);
            }
            return;
        }
        let Some(code) = change.exit_code() else { return };
        self.reaped += 1;
        self.left_over += u32::from(self.code.is_some());
        self.killed += u32::from(killing && change == Change::Killed(Signal::KILL.number()));
        if self.options.warn_reaped {
            say("reaped orphan #, exit code #", b"", &[pid as u32, u32::from(code)]);
        }
    }

    /// The terminal stopped the main process, which can only be heard by a shell that started us:
    /// so stop as well. Where nobody could let us go on, the kernel does not let us stop (PID 1,
    /// an orphaned process group), and the main process goes on, as it would without us.
    fn job_control(&mut self, signal: u8) {
        let by_terminal = [Signal::TSTP, Signal::TTIN, Signal::TTOU];
        if !by_terminal.iter().any(|stop| stop.number() == signal) {
            return;
        }
        let ours = sys::group();
        tty::hand_over(self.main, ours);
        sys::stop_group();
        if tty::hand_over(ours, self.main) || signal == Signal::TSTP.number() {
            self.stopped = false;
            let _ = sys::kill(-self.main, Signal::CONT);
        }
    }

    /// Warns what is left, gives it its time, kills it.
    fn stop(&mut self) {
        if self.pid != 1 {
            // The group that had the terminal is gone: whoever started us can have it back.
            tty::hand_over(self.main, sys::group());
        }
        let mut stop = Stop::new(self.options.grace_ms);
        let since = sys::milliseconds();
        loop {
            let children = self.reap(stop.killing());
            let left = children || (self.pid == 1 && rest::anyone());
            match stop.step(sys::milliseconds().wrapping_sub(since), left) {
                Step::Exit => return,
                Step::Terminate => rest::signal(self.pid, &[Signal::TERM, Signal::CONT]),
                Step::Kill => rest::signal(self.pid, &[Signal::KILL]),
                Step::Wait(limit) => {
                    let limit = if children { limit } else { limit.min(FOREIGN_POLL_MS) };
                    let mut ignored = Received::NOTHING;
                    sys::wait_signal(&mut ignored, Some(limit));
                }
            }
        }
    }
}
