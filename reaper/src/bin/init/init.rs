//! The life of the init: one blocking wait for signals and children alike.

use reaper::options::Options;
use reaper::signal::Signal;
use reaper::status::Change;
use reaper::stop::{Step, Stop};

use crate::rest;
use crate::say::say;
use crate::sys::{self, Clock, Received};
use crate::tty;

/// How often PID 1 looks for processes that are not its children, while it stops and only then:
/// what entered the container from outside (`docker exec`) tells its end to somebody else.
const FOREIGN_POLL_MS: u64 = 20;

/// Microseconds of processor time that a child may cost, and for how many microseconds children are
/// not looked at when they cost more.
const CHEAP: u64 = 20;
const HOLD: u64 = 100_000;

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
    /// We have sent KILL to what is left.
    killing: bool,
    /// There were children when we last looked.
    children: bool,
    /// How long not to look at the children, in microseconds: 0 is as soon as one has changed.
    hold: u64,
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
            killing: false,
            children: true,
            hold: 0,
            reaped: 0,
            left_over: 0,
            killed: 0,
        }
    }

    /// Waits until the main process has exited, stops the rest, and exits as it did.
    pub fn run(mut self) -> ! {
        let code = loop {
            if let Some(code) = self.code {
                break code;
            }
            self.turn(u64::MAX);
        };
        self.stop();
        if self.options.verbosity > 1 {
            let counts = [self.reaped, self.left_over, self.killed, u32::from(code)];
            say("# orphans reaped, # left over, # killed; exit code #", b"", &counts);
        }
        sys::exit(if self.options.expected.contains(code) { 0 } else { code })
    }

    /// Waits for a signal, or so many microseconds, and does what is to be done.
    fn turn(&mut self, limit: u64) {
        let mut received = Received::NOTHING;
        let hold = core::mem::take(&mut self.hold);
        let wait = if hold == 0 { limit } else { limit.min(hold) };
        sys::wait_signal(&mut received, wait, hold == 0);
        let signal = received.signal();
        // Whoever sent a SIGCHLD: one of the kernel's may have been merged into it. And no flood of
        // other signals can hold up the children for ever.
        if hold > 0 || signal.is_none_or(|signal| signal == Signal::CHLD) {
            self.reap();
        }
        if let Some(signal) = signal
            && received.is_for_main(self.pid)
            && self.code.is_none()
        {
            self.forward(signal, &received);
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
            self.reap();
            if self.code.is_some() {
                return;
            }
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

    /// Reaps all that have exited. The kernel looks for each in a list, so with thousands of living
    /// children this gets dear: then they have to wait a while, and more will be found at once.
    fn reap(&mut self) {
        let mut begin = sys::microseconds(Clock::Spent);
        let mut price = 0;
        loop {
            let answer = sys::wait();
            self.children = answer.is_ok();
            price += CHEAP;
            let more = match answer {
                Ok((pid @ 1.., status)) => {
                    self.changed(pid, Change::decode(status));
                    price < CHEAP * 64
                }
                _ => false,
            };
            if more {
                continue;
            }
            let took = sys::microseconds(Clock::Spent) - begin;
            if took > price {
                self.hold = (took * 8).min(HOLD);
                return;
            }
            if !matches!(answer, Ok((1.., _))) {
                return;
            }
            (begin, price) = (begin + took, 0);
        }
    }

    #[inline(never)] // The file is smaller so.
    fn changed(&mut self, pid: i32, change: Change) {
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
        self.killed += u32::from(self.killing && change == Change::Killed(Signal::KILL.number()));
        if self.options.warn_reaped {
            say("reaped orphan #, exit code #", b"", &[pid as u32, u32::from(code)]);
        }
    }

    /// The terminal stopped the main process, which can only be heard by a shell that started us:
    /// so stop as well. Where nobody could let us go on, the kernel does not let us stop (PID 1,
    /// an orphaned process group), and the main process goes on, as it would without us.
    fn job_control(&mut self, signal: u8) {
        // TSTP, TTIN, TTOU: in a row, but for MIPS's CONT, which stops nothing.
        if !(Signal::TSTP.number()..=Signal::TTOU.number()).contains(&signal) {
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
        let mut since = sys::microseconds(Clock::Elapsed);
        loop {
            let begin = sys::microseconds(Clock::Elapsed);
            let left = self.children || (self.pid == 1 && rest::anyone());
            match stop.step(begin.wrapping_sub(since) / 1000, left) {
                Step::Exit => return,
                Step::Terminate => rest::signal(self.pid, &[Signal::TERM, Signal::CONT]),
                Step::Kill => {
                    self.killing = true;
                    rest::signal(self.pid, &[Signal::KILL]);
                }
                Step::Wait(limit) => {
                    let limit = if self.children { limit } else { limit.min(FOREIGN_POLL_MS) };
                    self.turn(limit * 1000);
                    continue;
                }
            }
            // Their time begins once all were told: without a `/proc` that alone can take seconds.
            since += sys::microseconds(Clock::Elapsed).wrapping_sub(begin);
        }
    }
}
