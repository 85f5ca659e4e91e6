//! A token server as described in the distribution project's "Token Authentication": JSON Web Tokens signed with
//! RS256, with the certificate in their header.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::registry::pairs;
use super::run::tool;

/// A server that issues tokens to one user.
pub struct TokenServer {
    address: String,
    dir: tempfile::TempDir,
    /// The queries that it received.
    asked: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    /// Starts the server; its tokens are valid for `seconds`.
    pub fn start(user: &str, password: &str, seconds: u64) -> Self {
        let dir = super::scratch();
        let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
        let subject = ["-subj", "/CN=reapify test tokens", "-days", "2"];
        tool("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256"])
            .args(subject)
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
            .run()
            .succeeds();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let server = Server { basic, dir: dir.path().to_owned(), seconds, asked: asked.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                server.answer(stream);
            }
        });
        Self { address, dir, asked }
    }

    /// Returns the `auth:` section for a registry that trusts it.
    pub fn section(&self) -> String {
        format!(
            "auth:\n  token:\n    realm: http://{}/token\n    service: test\n    issuer: test issuer\n    rootcertbundle: {}\n",
            self.address,
            self.dir.path().join("cert.pem").display()
        )
    }

    /// Returns the queries that it received.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no thread panics").clone()
    }
}

struct Server {
    basic: String,
    dir: PathBuf,
    seconds: u64,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn answer(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().expect("a socket")).lines().map_while(Result::ok);
        let first = lines.next().unwrap_or_default();
        let headers: Vec<String> = lines.take_while(|l| !l.is_empty()).collect();
        let query = first.split([' ', '?']).nth(2).unwrap_or_default().to_owned();
        self.asked.lock().expect("no thread panics").push(query.clone());
        let allowed =
            headers.iter().any(|h| h.split_once(": ").is_some_and(|(_, value)| value == self.basic));
        let (status, body) = match allowed {
            true => ("200 OK", json!({"token": self.token(&query), "expires_in": self.seconds}).to_string()),
            false => ("401 Unauthorized", "{}".to_owned()),
        };
        let _ = write!(
            stream,
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
    }

    fn token(&self, query: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let scopes = pairs(query).get("scope").cloned().unwrap_or_default();
        let access: Vec<_> = scopes
            .split(' ')
            .filter_map(|scope| {
                let mut parts = scope.split(':');
                let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
                Some(json!({"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}))
            })
            .collect();
        let certificate = std::fs::read_to_string(self.dir.join("cert.pem")).expect("a certificate");
        let der: String = certificate.lines().filter(|l| !l.starts_with('-')).collect();
        let head = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
        let claims = json!({"iss": "test issuer", "sub": "ann", "aud": "test", "exp": now + self.seconds, "nbf": now - 5,
                            "iat": now - 5, "jti": now.to_string(), "access": access});
        let signed = [head, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string())).join(".");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(sign(&self.dir, &signed)))
    }
}

fn sign(dir: &Path, text: &str) -> Vec<u8> {
    use std::process::{Command, Stdio};
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(dir.join("key.pem"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl starts");
    openssl.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("openssl reads");
    openssl.wait_with_output().expect("openssl ends").stdout
}
