//! A Docker engine in this process that answers as a test says: with faults that no real one shows on demand.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

/// An engine at a Unix socket.
pub struct FakeEngine {
    dir: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

/// A request whose body is still to be read, and the connection that it came from.
pub struct Exchange {
    /// `GET /images/NAME/json`
    pub asked: String,
    connection: BufReader<UnixStream>,
}

impl FakeEngine {
    /// Starts an engine that answers each request with `answer`; then the connection is closed.
    pub fn start(answer: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Self {
        let dir = super::scratch();
        let listener = UnixListener::bind(dir.path().join("socket")).expect("a socket");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, answer) = (asked.clone(), Arc::new(answer));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let (log, answer) = (log.clone(), answer.clone());
                std::thread::spawn(move || {
                    let Some(mut exchange) = Exchange::read(connection.expect("a connection")) else {
                        return;
                    };
                    log.lock().expect("the log").push(exchange.asked.clone());
                    answer(&mut exchange);
                });
            }
        });
        FakeEngine { dir, asked }
    }

    /// What `DOCKER_HOST` is set to.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("socket").display())
    }

    /// The requests so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("the log").clone()
    }
}

impl Exchange {
    fn read(connection: UnixStream) -> Option<Self> {
        let mut connection = BufReader::new(connection);
        let mut first = String::new();
        connection.read_line(&mut first).ok().filter(|n| *n > 0)?;
        let asked = first.split(" HTTP/").next().unwrap_or_default().to_owned();
        let mut line = String::new();
        while connection.read_line(&mut line).ok().filter(|n| *n > 2).is_some() {
            line.clear();
        }
        Some(Exchange { asked, connection })
    }

    /// Whether this is asked.
    pub fn is(&self, asked: &str) -> bool {
        self.asked == asked
    }

    /// Reads the chunked body to its end. `None` if it breaks off before.
    pub fn body(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let mut size = String::new();
            self.connection.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            self.connection.read_exact(&mut chunk).ok()?;
            if size == 0 {
                return Some(body);
            }
            body.extend_from_slice(&chunk[..size]);
        }
    }

    /// Sends bytes as they are. A client that is gone is no error of the test's.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.connection.get_mut().write_all(bytes);
    }

    /// Answers with a status and a body.
    pub fn answer(&mut self, status: u16, body: &[u8]) {
        let head =
            format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat());
    }
}

/// A relay between a client and a real engine, which tells of each request before it is passed on.
pub struct Relay {
    dir: tempfile::TempDir,
}

impl Relay {
    /// Starts a relay to the engine at the Unix socket `host`.
    pub fn start(host: &str, tell: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let dir = super::scratch();
        let listener = UnixListener::bind(dir.path().join("socket")).expect("a socket");
        let (engine, tell) = (host.trim_start_matches("unix://").to_owned(), Arc::new(tell));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (engine, tell) = (engine.clone(), tell.clone());
                std::thread::spawn(move || relay(client.expect("a connection"), &engine, &*tell));
            }
        });
        Relay { dir }
    }

    /// What `DOCKER_HOST` is set to.
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("socket").display())
    }
}

/// Passes one request and its answer on. `Connection: close` makes the client open a new connection for the next one.
fn relay(client: UnixStream, engine: &str, tell: &dyn Fn(&str)) {
    let mut back = client.try_clone().expect("a socket");
    let mut client = BufReader::new(client);
    let mut first = String::new();
    if client.read_line(&mut first).unwrap_or(0) == 0 {
        return;
    }
    tell(first.split(" HTTP/").next().unwrap_or_default());
    let engine = UnixStream::connect(engine).expect("the engine");
    let mut to = engine.try_clone().expect("a socket");
    write!(to, "{first}Connection: close\r\n").expect("the engine reads");
    std::thread::spawn(move || std::io::copy(&mut client, &mut to));
    let _ = std::io::copy(&mut { engine }, &mut back);
    let _ = back.shutdown(std::net::Shutdown::Both);
}
