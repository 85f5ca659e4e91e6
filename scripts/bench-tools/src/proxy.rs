//! A proxy in front of registries that counts, records and delays every request. It uses one thread per
//! connection; bodies move inside the kernel. `Host` is forwarded, so that a registry names the proxy in `Location`.

use crate::http::{Body, Conn, Head};
use crate::log::{Entry, Log};
use crate::sys::Splicer;
use std::io::{Error, ErrorKind, Result, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// State shared by all connections.
#[derive(Default)]
pub struct Proxy {
    /// The delay of every request before it is forwarded, in ms.
    pub delay: AtomicU64,
    pub log: Log,
}

impl Proxy {
    /// Listens, and forwards to `upstream`.
    pub fn before(self: &Arc<Self>, upstream: String) -> Result<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let proxy = self.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (proxy, upstream) = (proxy.clone(), upstream.clone());
                // The client handles a broken connection.
                thread::spawn(move || proxy.serve(Conn::new(client), &upstream));
            }
        });
        Ok(address)
    }

    fn serve(&self, mut client: Conn, upstream: &str) -> Result<()> {
        let mut server = None;
        let splicer = Splicer::new()?;
        loop {
            if client.ready().is_empty() && !client.fill()? {
                return Ok(());
            }
            // A TLS handshake is refused at once, so that clients that try https first fall back to http.
            if !client.ready()[0].is_ascii_alphabetic() {
                return client.socket.write_all(b"HTTP/1.0 400 Bad Request\r\nConnection: close\r\n\r\n");
            }
            let Some(request) = client.head()? else { return Ok(()) };
            let server = match &mut server {
                Some(server) => server,
                none => none.insert(Conn::new(TcpStream::connect(upstream)?)),
            };
            let mut entry = self.log.begin(&request);
            thread::sleep(Duration::from_millis(self.delay.load(Ordering::Relaxed)));
            let outcome = exchange(request, &mut client, server, &splicer, &mut entry);
            self.log.add(entry);
            if outcome? {
                return Ok(());
            }
        }
    }
}

/// Forwards one request and its answer. Returns `true` if the connection ends with it.
fn exchange(
    mut request: Head,
    client: &mut Conn,
    server: &mut Conn,
    splicer: &Splicer,
    entry: &mut Entry,
) -> Result<bool> {
    let (is_head, closes) = (request.word(0) == "HEAD", request.says("connection", "close"));
    let expects = request.says("expect", "100-continue");
    request.remove("expect");
    server.socket.write_all(request.text().as_bytes())?;
    if expects {
        client.socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    // A server may answer and close before it has read the whole body.
    let sent = copy(request.body(Body::None), client, server, splicer, &mut entry.up);
    let mut answer = loop {
        let answer = server.head()?.ok_or(ErrorKind::UnexpectedEof)?;
        if !answer.word(1).starts_with('1') {
            break answer;
        }
    };
    entry.answered(&answer);
    if sent.is_err() {
        answer.remove("connection");
        answer.add("Connection: close");
    }
    client.socket.write_all(answer.text().as_bytes())?;
    let body = match answer.word(1) {
        _ if is_head => Body::None,
        "204" | "304" => Body::None,
        _ => answer.body(Body::ToTheEnd),
    };
    let last =
        closes || sent.is_err() || answer.says("connection", "close") || matches!(body, Body::ToTheEnd);
    copy(body, server, client, splicer, &mut entry.down)?;
    Ok(last)
}

fn copy(body: Body, from: &mut Conn, to: &mut Conn, splicer: &Splicer, moved: &mut u64) -> Result<()> {
    match body {
        Body::None => Ok(()),
        Body::Known(n) => {
            let ready = from.ready().len().min(usize::try_from(n).unwrap_or(usize::MAX));
            to.socket.write_all(&from.ready()[..ready])?;
            from.used(ready);
            *moved += ready as u64;
            splicer.run(&from.socket, &to.socket, n - ready as u64, moved)
        }
        Body::Chunked => chunks(from, to, moved),
        Body::ToTheEnd => loop {
            if from.ready().is_empty() && !from.fill()? {
                return Ok(());
            }
            let n = from.ready().len();
            to.socket.write_all(from.ready())?;
            from.used(n);
            *moved += n as u64;
        },
    }
}

/// Forwards a chunked body unchanged, and counts the content of its chunks.
fn chunks(from: &mut Conn, to: &mut Conn, moved: &mut u64) -> Result<()> {
    loop {
        let line = line(from, to)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            u64::from_str_radix(size, 16).map_err(|_| Error::new(ErrorKind::InvalidData, "no chunk"))?;
        if size == 0 {
            // Trailers, up to an empty line.
            while !self::line(from, to)?.is_empty() {}
            return Ok(());
        }
        let mut left = size;
        while left > 0 {
            if from.ready().is_empty() && !from.fill()? {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let n = from.ready().len().min(usize::try_from(left).unwrap_or(usize::MAX));
            to.socket.write_all(&from.ready()[..n])?;
            from.used(n);
            left -= n as u64;
        }
        *moved += size;
        self::line(from, to)?;
    }
}

fn line(from: &mut Conn, to: &mut Conn) -> Result<String> {
    loop {
        if let Some(end) = from.ready().iter().position(|b| *b == b'\n') {
            let line = String::from_utf8_lossy(&from.ready()[..end]).trim_end().to_string();
            to.socket.write_all(&from.ready()[..=end])?;
            from.used(end + 1);
            return Ok(line);
        }
        if !from.fill()? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}
