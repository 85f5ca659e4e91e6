//! The destinations of jobs in progress.

use crate::transport::Sink;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The destinations of jobs in progress, whose uploads are cancelled if the run is interrupted.
#[derive(Clone, Default)]
pub struct Sinks(Arc<Mutex<Guests>>);

#[derive(Default)]
struct Guests {
    next: u64,
    sinks: HashMap<u64, Arc<dyn Sink>>,
}

/// Keeps a destination registered while its job is in progress.
pub struct Guest {
    sinks: Sinks,
    number: u64,
}

impl Sinks {
    /// Registers a destination until the guest is dropped.
    pub fn enter(&self, sink: Arc<dyn Sink>) -> Guest {
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.next += 1;
        let number = guests.next;
        guests.sinks.insert(number, sink);
        Guest { sinks: self.clone(), number }
    }

    /// Cancels the uploads of all jobs in progress.
    pub async fn release(&self) {
        let sinks: Vec<Arc<dyn Sink>> = {
            let guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            guests.sinks.values().cloned().collect()
        };
        futures_util::future::join_all(sinks.iter().map(|sink| sink.release())).await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.sinks.0.lock().unwrap_or_else(PoisonError::into_inner).sinks.remove(&self.number);
    }
}
