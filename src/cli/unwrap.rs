//! `reapify unwrap`

use super::options::{DestinationOptions, Global, SourceOptions};
use super::output::Console;
use super::wrap::{Mode, transform};
use crate::engine::Task;
use crate::error::Result;
use crate::image::Location;

#[derive(clap::Args)]
pub struct Args {
    /// The wrapped image
    source: String,
    /// Where the original goes
    destination: String,
    /// Show what would change and what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// Ask the destination for every blob of what it holds already, and send those that it lacks
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    to: DestinationOptions,
}

impl Args {
    /// The image that the command is about.
    pub fn image(&self) -> &str {
        &self.source
    }
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let places = (args.source.parse::<Location>()?, Location::destination(&args.destination)?);
    let mode = Mode { dry_run: args.dry_run, recheck: args.recheck, ..Mode::default() };
    transform(global, Task::Unwrap, places, &args.from, &args.to, mode, console).await
}
