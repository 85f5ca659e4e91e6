//! One line at a time to standard error, in one write each.

use crate::FAILED;
use crate::sys::{self, Answer};

const ERR: i32 = 2;

/// A text under construction. What does not fit is cut.
pub struct Text<'a> {
    buffer: &'a mut [u8],
    length: usize,
}

impl Text<'_> {
    /// An empty text.
    pub fn new(buffer: &mut [u8]) -> Text<'_> {
        Text { buffer, length: 0 }
    }

    /// Adds a template: `$` stands for the text, each `#` for the next number.
    #[inline(never)]
    pub fn fill(&mut self, template: &str, text: &[u8], numbers: &[u32]) {
        let mut numbers = numbers.iter();
        for &byte in template.as_bytes() {
            match byte {
                b'$' => text.iter().for_each(|&byte| self.push(byte)),
                b'#' => self.number(*numbers.next().unwrap_or(&0)),
                _ => self.push(byte),
            }
        }
    }

    /// Whether something may have been cut.
    pub fn is_full(&self) -> bool {
        self.length == self.buffer.len()
    }

    #[inline(never)]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.buffer.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn number(&mut self, number: u32) {
        if number > 9 {
            self.number(number / 10);
        }
        self.push(b'0' + (number % 10) as u8);
    }
}

/// Writes a line made from a template. That nobody listens is no reason to fail or to wait.
pub fn say(template: &str, text: &[u8], numbers: &[u32]) {
    let mut buffer = [b'\n'; 160];
    // A line that is cut still ends.
    let mut line = Text::new(buffer.get_mut(..159).unwrap_or_default());
    line.fill("reaper: ", b"", &[]);
    line.fill(template, text, numbers);
    let length = line.length + 1;
    sys::write_now(ERR, buffer.get(..length).unwrap_or_default());
}

/// Says what failed, and why, and exits.
#[inline(never)]
pub fn fail(template: &str, answer: Answer) -> ! {
    say(template, b"", &[answer.errno() as u32]);
    sys::exit(FAILED)
}
