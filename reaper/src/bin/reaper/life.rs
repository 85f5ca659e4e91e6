//! The main loop of the reaper: a single blocking wait for both signals and children.

use reaper::options::Options;
use reaper::signal::Signal;
use reaper::status::Change;
use reaper::stop::{Step, Stop};

use crate::rest;
use crate::say::{fail, say};
use crate::send::{Parcel, Told};
use crate::sys::{self, Answer, Received};
use crate::tty;

/// The processor time that reaping one child may cost, and the longest time for which children are
/// left unreaped when they cost more, both in microseconds.
const CHEAP: u64 = 20;
const HOLD: u64 = 100_000;
/// The number of wait4(2) calls in a batch, and the number of batches between two measurements of
/// the cost. Not every batch is measured, because reading the clock has a cost too.
const BATCH: u64 = 64;
const SAMPLE: u32 = 16;

/// The signals that ask the remaining processes to stop. CONT follows TERM, because a stopped
/// process handles TERM only after it continues.
const WARNING: [u8; 2] = [Signal::TERM.number(), Signal::CONT.number()];

pub struct Life<'a> {
    options: &'a Options,
    pid: i32,
    main: i32,
    /// The exit code of the main process, once it has exited.
    code: Option<u8>,
    /// Whether the main process is stopped, according to the last report from the kernel.
    stopped: bool,
    /// Whether a warning that a signal could not be sent has been printed.
    complained: bool,
    /// Whether the reaper may not signal one of the remaining processes.
    refused: bool,
    /// Whether KILL has been sent to the remaining processes.
    killing: bool,
    /// Whether there were children at the last check.
    children: bool,
    /// How long to leave children unreaped, in microseconds; [`u64::MAX`] means until SIGCHLD
    /// arrives.
    hold: u64,
    /// The number of batches until the cost of a batch is measured again.
    cheap: u32,
    reaped: u32,
    left_over: u32,
    killed: u32,
}

