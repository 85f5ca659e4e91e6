//! `reapify completions` and `reapify man`

use super::help;
use crate::error::{Context, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

#[derive(clap::Args)]
pub struct Man {
    /// Write one page per command to this directory, instead of all to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn completions(args: Completions, mut command: clap::Command) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "reapify", &mut script);
    if args.shell == clap_complete::Shell::Bash {
        script.extend(include_bytes!("complete.bash"));
    }
    std::io::stdout().write_all(&script).context(|| "standard output")
}

/// Prints the manual pages of the program and its commands, or writes each to a file.
pub fn man(args: &Man, mut command: clap::Command) -> Result<()> {
    command.build();
    let mut pages = Vec::new();
    collect(&command, "", &mut pages)?;
    match &args.dir {
        Some(dir) => write(dir, &pages),
        None => {
            let all: Vec<u8> = pages.into_iter().flat_map(|(_, page)| page).collect();
            std::io::stdout().write_all(&all).context(|| "standard output")
        }
    }
}

/// Adds the page of a command and those of its subcommands.
fn collect(command: &clap::Command, parent: &str, pages: &mut Vec<(String, Vec<u8>)>) -> Result<()> {
    let name = match parent {
        "" => command.get_name().to_owned(),
        parent => format!("{parent}-{}", command.get_name()),
    };
    // The usage line keeps its spaces, while the title has the name of the page.
    let titled = command.clone().display_name(name.clone());
    let page = page(&clap_mangen::Man::new(titled).title(name.to_uppercase()), command, parent)?;
    pages.push((name.clone(), page));
    command.get_subcommands().try_for_each(|sub| collect(sub, &name, pages))
}

/// Renders a page: what the library knows about a command, and sections of our own.
fn page(man: &clap_mangen::Man, command: &clap::Command, parent: &str) -> Result<Vec<u8>> {
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = after.split("\n\n").find_map(|part| part.strip_prefix("Examples:\n"));
    for (title, text) in examples.map(|text| ("EXAMPLES", text)).into_iter().chain(help::sections(parent)) {
        page.extend(section(title, text).bytes());
    }
    Ok(page)
}

/// Renders a section whose lines stay as they are.
fn section(title: &str, text: &str) -> String {
    let mut section = format!(".SH \"{title}\"\n.nf\n");
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('`', "\\(ga").replace('\'', "\\(aq");
        // A line that begins with a dot would be a request.
        section.push_str(if line.starts_with('.') { "\\&" } else { "" });
        section.push_str(&line);
        section.push('\n');
    }
    section + ".fi\n"
}

fn write(dir: &Path, pages: &[(String, Vec<u8>)]) -> Result<()> {
    std::fs::create_dir_all(dir)
        .map_err(|e| Error::other(format!("cannot create {}: {e}", dir.display())))?;
    for (name, page) in pages {
        let file = dir.join(format!("{name}.1"));
        std::fs::write(&file, page)
            .map_err(|e| Error::other(format!("cannot write {}: {e}", file.display())))?;
    }
    Ok(())
}
