//! The threads of a run.
//!
//! Most runs only wait for small answers, and one thread does that with the least work and memory. Large blobs are
//! hashed and encrypted faster on several cores. How large a run is turns out on the way, so all workers of the
//! runtime but one are held back until a large blob is about to move.

use std::sync::{Condvar, Mutex, PoisonError};
use tokio::runtime::{Builder, Runtime};

/// No more threads than this do the work; more would wait for the network.
const MOST: usize = 4;
/// From this size on, a blob is worth more than one thread.
const LARGE: u64 = 16 << 20;

/// Whether the workers that are held back may go on.
static RELEASED: Mutex<bool> = Mutex::new(false);
static RELEASE: Condvar = Condvar::new();

/// Starts a runtime with a thread a core, only one of which works until a large blob moves.
pub fn start() -> std::io::Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
    let runtime = Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
    for _ in 1..cores {
        runtime.spawn(async { hold() });
    }
    Ok(runtime)
}

/// Lets all workers work if a blob of this size is worth it. Does nothing in a runtime that was started otherwise.
pub fn expect(size: u64) {
    if size >= LARGE {
        release();
    }
}

/// Lets all workers go on.
pub fn release() {
    *RELEASED.lock().unwrap_or_else(PoisonError::into_inner) = true;
    RELEASE.notify_all();
}

/// Blocks a worker until it is released.
fn hold() {
    let released = RELEASED.lock().unwrap_or_else(PoisonError::into_inner);
    drop(RELEASE.wait_while(released, |released| !*released));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::time::Duration;

    async fn threads() -> usize {
        let pause = || async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Long enough for another worker to take a task over.
            std::thread::sleep(Duration::from_millis(2));
            std::thread::current().id()
        };
        let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(pause())).collect();
        let mut seen = HashSet::new();
        for task in tasks {
            seen.insert(task.await.unwrap());
        }
        seen.len()
    }

    #[test]
    fn only_a_large_blob_takes_more_than_one_thread() {
        let runtime = start().unwrap();
        assert_eq!(runtime.block_on(threads()), 1);
        expect(LARGE - 1);
        assert_eq!(runtime.block_on(threads()), 1);
        expect(LARGE);
        let cores = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        assert_eq!(runtime.block_on(threads()), cores);
    }
}
