//! What to do after the main process has exited: ask the remaining processes to stop, wait, and
//! kill them.

/// How long to wait for killed processes to end, and how often to repeat KILL in the meantime: a
/// process can fork at the moment when it is killed, and another can be blocked in the kernel.
const KILL_MS: u64 = 1000;
const KILL_AGAIN_MS: u64 = 100;
/// The longest interval between two checks; the first intervals are shorter. The exit of a process
/// that entered the container from outside (`docker exec`) is reported to a process outside, so
/// there is no signal to wait for.
const LOOK_AGAIN_MS: u64 = 20;

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// No process remains, or nothing more can be done: exit.
    Exit,
    /// Send TERM, then CONT, to all remaining processes.
    Terminate,
    /// Send KILL to all remaining processes.
    Kill,
    /// Sleep for this many milliseconds, then check again which processes remain.
    Sleep(u64),
}

/// The stop sequence of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    grace_ms: u64,
    kill_at: u64,
    warned: bool,
}

impl Stop {
    /// Creates a sequence that gives the remaining processes `grace_ms` between TERM and KILL. With
    /// 0, no process is signalled: the exit of PID 1 ends the remaining processes, as with tini.
    pub const fn new(grace_ms: u32) -> Stop {
        Stop { grace_ms: grace_ms as u64, kill_at: grace_ms as u64, warned: false }
    }

    /// Returns the next action after `elapsed_ms` of sleep; `left` is whether any processes remain.
    pub fn step(&mut self, elapsed_ms: u64, left: bool) -> Step {
        if !left || self.grace_ms == 0 {
            return Step::Exit;
        }
        if !self.warned {
            self.warned = true;
            return Step::Terminate;
        }
        if elapsed_ms < self.kill_at {
            let pause = (elapsed_ms / 8).clamp(1, LOOK_AGAIN_MS);
            return Step::Sleep(pause.min(self.kill_at - elapsed_ms));
        }
        if elapsed_ms >= self.grace_ms + KILL_MS && self.kill_at > self.grace_ms {
            return Step::Exit;
        }
        self.kill_at = elapsed_ms + KILL_AGAIN_MS;
        Step::Kill
    }
}
