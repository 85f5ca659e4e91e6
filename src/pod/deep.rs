//! Judgement of command lines with the files that they name, from ConfigMaps and from the image's layers.

use super::command::{Answer, CommandJudgement, Commands, InitUse, Question, Start};
use super::config_map::ScriptFile;
use super::words::WordsOnly;
use crate::error::{Error, Result};
use crate::inspect::{self, FileFacts, Files, Found, Step, Verdict, Way};
use crate::layers::marks::Marks;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// An image that was opened: its start, and its files as far as they have been read.
pub struct Opened<'a> {
    /// The parts of its config that determine how it starts.
    pub start: inspect::Start,
    /// Its files.
    pub files: Box<dyn Files + 'a>,
}

/// A judge of command lines. [`wants`](Self::wants) names the files that it lacks; when they have been read,
/// everything is judged again.
pub struct Deep<'a> {
    images: BTreeMap<String, Opened<'a>>,
    wants: RefCell<BTreeMap<String, BTreeSet<String>>>,
    failure: RefCell<Option<Error>>,
}

impl<'a> Deep<'a> {
    /// Creates a judge that knows these images, by their names in documents.
    pub fn new(images: BTreeMap<String, Opened<'a>>) -> Self {
        Deep { images, wants: RefCell::default(), failure: RefCell::default() }
    }

    /// Returns the files that were missing, by image.
    ///
    /// # Errors
    ///
    /// Returns the first failure of the judge, which must not pass as an unknown command line.
    pub fn wants(self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        self.failure.into_inner().map_or(Ok(self.wants.into_inner()), Err)
    }

    fn verdict(&self, question: &Question<'_>) -> Option<Verdict> {
        let opened = question.facts.and_then(|facts| self.images.get_key_value(&facts.image));
        let mut start = match (&opened, question.command) {
            (Some((_, opened)), _) => opened.start.clone(),
            (None, Some(_)) => inspect::Start::default(),
            (None, None) => return None,
        };
        for (name, value) in question.env {
            start.env.retain(|entry| entry.split_once('=').is_none_or(|(known, _)| known != name));
            start.env.extend(value.as_ref().map(|value| format!("{name}={value}")));
        }
        // Kubernetes expands `$(NAME)` in the words and keeps unknown references.
        let words = |words: Option<&[String]>| -> Option<Vec<String>> {
            let words = words.unwrap_or_default();
            words.iter().all(|word| !word.contains("$(") && !word.contains("{{")).then(|| words.to_vec())
        };
        let (command, args) = (words(question.command)?, words(question.args)?);
        let layers = opened.map(|(_, opened)| &*opened.files);
        let files = Mounted { maps: question.files, layers };
        match inspect::judge_command(&command, &args, Some(&start), &files) {
            Ok(Step::Done(verdict)) => Some(*verdict),
            Err(failure) => {
                self.failure.borrow_mut().get_or_insert(failure);
                None
            }
            Ok(Step::Wants(paths)) => {
                let (image, _) = opened?;
                self.wants.borrow_mut().entry(image.clone()).or_default().extend(paths);
                None
            }
        }
    }
}

impl Commands for Deep<'_> {
    fn judge(&self, question: &Question<'_>) -> CommandJudgement {
        let words = WordsOnly.judge(question);
        match self.verdict(question) {
            Some(verdict) => both(words, &verdict),
            None => words,
        }
    }
}

/// Combines the judgement from the words with that from the files, which takes precedence where it is known.
pub fn both(words: CommandJudgement, verdict: &Verdict) -> CommandJudgement {
    let first = |one: Answer, other: Answer| if one == Answer::Unknown { other } else { one };
    let term = verdict.term_reaches_service;
    let holds = verdict.holds == Answer::Yes;
    let start = match verdict.way {
        Way::None => Start::None,
        Way::Service if holds => Start::Service,
        Way::Script if holds => Start::Script,
        Way::Init if holds => Start::Init,
        _ => words.start,
    };
    let is_service = holds && matches!(verdict.way, Way::Service | Way::Script);
    let stays = match (verdict.way, term) {
        (Way::None, Answer::No) => Answer::Yes,
        _ if is_service => Answer::No,
        _ => Answer::Unknown,
    };
    let evidence =
        verdict.evidence.iter().find_map(|e| Some((e.file.clone()?, usize::try_from(e.line?).ok()?)));
    CommandJudgement {
        start,
        orphans_reaped: first(verdict.orphans_reaped, words.orphans_reaped),
        term_as_pid1: first(term, words.term_as_pid1),
        // Without a handler, a signal ends any process except PID 1.
        term_elsewhere: first(words.term_elsewhere, if is_service { Answer::Yes } else { Answer::Unknown }),
        shell_stays: first(stays, words.shell_stays),
        init: words.init.or_else(|| init(verdict)),
        script: words.script.or(evidence),
    }
}

fn init(verdict: &Verdict) -> Option<InitUse> {
    let init = verdict.init.as_ref()?;
    let is_reaper = init.name.contains("reapify");
    Some(InitUse {
        name: init.name.clone(),
        is_first: match (verdict.way, verdict.holds) {
            (Way::Init, Answer::Yes) => Answer::Yes,
            (Way::Init, holds) => holds,
            _ => Answer::No,
        },
        is_subreaper: is_reaper,
        insists: verdict.must_be_pid1,
        grace_ms: None,
        is_reaper,
    })
}

/// The files of ConfigMaps, mounted over those of an image.
struct Mounted<'a> {
    maps: &'a [ScriptFile<'a>],
    layers: Option<&'a dyn Files>,
}

// The judge runs on a thread of its own while this thread waits.
impl Files for Mounted<'_> {
    fn find(&self, path: &str) -> Found {
        match self.maps.iter().find(|file| file.path == path) {
            Some(file) => match file.text {
                Some(text) => Found::File(FileFacts {
                    path: path.into(),
                    layer: None,
                    is_executable: true,
                    size: text.len() as u64,
                    is_read: true,
                    head: text.as_bytes().into(),
                    marks: Marks::default(),
                }),
                None => Found::Unknown,
            },
            None => self.layers.map_or(Found::Unknown, |layers| layers.find(path)),
        }
    }
}
