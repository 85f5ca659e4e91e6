//! Properties that hold for every webhook: parsing does not panic, and every push names an image.

use super::events::{Event, Kind, MAX_EVENTS, parse};
use crate::image::Reference;

/// Parses a body as every kind of sender.
pub fn fuzz_event(data: &[u8]) {
    for (_, kind) in Kind::ALL {
        let Ok(events) = parse(kind, data) else { continue };
        assert!(events.len() <= MAX_EVENTS, "{kind:?}: {} events", events.len());
        for event in events {
            if let Event::Push(push) = event {
                let host = push.host.as_deref().unwrap_or("r.example");
                let name = format!("{host}/{}:{}", push.repository, push.tag);
                let _ = name.parse::<Reference>();
                assert!(!push.repository.is_empty() && !push.tag.is_empty(), "{kind:?}: {push:?}");
            }
        }
    }
}
