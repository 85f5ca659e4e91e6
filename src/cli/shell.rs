//! `reapify completions` and `reapify man`

use crate::error::{Context, Result};
use std::io::Write;

#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

pub fn completions(args: Completions, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "reapify", &mut script);
    std::io::stdout().write_all(&script).context(|| "standard output")
}

/// The page of the program, followed by those of its commands.
pub fn man(mut command: clap::Command) -> Result<()> {
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for sub in command.get_subcommands() {
        clap_mangen::Man::new(sub.clone()).render(&mut page)?;
    }
    std::io::stdout().write_all(&page).context(|| "standard output")
}
