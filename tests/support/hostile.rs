//! A server with random hostile behaviour. Its reaction depends on the seed, the request, and how often that was made
//! before: the same seed gives the same behaviour, however requests overlap.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use hyper::{HeaderMap, StatusCode};

use super::dice::Dice;
use super::registry::{Act, Asked, Kind, Reply};

/// The behaviour of one server.
pub struct Hostile {
    pub seed: u64,
    /// A name that distinguishes the servers of one run.
    pub name: &'static str,
    /// The percentage of requests that it treats with hostility.
    pub share: usize,
    /// Its own `host:port`.
    pub own: String,
    /// The `host:port` of other servers to which it redirects.
    pub others: Vec<String>,
    /// The realms that it may name.
    pub realms: Vec<String>,
    /// Whether it claims to store blobs that it does not store, which can only be detected when a manifest is
    /// refused.
    pub lies: bool,
    pub asked: Mutex<HashMap<String, usize>>,
}

const STATUSES: [u16; 41] = [
    200, 201, 202, 203, 204, 206, 300, 304, 305, 306, 400, 401, 402, 403, 404, 405, 406, 408, 409, 410, 411,
    412, 413, 415, 416, 418, 421, 423, 425, 429, 431, 451, 500, 501, 502, 503, 504, 507, 511, 520, 599,
];

/// None of them is far in the future, because waiting as long as a server demands is correct.
const MOMENTS: [&str; 9] =
    ["0", "0", "1", "-1", "", "soon", "0.5", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 99 Foo"];

const CODES: [&str; 16] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DENIED",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "TAG_INVALID",
    "TOOMANYREQUESTS",
    "UNAUTHORIZED",
    "UNSUPPORTED",
    "\u{1b}[2J\n",
];

impl Hostile {
    /// Returns what is done to this request.
    pub fn act(&self, asked: &Asked) -> Act {
        let class = format!("{} {} {}", self.name, asked.method, kind(asked));
        let key = format!("{class} {} {}", object(asked), asked.query.contains_key("mount"));
        let before = {
            let mut counts = self.asked.lock().expect("counting does not panic");
            let count = counts.entry(key.clone()).or_default();
            *count += 1;
            *count
        };
        // Some things it never does, however often it is asked.
        let never = self.share > 0 && Dice::about(self.seed, &format!("never {class}")).percent(4);
        let mut dice = match never {
            true => Dice::about(self.seed, &key),
            false => Dice::about(self.seed, &format!("{key} {before}")),
        };
        if !never && !dice.percent(self.share) {
            return Act::Serve;
        }
        let dice = &mut dice;
        match dice.below(15) {
            0 | 1 => Act::Answer(self.refusal(dice, asked)),
            2 => Act::Delay(Duration::from_millis(1 + dice.below(60) as u64)),
            3 => {
                let pause = Duration::from_millis(1 + dice.below(25) as u64);
                Act::alter(move |reply| reply.drip(pause))
            }
            4..=6 => Act::Answer(self.redirect(dice, asked)),
            7 | 8 => Act::Answer(self.challenge(dice)),
            9 => truncated(dice),
            10 => wrong_length(dice),
            11 | 12 => self.wrong_headers(dice, asked),
            13 => no_answer(dice),
            _ => changed(dice),
        }
    }

    /// Returns whether a response may claim that something was done or exists.
    fn may_claim(&self, asked: &Asked) -> bool {
        match asked.kind {
            Kind::Token => true,
            _ if asked.method == "GET" => true,
            Kind::Manifest { .. } if asked.writes_manifest() => false,
            Kind::Catalog | Kind::Other => false,
            _ => self.lies,
        }
    }

    fn refusal(&self, dice: &mut Dice, asked: &Asked) -> Reply {
        let status = match *dice.of(&STATUSES) {
            200..300 if !self.may_claim(asked) => 500,
            status => status,
        };
        let reply = match dice.below(8) {
            0..=2 => Reply::error(status, dice.of::<&str>(&CODES), "so it is"),
            3 => Reply::html(status),
            4 => Reply::status(status).body("{\"errors\":null}"),
            5 => Reply::status(status).body("{\"errors\":[{\"code\":null,\"message\":7},null]}"),
            6 => Reply::status(status).body("{\"errors\":[".repeat(5000)),
            _ => Reply::status(status),
        };
        // These responses have no body.
        let reply = if matches!(status, 204 | 304) { reply.body("") } else { reply };
        match dice.percent(40) {
            true => reply.header("retry-after", dice.of::<&str>(&MOMENTS)),
            false => reply,
        }
    }

