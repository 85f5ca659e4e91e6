//! The life of the reaper: one blocking wait for signals and children alike.

use reaper::options::Options;
use reaper::signal::Signal;
use reaper::status::Change;
use reaper::stop::{Step, Stop};

use crate::rest;
use crate::say::{fail, say};
use crate::send::{Parcel, Told};
use crate::sys::{self, Answer, Received};
use crate::tty;

/// Microseconds of processor time that a child may cost, and for how many microseconds children are
/// not looked at when they cost more.
const CHEAP: u64 = 20;
const HOLD: u64 = 100_000;
/// How many children are reaped between two looks at the clock, and how many such batches cost what
/// the last one did: the clock is not cheap itself.
const BATCH: u64 = 64;
const SAMPLE: u32 = 16;

/// What is left is told to stop by these, so that it also does if it is stopped already.
const WARNING: [u8; 2] = [Signal::TERM.number(), Signal::CONT.number()];

pub struct Life<'a> {
    options: &'a Options,
    pid: i32,
    main: i32,
    /// How the main process ended.
    code: Option<u8>,
    /// The main process is stopped, as far as we were told.
    stopped: bool,
    /// We have said that a signal could not be sent.
    complained: bool,
    /// Somebody who is left may not be sent signals.
    refused: bool,
    /// We have sent KILL to what is left.
    killing: bool,
    /// There were children when we last looked.
    children: bool,
    /// How long not to look at the children, in microseconds: [`u64::MAX`] is until one has changed.
    hold: u64,
    /// Batches of children whose cost need not be measured.
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

    /// Waits until the main process has exited, stops the rest, and exits as it did.
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
            say("# orphans reaped, # left over, # killed; exit code #", b"", &counts);
        }
        sys::exit(if self.options.expected.contains(code) { 0 } else { code })
    }

    /// Waits for a signal, or until the children may be looked at again, and does what is to be done.
    fn turn(&mut self, received: &mut Received) {
        let hold = core::mem::replace(&mut self.hold, u64::MAX);
        let held = hold < u64::MAX;
        let answer = sys::wait_signal(received, hold, !held);
        if !answer.is_ok() && !matches!(answer, Answer::EAGAIN | Answer::EINTR) {
            self.lose(answer);
        }
        let signal = answer.value().and_then(|number| Signal::new(number as u32));
        // Reap regardless of the sender: the kernel's SIGCHLD may have been merged into another. And
        // no flood of other signals can hold up the children for ever.
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
        let (pid, group, number) = (self.main, self.options.group, signal.number());
        let mut told = Told::NOBODY;
        Parcel { pid, group, signal: number, received: Some(received) }.send(&mut told);
        if signal == Signal::TERM && self.stopped {
            // It would otherwise not hear it before somebody else lets it go on.
            Parcel::new(pid, Signal::CONT.number()).send(&mut told);
        }
        self.complain(number, told.refused);
    }

    /// Says once that a signal cannot be sent to a process; 0 is none.
    #[inline(never)]
    fn complain(&mut self, signal: u8, pid: i32) {
        if pid > 0 && !self.complained && self.options.verbosity > 0 {
            self.complained = true;
            let numbers = [u32::from(signal), pid as u32];
            say("may not send signal # to process #: grant CAP_KILL", b"", &numbers);
        }
    }

    /// Gives up while the main process runs: without this system call we would not see its end.
    fn lose(&self, answer: Answer) -> ! {
        let _ = sys::kill(self.main, Signal::KILL.number());
        fail("cannot wait: error #", answer)
    }

    /// Reaps all that have exited. The kernel looks for each in a list, so with thousands of living
    /// children this gets dear: then they have to wait a while, and more will be found at once.
    fn reap(&mut self) {
        while self.reap_batch() {}
    }

    /// Reaps a few; true if there may be more.
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
        let ours = sys::group(0);
        tty::hand_over(self.main, ours);
        sys::stop_group();
        if tty::hand_over(ours, self.main) || signal == Signal::TSTP.number() {
            self.stopped = false;
            let mut told = Told::NOBODY;
            Parcel { group: true, ..Parcel::new(self.main, Signal::CONT.number()) }.send(&mut told);
        }
    }

    /// Warns what is left, gives it its time, kills it.
    fn stop(&mut self) {
        if self.pid != 1 {
            // The group that had the terminal is gone: whoever started us can have it back.
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
                // Time is what was slept, so nothing that we do shortens the grace.
                Step::Sleep(milliseconds) => {
                    sys::sleep(milliseconds * 1000);
                    slept += milliseconds;
                    self.reap();
                }
            }
        }
    }

    /// Whether somebody is left who can be told to stop.
    fn anyone_left(&mut self) -> bool {
        let left = self.children || (self.pid == 1 && rest::anyone());
        left && (!self.refused || self.tell(&[0]))
    }

    /// Sends signals to all that is left; whether anybody could be reached.
    fn tell(&mut self, signals: &[u8]) -> bool {
        let told = rest::tell(self.pid, signals);
        if told.refused > 0 {
            self.refused = true;
            self.complain(signals.first().copied().unwrap_or(0), told.refused);
        }
        told.reached
    }
}
