//! `reapify reaper`

use super::options::{Format, Global};
use super::output::{self, json, result};
use super::values::{AnyText, PLATFORMS};
use crate::error::{Context, Error, Result};
use crate::image::Platform;
use crate::reapers::{Reaper, Reapers};
use crate::transport::files::{Replacement, parent};
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    /// The platform of the reaper to write out
    #[arg(required_unless_present = "list", conflicts_with = "list", requires = "file")]
    #[arg(value_parser = AnyText(&PLATFORMS), hide_possible_values = true)]
    platform: Option<String>,
    /// The file to write; `-` is standard output
    #[arg(short = 'o', long = "file", value_name = "FILE", conflicts_with = "list")]
    file: Option<PathBuf>,
    /// List the platform, size and digest of each reaper
    #[arg(long)]
    list: bool,
}

pub fn run(global: &Global, args: Args) -> Result<()> {
    let reapers = Reapers::default();
    let (Some(platform), Some(file)) = (&args.platform, &args.file) else {
        let all = reapers.embedded().iter();
        return match global.output {
            Format::Text | Format::Sarif => result(&all.map(line_of).collect::<Vec<_>>().join("\n"), false),
            Format::Json => json(&Value::from_iter(all.map(json_of)).to_string(), false),
        };
    };
    let platform: Platform = platform.parse()?;
    let reaper = reapers.select(&platform).map_err(|e| {
        let known: Vec<String> = reapers.embedded().iter().map(|r| r.platform.to_string()).collect();
        Error::usage(e.to_string()).hint(format!("available: {}", known.join(", ")))
    })?;
    let is_pipe = file.as_os_str() == "-";
    if is_pipe {
        output::check_stdout()?;
        std::io::stdout().write_all(&reaper.program).context(|| "standard output")?;
    } else {
        write(file, &reaper.program)
            .map_err(|e| Error::other(format!("cannot write the reaper to {}: {e}", file.display())))?;
    }
    match global.output {
        Format::Text | Format::Sarif => Ok(()),
        Format::Json => json(&json_of(reaper).to_string(), is_pipe),
    }
}

/// Writes a program to a file, which it replaces at once, or to a device or a pipe.
fn write(path: &Path, program: &[u8]) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return std::fs::write(path, program);
    }
    // A directory that does not exist is more likely misspelt than meant.
    parent(path).metadata()?;
    let replacement = Replacement::create(path)?;
    replacement.file().write_all(program)?;
    replacement.file().set_permissions(PermissionsExt::from_mode(0o755))?;
    replacement.persist()
}

fn line_of(reaper: &Reaper) -> String {
    format!("{:<16} {:>6} bytes  {}", reaper.platform.to_string(), reaper.program.len(), reaper.digest)
}

fn json_of(reaper: &Reaper) -> Value {
    serde_json::json!({
        "platform": reaper.platform.to_string(),
        "size": reaper.program.len(),
        "digest": reaper.digest,
    })
}
