//! The syntax tree of a shell script, as far as the judge needs it.

use std::sync::Arc;

/// A sequence of commands.
pub type List = Vec<Item>;

/// An element of a [`List`]: an and-or list that runs in the foreground or in the background.
#[derive(Debug, PartialEq)]
pub struct Item {
    /// The first pipeline.
    pub first: Pipeline,
    /// The pipelines that follow after `&&` or `||`.
    pub rest: Vec<(Connector, Pipeline)>,
    /// Whether `&` ends the item.
    pub is_background: bool,
    /// The line on which it starts.
    pub line: u32,
}

/// The operator between two pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connector {
    /// `&&`
    And,
    /// `||`
    Or,
}

/// One or more commands connected by `|`.
#[derive(Debug, PartialEq)]
pub struct Pipeline {
    /// Whether `!` inverts the status.
    pub is_negated: bool,
    /// Whether `time` precedes the pipeline.
    pub is_timed: bool,
    /// The commands.
    pub commands: Vec<Command>,
}

/// A command with its redirections.
#[derive(Debug, PartialEq)]
pub struct Command {
    /// The kind of command.
    pub kind: Kind,
    /// The targets of its redirections; empty words for here-documents.
    pub redirections: Vec<Word>,
    /// The line on which it starts.
    pub line: u32,
}

/// The kinds of commands.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// A program, a builtin or a function with its arguments, or assignments alone.
    Simple(Simple),
    /// `{ …; }`
    Group(List),
    /// `( … )`
    Subshell(List),
    /// `if`: conditions with the commands that they guard, and the `else` part.
    If(Vec<(List, List)>, Option<List>),
    /// `while` and `until`.
    Loop {
        /// Whether the loop runs until the condition holds.
        is_until: bool,
        /// The condition.
        condition: List,
        /// The body.
        body: List,
    },
    /// `for` and `select` over words; `None` iterates over the positional parameters.
    For(String, Option<Vec<Word>>, List),
    /// `for (( … ))`
    Count(List),
    /// `case`
    Case(Word, Vec<Arm>),
    /// A function definition.
    Function(String, Arc<Command>),
    /// `[[ … ]]`
    Test(Condition),
    /// `(( … ))`
    Arithmetic(String),
    /// `coproc`
    Coprocess(Box<Command>),
}

/// A branch of `case`.
#[derive(Debug, PartialEq)]
pub struct Arm {
    /// The patterns.
    pub patterns: Vec<Word>,
    /// The commands.
    pub body: List,
    /// Whether the next branch also runs (`;&`) or is also tried (`;;&`).
    pub falls_through: bool,
}

/// A simple command.
#[derive(Debug, Default, PartialEq)]
pub struct Simple {
    /// The assignments before the words.
    pub assignments: Vec<Assignment>,
    /// The words.
    pub words: Vec<Word>,
    /// The assignments among the arguments of `export`, `local` and the like.
    pub declared: Vec<Assignment>,
}

/// An assignment to a variable.
#[derive(Debug, PartialEq)]
pub struct Assignment {
    /// The variable.
    pub name: String,
    /// Whether `[…]` follows the name.
    pub is_element: bool,
    /// Whether `+=` appends.
    pub appends: bool,
    /// The value.
    pub value: Assigned,
}

/// The right side of an assignment.
#[derive(Debug, PartialEq)]
pub enum Assigned {
    /// A single word.
    Word(Word),
    /// The elements of an array.
    Array(Vec<Word>),
}

/// The expression in `[[ … ]]`.
#[derive(Debug, PartialEq)]
pub enum Condition {
    /// `!`
    Not(Box<Condition>),
    /// `&&`
    And(Box<Condition>, Box<Condition>),
    /// `||`
    Or(Box<Condition>, Box<Condition>),
    /// One to three words, as `test` takes them.
    Words(Vec<Word>),
}

/// A word before expansion.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Word {
    /// The pieces.
    pub pieces: Vec<Piece>,
}

/// A piece of a word.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// Text.
    Text {
        /// The text without its quotes.
        text: String,
        /// Whether it was quoted.
        is_quoted: bool,
    },
    /// `$NAME`, `${NAME…}`
    Parameter {
        /// The name, number or special character.
        name: String,
        /// The index in `${NAME[…]}`.
        index: Option<String>,
        /// The operation on the value.
        operation: Operation,
        /// Whether it is in double quotes.
        is_quoted: bool,
    },
    /// `$( … )` and backquotes.
    Command {
        /// The commands.
        list: Arc<List>,
        /// Whether it is in double quotes.
        is_quoted: bool,
    },
    /// `$(( … ))`
    Arithmetic(String),
    /// `<( … )` and `>( … )`
    Process(Arc<List>, u32),
}

/// The operation that an expansion applies to the value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// No operation: `$NAME`
    Value,
    /// `${#NAME}`
    Length,
    /// `${NAME:-word}` and, without the colon, `${NAME-word}`
    Default(bool, Word),
    /// `${NAME:=word}`
    Assign(bool, Word),
    /// `${NAME:+word}`
    Alternative(bool, Word),
    /// `${NAME:?word}`
    Require,
    /// `${NAME#pattern}`; `##` is greedy.
    Prefix(bool, Word),
    /// `${NAME%pattern}`; `%%` is greedy.
    Suffix(bool, Word),
    /// `${NAME:offset:length}`
    Substring(String),
    /// `${!NAME}` and operations that are not followed.
    Other,
}

impl Word {
    /// Returns the word's text, if it contains no expansion.
    pub fn literal(&self) -> Option<String> {
        let text = |piece: &Piece| match piece {
            Piece::Text { text, .. } => Some(text.clone()),
            _ => None,
        };
        self.pieces.iter().map(text).collect()
    }
}
