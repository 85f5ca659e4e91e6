//! A minimal HTTP/1.1 (RFC 9112) for a proxy between well-behaved parties, and for pushing images.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

/// A connection, with its unprocessed input.
pub struct Conn {
    pub socket: TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

impl Conn {
    pub fn new(socket: TcpStream) -> Self {
        let _ = socket.set_nodelay(true);
        Conn { socket, buffer: Vec::new(), at: 0 }
    }

    /// Returns the unprocessed input.
    pub fn ready(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Marks bytes as processed.
    pub fn used(&mut self, n: usize) {
        self.at += n;
    }

    /// Reads more input. Returns `false` at the end.
    pub fn fill(&mut self) -> Result<bool> {
        if self.at == self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
        let mut piece = [0; 16 << 10];
        loop {
            match self.socket.read(&mut piece) {
                Ok(n) => {
                    self.buffer.extend_from_slice(&piece[..n]);
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the next head. Returns `None` if the other side closed the connection.
    pub fn head(&mut self) -> Result<Option<Head>> {
        loop {
            if let Some(end) = self.ready().windows(4).position(|w| w == b"\r\n\r\n") {
                let head = Head::parse(&self.ready()[..end + 4]);
                self.used(end + 4);
                return Ok(Some(head));
            }
            if self.ready().len() > 1 << 20 {
                return Err(Error::new(ErrorKind::InvalidData, "a head without an end"));
            }
            if !self.fill()? {
                return match self.ready() {
                    [] => Ok(None),
                    _ => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }
}

/// A start line and headers.
pub struct Head {
    pub first: String,
    lines: Vec<String>,
}

/// The length of a body.
pub enum Body {
    None,
    Known(u64),
    Chunked,
    ToTheEnd,
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let text = String::from_utf8_lossy(raw);
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty()).map(String::from);
        Head { first: lines.next().unwrap_or_default(), lines: lines.collect() }
    }

    /// Returns a word of the start line.
    pub fn word(&self, n: usize) -> &str {
        self.first.split(' ').nth(n).unwrap_or_default()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let is = |line: &&String| line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name));
        self.lines.iter().find(is).and_then(|line| Some(line.split_once(':')?.1.trim()))
    }

    pub fn says(&self, name: &str, word: &str) -> bool {
        self.get(name).is_some_and(|v| v.split(',').any(|w| w.trim().eq_ignore_ascii_case(word)))
    }

    pub fn remove(&mut self, name: &str) {
        self.lines.retain(|line| !line.split(':').next().is_some_and(|n| n.eq_ignore_ascii_case(name)));
    }

    pub fn add(&mut self, line: &str) {
        self.lines.push(line.into());
    }

    pub fn text(&self) -> String {
        let mut text = self.first.clone();
        for line in &self.lines {
            text.push_str("\r\n");
            text.push_str(line);
        }
        text + "\r\n\r\n"
    }

    /// Returns the length of the body; `otherwise` if no header states it.
    pub fn body(&self, otherwise: Body) -> Body {
        if self.says("transfer-encoding", "chunked") {
            return Body::Chunked;
        }
        match self.get("content-length").and_then(|v| v.parse().ok()) {
            Some(0) => Body::None,
            Some(n) => Body::Known(n),
            None => otherwise,
        }
    }
}

/// Sends a request on a new connection. Returns the status and `Location`.
pub fn send(method: &str, host: &str, target: &str, kind: &str, body: &[u8]) -> Result<(u16, String)> {
    let mut conn = Conn::new(TcpStream::connect(host)?);
    write!(
        conn.socket,
        "{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    conn.socket.write_all(body)?;
    let head = conn.head()?.ok_or(ErrorKind::UnexpectedEof)?;
    Ok((head.word(1).parse().unwrap_or(0), head.get("location").unwrap_or_default().into()))
}
