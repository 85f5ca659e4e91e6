//! The log of a run: events of the library on standard error, one line each.

use super::stderr::say;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// Prints events of this program up to a level. Events of HTTP and TLS libraries are not printed, because
/// they could contain secrets.
struct Lines {
    level: Level,
}

impl Lines {
    fn shows(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("reapify") && *metadata.level() <= self.level
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.shows(metadata)
    }

    fn max_level_hint(&self) -> Option<tracing_subscriber::filter::LevelFilter> {
        Some(self.level.into())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        say(&line.0);
    }
}

/// The message of an event, followed by its other fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.0.insert_str(0, &format!("{value:?}")),
            name => self.0.push_str(&format!(" {name}={value:?}")),
        }
    }
}

/// Starts the log: warnings by default, none with `-q`, more with each `-v`.
pub fn start(verbose: u8, quiet: bool) {
    let level = match verbose {
        _ if quiet => Level::ERROR,
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let subscriber = tracing_subscriber::registry().with(Lines { level });
    // This fails only if a host program has set up logging.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
