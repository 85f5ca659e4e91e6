//! `reapify unwrap`

use super::options::{DestinationOptions, Global, ReplaceOptions, ResultOptions, SourceOptions};
use super::output::Console;
use super::places::Logins;
use super::suggest;
use super::transform::{Mode, Transform};
use super::values::{AnyText, TRANSPORTS};
use crate::engine::Task;
use crate::error::Result;
use std::sync::Arc;

#[derive(clap::Args)]
pub struct Args {
    /// The wrapped image
    #[arg(value_parser = AnyText(&TRANSPORTS), hide_possible_values = true)]
    source: String,
    /// The name of the original
    #[arg(value_parser = AnyText(&TRANSPORTS), hide_possible_values = true)]
    destination: String,
    /// Show what would change and what would be sent, without sending anything
    #[arg(long)]
    dry_run: bool,
    /// Check every blob of an image that the destination already has, and send missing ones
    #[arg(long)]
    recheck: bool,
    #[command(flatten)]
    replace: ReplaceOptions,
    #[command(flatten)]
    from: SourceOptions,
    #[command(flatten)]
    to: DestinationOptions,
    #[command(flatten)]
    result: ResultOptions,
}

impl Args {
    /// Returns the image that the command is about.
    pub fn image(&self) -> &str {
        &self.source
    }
}

pub async fn run(global: &Global, args: Args, console: &Console) -> Result<()> {
    let places = (suggest::location(&args.source)?, suggest::destination(&args.destination)?);
    let transform = Transform {
        global,
        task: Task::Unwrap,
        mode: Mode { dry_run: args.dry_run, recheck: args.recheck, ..Mode::default() },
        network: &args.from.network,
        logins: Logins::read(&args.from, &args.to, Some(&places), places.0.is_pipe())?,
        replace: &args.replace,
        shared_state: Arc::default(),
    };
    transform.one(places, args.result.digest_file.as_deref(), console).await
}