    fn redirect(&self, dice: &mut Dice, asked: &Asked) -> Reply {
        let status = *dice.of(&[301, 302, 303, 307, 307, 308, 300, 310]);
        match self.location(dice, asked) {
            Some(location) => Reply::status(status).header("location", &location),
            None => Reply::status(status),
        }
    }

    /// Returns the target of a redirect or an upload.
    fn location(&self, dice: &mut Dice, asked: &Asked) -> Option<String> {
        let mark = if asked.query_text.is_empty() { "" } else { "?" };
        let path = format!("{}{mark}{}", asked.path, asked.query_text);
        let own = &self.own;
        let port = own.rsplit(':').next().unwrap_or_default();
        let other = dice.of(&self.others).clone();
        Some(match dice.below(20) {
            0..=5 => format!("http://{other}{path}"),
            6 => format!("http://{other}/elsewhere"),
            7 => format!("//{other}{path}"),
            8 => format!("http://ann:pa55word@{other}{path}"),
            9 => path,
            10 => format!("http://{own}{path}"),
            11 => format!("http://localhost:{port}{path}"),
            12 => "../elsewhere".to_owned(),
            13 => "?again".to_owned(),
            14 => String::new(),
            15 => format!("https://{own}{path}"),
            16 => "http://127.0.0.1/".to_owned(),
            17 => format!("ftp://{own}{path}"),
            18 => "http://[".to_owned(),
            _ => return None,
        })
    }

    fn challenge(&self, dice: &mut Dice) -> Reply {
        let realm = dice.of(&self.realms).clone();
        let status = if dice.percent(90) { 401 } else { 403 };
        let bearer = format!("Bearer realm=\"{realm}\",service=\"s\"");
        let text = match dice.below(14) {
            0 | 1 => bearer,
            2 => format!("{bearer},scope=\"repository:other/thing:pull,push,delete\""),
            3 => format!("{bearer},error=\"invalid_token\""),
            4 => format!("Basic realm=\"x\", {bearer}"),
            5 => format!("{bearer}, Basic realm=\"x\""),
            6 | 7 => "Basic realm=\"registry\"".to_owned(),
            8 => format!("Bearer realm=\"http://127.0.0.1/token\",realm=\"{realm}\""),
            9 => "Bearer realm=\"/token\"".to_owned(),
            10 => "Bearer realm=\"file:///etc/passwd\"".to_owned(),
            11 => "Bearer realm=\"".to_owned() + &"x".repeat(5000),
            12 => "Negotiate".to_owned(),
            _ => ",,, = = Bearer".to_owned(),
        };
        Reply::error(status, "UNAUTHORIZED", "who are you?").header("www-authenticate", &text)
    }

    fn wrong_headers(&self, dice: &mut Dice, asked: &Asked) -> Act {
        const WRONG: [(&str, &str); 22] = [
            (
                "docker-content-digest",
                "sha256:0000000000000000000000000000000000000000000000000000000000000000",
            ),
            ("docker-content-digest", "sha256:abc"),
            ("docker-content-digest", ""),
            ("docker-content-digest", "crc32:12345678"),
            ("content-type", "text/html"),
            ("content-type", "application/vnd.oci.image.index.v1+json"),
            ("content-type", ""),
            ("content-encoding", "gzip"),
            ("content-range", "bytes 5-3/2"),
            ("content-range", "bytes 0-0/*"),
            ("range", "0-"),
            ("range", "5-3"),
            ("range", "0-18446744073709551615"),
            ("range", "bytes=1-2"),
            ("oci-chunk-min-length", "18446744073709551615"),
            ("oci-chunk-min-length", "0"),
            ("oci-chunk-min-length", "a lot"),
            ("oci-chunk-max-length", "1"),
            ("oci-subject", "sha256:abc"),
            ("link", "<>; rel=\"next\""),
            ("link", "</v2/app/tags/list?n=1&last=a>; rel=\"next\""),
            ("retry-after", "0"),
        ];
        const NEEDED: [&str; 4] = ["docker-content-digest", "location", "content-type", "range"];
        match dice.below(4) {
            0 => {
                let name = *dice.of(&NEEDED);
                Act::alter(move |reply| reply.without_header(name))
            }
            1 if asked.method != "GET" => {
                let location = self.location(dice, asked).unwrap_or_default();
                Act::alter(move |reply| reply.header("location", &location))
            }
            _ => {
                let (name, value) = *dice.of(&WRONG);
                Act::alter(move |reply| reply.header(name, value))
            }
        }
    }

