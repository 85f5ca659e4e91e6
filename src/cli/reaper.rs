//! `reapify reaper`

use super::output::result;
use crate::error::{Context, Error, Result};
use crate::image::Platform;
use crate::reapers::Reapers;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// The platform of the reaper to write out
    #[arg(required_unless_present = "list", conflicts_with = "list", requires = "file")]
    platform: Option<String>,
    /// The file to write; `-` is standard output
    #[arg(short = 'o', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    /// List platform, size and digest of each
    #[arg(long)]
    list: bool,
}

pub fn run(args: Args) -> Result<()> {
    let reapers = Reapers::default();
    let (Some(platform), Some(file)) = (&args.platform, &args.file) else {
        let lines: Vec<String> = reapers
            .embedded()
            .iter()
            .map(|r| format!("{:<16} {:>6} bytes  {}", r.platform.to_string(), r.program.len(), r.digest))
            .collect();
        return result(&lines.join("\n"), false);
    };
    let platform: Platform = platform.parse()?;
    let reaper = reapers.select(&platform).map_err(|e| {
        let known: Vec<String> = reapers.embedded().iter().map(|r| r.platform.to_string()).collect();
        Error::usage(e.to_string()).hint(format!("there are: {}", known.join(", ")))
    })?;
    if file.as_os_str() == "-" {
        return std::io::stdout().write_all(&reaper.program).context(|| "standard output");
    }
    std::fs::write(file, &reaper.program).context(|| file.display().to_string())?;
    std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).context(|| file.display().to_string())
}
