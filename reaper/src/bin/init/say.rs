//! One line at a time to standard error, in one write each.

use crate::sys;

pub const OUT: i32 = 1;
const ERR: i32 = 2;

/// A line under construction. What does not fit is cut.
pub struct Line {
    buffer: [u8; 160],
    length: usize,
}

impl Line {
    pub fn new() -> Line {
        let mut line = Line { buffer: [0; 160], length: 0 };
        line.text("reaper: ");
        line
    }

    pub fn text(&mut self, text: &str) -> &mut Line {
        self.bytes(text.as_bytes())
    }

    #[inline(never)]
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Line {
        for &byte in bytes {
            if let Some(place) = self.buffer.get_mut(self.length) {
                *place = byte;
                self.length += 1;
            }
        }
        self
    }

    pub fn number(&mut self, number: u32) -> &mut Line {
        self.bytes(digits(number, &mut [0; 10]))
    }

    /// Writes the line. That nobody listens is no reason to fail.
    pub fn warn(&mut self) {
        // A line that was cut still ends.
        self.length = self.length.min(self.buffer.len() - 1);
        self.bytes(b"\n");
        sys::write(ERR, self.buffer.get(..self.length).unwrap_or_default());
    }
}

/// A number's digits, at the end of a buffer for the longest.
pub fn digits(number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let (mut rest, mut unused) = (number, buffer.len());
    for place in buffer.iter_mut().rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        unused -= 1;
        if rest == 0 {
            break;
        }
    }
    buffer.get(unused..).unwrap_or_default()
}