    /// Returns the response of a token server.
    pub fn token_act(&self, asked: &Asked) -> Option<Act> {
        let mut dice = Dice::about(self.seed, &format!("{} token {}", self.name, asked.query_text));
        if !dice.percent(self.share) {
            return None;
        }
        let body = match dice.below(12) {
            0 => r#"{"token":"","access_token":""}"#,
            1 => r#"{"token":null}"#,
            2 => r#"{"token":7,"expires_in":"300"}"#,
            3 => "{}",
            4 => "null",
            5 => r#"{"token":"wrong","expires_in":"300"}"#,
            6 => r#"{"token":"wrong","expires_in":-1e300}"#,
            7 => r#"{"token":"line\nbreak"}"#,
            8 => return Some(Act::Answer(Reply::error(400, "DENIED", "one scope at a time"))),
            9 => return Some(Act::Answer(Reply::error(403, "DENIED", "one scope at a time"))),
            // The usual kinds of hostility.
            _ => return Some(self.act(asked)),
        };
        Some(Act::Answer(Reply::status(200).header("content-type", "application/json").body(body)))
    }
}

fn truncated(dice: &mut Dice) -> Act {
    let (share, how) = (dice.below(100), dice.below(3));
    Act::alter(move |reply| {
        let at = reply.body.len() * share / 100;
        match how {
            0 => reply.cut_at(at),
            1 => {
                let part = reply.body.slice(..at);
                reply.body(part)
            }
            _ => reply.body(""),
        }
    })
}

fn wrong_length(dice: &mut Dice) -> Act {
    let how = dice.below(5);
    Act::alter(move |reply| {
        let length = reply.body.len() as u64;
        match how {
            0 => reply.claim_length(length + 1),
            1 => reply.claim_length(length / 2),
            2 => reply.claim_length(u64::MAX / 2),
            3 => reply.claim_length(0),
            _ => reply.header("transfer-encoding", "chunked"),
        }
    })
}

fn no_answer(dice: &mut Dice) -> Act {
    match dice.below(6) {
        0 => Act::HangUp,
        1 => Act::HangUpAfter(dice.below(300)),
        2 => Act::ServeAndHangUp,
        3 => Act::alter(|reply| reply.cut_at(0)),
        4 => Act::Stall,
        _ => Act::alter(|reply| {
            let half = reply.body.len() / 2;
            reply.stall_at(half)
        }),
    }
}

/// Changes one byte. Without a digest this cannot be detected.
fn changed(dice: &mut Dice) -> Act {
    let place = dice.below(1 << 20);
    Act::alter(move |reply| {
        if reply.body.is_empty() || !told_by_digest(reply.status, &reply.headers) {
            return reply;
        }
        let mut body = reply.body.to_vec();
        let place = place % body.len();
        body[place] ^= 1;
        reply.body(body)
    })
}

fn told_by_digest(status: StatusCode, headers: &HeaderMap) -> bool {
    !status.is_success() || headers.contains_key("docker-content-digest")
}

fn kind(asked: &Asked) -> &'static str {
    match asked.kind {
        Kind::Ping => "ping",
        Kind::Token => "token",
        Kind::Manifest { .. } => "manifest",
        Kind::Blob { .. } => "blob",
        Kind::StartUpload { .. } if asked.query.contains_key("mount") => "mount",
        Kind::StartUpload { .. } => "start",
        Kind::Upload { .. } => "upload",
        Kind::Tags { .. } => "tags",
        Kind::Referrers { .. } => "referrers",
        Kind::Catalog => "catalog",
        Kind::Other => "other",
    }
}

/// Returns what a request is about, without random parts such as the names of sessions.
fn object(asked: &Asked) -> String {
    let about = |name: &str| asked.query.get(name).cloned().unwrap_or_default();
    let last = match &asked.kind {
        Kind::Manifest { reference, .. } => reference.clone(),
        Kind::Blob { digest, .. } | Kind::Referrers { digest, .. } => digest.clone(),
        Kind::StartUpload { .. } => about("mount"),
        Kind::Upload { .. } => about("digest"),
        _ => String::new(),
    };
    format!("{} {last}", asked.kind.repository().unwrap_or_default())
}
