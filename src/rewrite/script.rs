//! The commands of a shell that replace it by `exec`. What it starts in other processes does not count.

use crate::inspect::shell::ast::{Command, Item, Kind, Piece, Pipeline, Simple, Word};
use crate::inspect::shell::parse;
use std::collections::HashMap;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

/// The maximum depth of calls of functions that are followed.
const MAX_CALLS: usize = 16;

/// Ends at the first `exec` that is certain to run, or that may run and starts what is looked for.
type Step<T> = ControlFlow<Option<T>>;

/// Returns what `start` finds in the command lines with which a shell replaces itself. `start` also learns whether the
/// shell may have left its directory.
pub(super) fn executed<T>(line: &str, start: impl Fn(&[&str], bool) -> Option<T>) -> Option<T> {
    let list = parse::parse(line.as_bytes(), 1).ok()?;
    let mut script = Script { start, is_elsewhere: false, functions: HashMap::new(), calls: 0 };
    script.list(&list).break_value().flatten()
}

/// Continues after commands that may not run, unless they start what is looked for.
fn perhaps<T>(step: Step<T>) -> Step<T> {
    match step {
        Break(None) => Continue(()),
        step => step,
    }
}

struct Script<F> {
    start: F,
    /// Whether the directory may have changed.
    is_elsewhere: bool,
    /// The functions that were defined and not called yet: a second call executes nothing else.
    functions: HashMap<String, Arc<Command>>,
    /// The depth of calls.
    calls: usize,
}

impl<T, F: Fn(&[&str], bool) -> Option<T>> Script<F> {
    fn list(&mut self, list: &[Item]) -> Step<T> {
        for item in list.iter().filter(|item| !item.is_background) {
            self.pipeline(&item.first)?;
            item.rest.iter().try_for_each(|(_, pipeline)| perhaps(self.pipeline(pipeline)))?;
        }
        Continue(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline) -> Step<T> {
        match &pipeline.commands[..] {
            [command] => self.command(command),
            _ => Continue(()),
        }
    }

    fn command(&mut self, command: &Command) -> Step<T> {
        match &command.kind {
            Kind::Simple(simple) => self.simple(simple),
            Kind::Group(list) => self.list(list),
            Kind::If(arms, otherwise) => {
                let parts = arms.iter().flat_map(|(condition, body)| [condition, body]).chain(otherwise);
                self.each(parts)
            }
            Kind::Loop { condition, body, .. } => self.each([condition, body]),
            Kind::For(_, _, body) | Kind::Count(body) => self.each([body]),
            Kind::Case(_, arms) => self.each(arms.iter().map(|arm| &arm.body)),
            Kind::Function(name, body) => {
                self.functions.insert(name.clone(), body.clone());
                Continue(())
            }
            Kind::Subshell(_) | Kind::Test(_) | Kind::Arithmetic(_) | Kind::Coprocess(_) => Continue(()),
        }
    }

    fn each<'l>(&mut self, lists: impl IntoIterator<Item = &'l Vec<Item>>) -> Step<T> {
        lists.into_iter().try_for_each(|list| perhaps(self.list(list)))
    }

    fn simple(&mut self, simple: &Simple) -> Step<T> {
        let words: Vec<String> = simple.words.iter().map(text).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["exec", rest @ ..] | ["command" | "builtin", "exec", rest @ ..] => self.exec(rest),
            ["exit", ..] => Break(None),
            ["cd" | "chdir" | "pushd" | "popd", ..] => {
                self.is_elsewhere = true;
                Continue(())
            }
            [name, ..] if self.calls < MAX_CALLS => match self.functions.remove(*name) {
                Some(body) => {
                    self.calls += 1;
                    let step = self.command(&body);
                    self.calls -= 1;
                    step
                }
                None => Continue(()),
            },
            _ => Continue(()),
        }
    }

    fn exec(&self, mut words: &[&str]) -> Step<T> {
        while let Some((option, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-')) {
            words = match *option {
                "--" => rest,
                // The name of the new process follows.
                option if option.contains('a') => rest.get(1..).unwrap_or_default(),
                _ => rest,
            };
        }
        // Without a program, `exec` only redirects.
        if words.is_empty() { Continue(()) } else { Break((self.start)(words, self.is_elsewhere)) }
    }
}

/// Returns the text of a word, with a placeholder for each expansion.
fn text(word: &Word) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Text { text, .. } => text.clone(),
        _ => "$".into(),
    };
    word.pieces.iter().map(piece).collect()
}