impl<'a> Life<'a> {
    pub fn new(options: &'a Options, pid: i32, main: i32) -> Life<'a> {
        Life {
            options,
            pid,
            main,
            code: None,
            stopped: false,
            complained: false,
            refused: false,
            killing: false,
            children: true,
            hold: u64::MAX,
            cheap: SAMPLE,
            reaped: 0,
            left_over: 0,
            killed: 0,
        }
    }

    /// Waits until the main process has exited, stops the remaining processes, and exits with the
    /// main process's exit code.
    pub fn run(mut self) -> ! {
        let mut received = Received::NOTHING;
        let code = loop {
            if let Some(code) = self.code {
                break code;
            }
            self.turn(&mut received);
        };
        self.stop();
        if self.options.verbosity > 1 {
            let counts = [self.reaped, self.left_over, self.killed, u32::from(code)];
            say("reaped #, left over #, killed #, exit code #", b"", &counts);
        }
        sys::exit(if self.options.expected.contains(code) { 0 } else { code })
    }

    /// Waits for a signal, or until children may be reaped again, and acts on it.
    fn turn(&mut self, received: &mut Received) {
        let hold = core::mem::replace(&mut self.hold, u64::MAX);
        let held = hold < u64::MAX;
        let answer = sys::wait_signal(received, hold, !held);
        if !answer.is_ok() && !matches!(answer, Answer::EAGAIN | Answer::EINTR) {
            self.lose(answer);
        }
        let signal = answer.value().and_then(|number| Signal::new(number as u32));
        // Reap after every SIGCHLD, whoever sent it: the kernel's may have been merged into one
        // that a process sent. After a hold, reap no matter what ended the wait, so that a flood of
        // other signals cannot delay reaping indefinitely.
        if held || signal.is_none_or(|signal| signal == Signal::CHLD) {
            self.reap();
        }
        if let Some(signal) = signal
            && received.is_for_main(signal, self.pid)
            && self.code.is_none()
        {
            self.forward(signal, received);
        }
    }

    /// Forwards a signal to the main process, or to its process group.
    fn forward(&mut self, signal: Signal, received: &Received) {
        let Some(signal) = self.options.rewrites.get(signal) else { return };
        if self.options.verbosity > 2 {
            say("forwarding signal #", b"", &[u32::from(signal.number())]);
        }
        if signal == Signal::TERM {
            // The main process may have stopped, with the SIGCHLD still pending behind this signal.
            self.reap();
            if self.code.is_some() {
                return;
            }
        }
        let (pid, group, number) = (self.main, self.options.group, signal.number());
        let mut told = Told::NOBODY;
        Parcel { pid, group, signal: number, received: Some(received) }.send(&mut told);
        if signal == Signal::TERM && self.stopped {
            // A stopped main process would not handle TERM until another process continued it.
            Parcel::new(pid, Signal::CONT.number()).send(&mut told);
        }
        self.complain(number, told.refused);
    }

    /// Warns, once per run, that `signal` cannot be sent to `pid`; does nothing if `pid` is 0.
    #[inline(never)]
    fn complain(&mut self, signal: u8, pid: i32) {
        if pid > 0 && !self.complained && self.options.verbosity > 0 {
            self.complained = true;
            let numbers = [u32::from(signal), pid as u32];
            say("may not send signal # to process #: grant CAP_KILL", b"", &numbers);
        }
    }

    /// Kills the main process and exits with an error: without this system call, the reaper would
    /// not notice that the main process has exited.
    fn lose(&self, answer: Answer) -> ! {
        let _ = sys::kill(self.main, Signal::KILL.number());
        fail("cannot wait: error #", answer)
    }

    /// Reaps all children that have exited. The kernel searches a list for each of them, which is
    /// expensive with thousands of living children. Reaping then pauses for a while, so that the
    /// next pass finds more exited children together.
    fn reap(&mut self) {
        while self.reap_batch() {}
    }

    /// Reaps one batch of children; returns whether more may have exited.
    fn reap_batch(&mut self) -> bool {
        let measured = self.cheap == 0;
        let begin = if measured { sys::microseconds_spent() } else { 0 };
        let mut calls = 0;
        let mut more = true;
        while more && calls < BATCH {
            calls += 1;
            let mut status = 0;
            let answer = sys::wait(&mut status);
            self.children = answer.is_ok();
            match answer.value() {
                Some(pid @ 1..) => self.changed(pid, Change::decode(status)),
                None if self.code.is_none() => self.lose(answer),
                _ => more = false,
            }
        }
        self.cheap = if measured { SAMPLE } else { self.cheap - 1 };
        if measured {
            let took = sys::microseconds_spent() - begin;
            if took > calls * CHEAP {
                self.hold = (took * 8).min(HOLD);
                self.cheap = 0;
                return false;
            }
        }
        more
    }

    #[inline(never)] // This makes the file smaller.
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

    /// Stops the reaper's process group after the terminal has stopped the main process, because a
    /// shell that started the reaper notices only the reaper's own stop. If no process could
    /// continue the reaper (it is PID 1, or in an orphaned process group), the kernel does not stop
    /// it, and the main process continues, as it would without the reaper.
    fn job_control(&mut self, signal: u8) {
        // TSTP, TTIN and TTOU are consecutive, except for CONT among them on MIPS, which stops
        // nothing.
        if !(Signal::TSTP.number()..=Signal::TTOU.number()).contains(&signal) {
            return;
        }
        let ours = sys::group(0);
        tty::hand_over(self.main, ours);
        sys::stop_group();
        if tty::hand_over(ours, self.main) || signal == Signal::TSTP.number() {
            self.stopped = false;
            let mut told = Told::NOBODY;
            Parcel { group: true, ..Parcel::new(self.main, Signal::CONT.number()) }.send(&mut told);
        }
    }

    /// Asks the remaining processes to stop, waits for the grace period, and kills those that are
    /// left.
    fn stop(&mut self) {
        if self.pid != 1 {
            // The process group that had the terminal is gone: return the terminal to the reaper's
            // group, for the process that started the reaper.
            tty::hand_over(self.main, sys::group(0));
        }
        let mut stop = Stop::new(self.options.grace_ms);
        let mut slept = 0;
        loop {
            match stop.step(slept, self.anyone_left()) {
                Step::Exit => return,
                Step::Terminate => _ = self.tell(&WARNING),
                Step::Kill => {
                    self.killing = true;
                    self.tell(&[Signal::KILL.number()]);
                }
                // Only sleep counts as elapsed time, so that the reaper's work does not shorten the
                // grace period.
                Step::Sleep(milliseconds) => {
                    sys::sleep(milliseconds * 1000);
                    slept += milliseconds;
                    self.reap();
                }
            }
        }
    }

    /// Returns whether any process remains that the reaper may signal.
    fn anyone_left(&mut self) -> bool {
        let left = self.children || (self.pid == 1 && rest::anyone());
        left && (!self.refused || self.tell(&[0]))
    }

    /// Sends signals to all remaining processes; returns whether any of them could be signalled.
    fn tell(&mut self, signals: &[u8]) -> bool {
        let told = rest::tell(self.pid, signals);
        if told.refused > 0 {
            self.refused = true;
            self.complain(signals.first().copied().unwrap_or(0), told.refused);
        }
        told.reached
    }
}
