//! What to do once the main process has exited: warn the rest, wait, kill.

/// How long killed processes get to vanish, and how often the kill is repeated meanwhile: a
/// process can fork in the moment it is killed, another can be stuck in the kernel.
const KILL_MS: u64 = 1000;
const KILL_AGAIN_MS: u64 = 100;
/// How long at most until we look again. What entered the container from outside (`docker exec`)
/// tells its end to somebody else, so there is no signal to wait for. At first we look more often.
const LOOK_AGAIN_MS: u64 = 20;

/// The next thing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nobody is left, or nothing more can be done: exit.
    Exit,
    /// Send TERM, then CONT, to all that is left.
    Terminate,
    /// Send KILL to all that is left.
    Kill,
    /// Sleep for so many milliseconds, then look again who is left.
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
    /// A sequence that gives the rest `grace_ms` between TERM and KILL. With 0 nobody is told: the
    /// exit of PID 1 takes the rest along, as with tini.
    pub const fn new(grace_ms: u32) -> Stop {
        Stop { grace_ms: grace_ms as u64, kill_at: grace_ms as u64, warned: false }
    }

    /// What to do after `elapsed_ms` of sleep, given that somebody is `left`.
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
