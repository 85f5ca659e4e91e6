//! Strings that occur only in one program, or in one kind of program.

use serde::{Deserialize, Serialize};

/// A string that occurs only in one program, or in one kind of program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Mark {
    /// reapify's reaper.
    Reapify,
    /// tini.
    Tini,
    /// dumb-init.
    DumbInit,
    /// An s6-overlay program that refuses to run unless it is PID 1.
    S6Overlay,
    /// BusyBox.
    BusyBox,
    /// bash.
    Bash,
    /// A program written in Go.
    Go,
    /// A Go library that reaps orphans.
    GoReaper,
    /// nginx.
    Nginx,
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
    /// PostgreSQL.
    Postgres,
    /// runit.
    Runit,
}

/// The strings, with what they identify.
const STRINGS: [(&[u8], Mark); 15] = [
    (b"reapify-reaper version=", Mark::Reapify),
    (b"Tini is not running as PID 1", Mark::Tini),
    (b"TINI_SUBREAPER", Mark::Tini),
    (b"[dumb-init] ", Mark::DumbInit),
    (b"can only run as pid 1", Mark::S6Overlay),
    (b"BusyBox v", Mark::BusyBox),
    (b"GNU bash, version", Mark::Bash),
    (b"\xff Go buildinf:", Mark::Go),
    (b"github.com/ramr/go-reaper", Mark::GoReaper),
    (b"github.com/hashicorp/go-reap", Mark::GoReaper),
    (b"nginx: invalid option: ", Mark::Nginx),
    (b"Redis version=%s", Mark::Redis),
    (b"Valkey version=%s", Mark::Valkey),
    (b"PostgreSQL stand-alone backend", Mark::Postgres),
    (b"runsvdir: usage", Mark::Runit),
];

/// The number of marks that no program has unless it looks for them.
const MANY: u32 = 6;

/// A set of marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks(u32);

impl Marks {
    /// Adds a mark.
    pub fn insert(&mut self, mark: Mark) {
        self.0 |= 1 << mark as u8;
    }

    /// Returns whether the set contains a mark.
    pub fn has(self, mark: Mark) -> bool {
        self.0 & 1 << mark as u8 != 0
    }
}

/// A search for marks in a file that is read in pieces.
pub struct Scanner {
    search: aho_corasick::AhoCorasick,
    /// The end of the previous piece, followed by the next piece.
    window: Vec<u8>,
    marks: Marks,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::new()
    }
}

impl Scanner {
    /// Creates a scanner for a new file.
    pub fn new() -> Self {
        // The patterns are few and constant, so the automaton cannot exceed its limits.
        let search =
            aho_corasick::AhoCorasick::new(STRINGS.map(|(text, _)| text)).expect("few short patterns");
        Scanner { search, window: Vec::new(), marks: Marks::default() }
    }

    /// Searches the next piece of the file.
    pub fn feed(&mut self, piece: &[u8]) {
        const OVERLAP: usize = 63;
        self.window.extend_from_slice(piece);
        for found in self.search.find_iter(&self.window) {
            if let Some((_, mark)) = STRINGS.get(found.pattern().as_usize()) {
                self.marks.insert(*mark);
            }
        }
        let kept = self.window.len().saturating_sub(OVERLAP);
        self.window.drain(..kept);
    }

    /// Returns the marks found so far. A file with many of them looks for them itself, as this program does, and so has
    /// none.
    pub fn marks(&self) -> Marks {
        if self.marks.0.count_ones() < MANY { self.marks } else { Marks::default() }
    }

    /// Resets the scanner for another file.
    pub fn reset(&mut self) {
        self.window.clear();
        self.marks = Marks::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_marks_across_pieces_of_any_size() {
        let mut file = vec![b'x'; 500];
        file.extend_from_slice(b"..reapify-reaper version=0.1.0 ..\xff Go buildinf:..");
        for size in [1, 2, 7, 63, 64, 1000] {
            let mut scanner = Scanner::new();
            file.chunks(size).for_each(|piece| scanner.feed(piece));
            assert!(scanner.marks().has(Mark::Reapify) && scanner.marks().has(Mark::Go), "{size}");
            assert!(!scanner.marks().has(Mark::Tini));
        }
    }

    #[test]
    fn reset_forgets_the_previous_file() {
        let mut scanner = Scanner::new();
        scanner.feed(b"GNU bash, ver");
        scanner.reset();
        scanner.feed(b"sion 5");
        assert_eq!(scanner.marks(), Marks::default());
    }

    #[test]
    fn every_string_fits_into_the_overlap() {
        assert!(STRINGS.iter().all(|(text, _)| text.len() <= 64));
    }

    #[test]
    fn a_program_that_looks_for_marks_has_none() {
        let mut scanner = Scanner::new();
        STRINGS.iter().take(6).for_each(|(text, _)| scanner.feed(text));
        assert!(scanner.marks().has(Mark::Tini), "five marks: {:?}", scanner.marks());
        STRINGS.iter().for_each(|(text, _)| scanner.feed(text));
        assert_eq!(scanner.marks(), Marks::default());
    }
}
