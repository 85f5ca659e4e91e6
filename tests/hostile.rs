//! Registries and token servers with random hostile behaviour at every request. Whatever they do, a run ends, secrets
//! are not sent elsewhere, and a tag refers to the old image or the new one. A failure prints its seed;
//! `scripts/fuzz-registry` tries many.

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use support::at_once;
use support::dice::{Dice, seeds};
use support::hostile::Hostile;
use support::image::{CONFIG, Family, Image, file};
use support::registry::{Act, Auth, Bearer, Kind, Registry, Reply};
use support::run::{Outcome, Run, reapify};
use support::secrets::Secret;

/// The time limit for a run on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// The images to be wrapped, and their results without hostile behaviour.
struct Prepared {
    /// The registry with `image`, `index` and `old`, and the first two wrapped; all tagged `v1`.
    registry: Registry,
    digests: [(String, String); 2],
}

const SHAPES: [&str; 2] = ["image", "index"];

fn prepared() -> &'static Prepared {
    static PREPARED: OnceLock<Prepared> = OnceLock::new();
    PREPARED.get_or_init(|| {
        let registry = Registry::start();
        registry.set(|settings| settings.checks_references = false);
        Image::small().in_registry(&registry, "old", "v1");
        let images = ["amd64", "arm64"].map(|machine| {
            let image = Image::new().layer(&[file("base", b"base")]).layer(&[file("app", machine.as_bytes())]);
            image.config(&CONFIG.replace("amd64", machine))
        });
        images[0].in_registry(&registry, "image", "v1");
        images.iter().for_each(|image| drop(image.in_registry(&registry, "index", "child")));
        let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": images.each_ref().map(Image::descriptor)});
        registry.put_manifest("index", "v1", Family::Oci.index(), index.to_string().as_bytes());
        let digests = SHAPES.map(|shape| {
            let to = registry.name(&format!("{shape}-wrapped"), "v1");
            let wrapped = reapify(["wrap", &registry.name(shape, "v1"), &to]).run().succeeds().digest();
            (registry.complete(shape, "v1"), wrapped)
        });
        Prepared { registry, digests }
    })
}

/// The login at one registry, and how that registry authenticates it.
struct Side {
    user: String,
    password: Secret,
    /// The secret suffix of `token-1-of-USER`.
    tokens: Secret,
    identity: bool,
    auth: Auth,
    /// A token server on another port, if the registry names one.
    keeper: Option<Registry>,
}

impl Side {
    fn new(dice: &mut Dice, name: &str) -> Self {
        let user = format!("{name}-user");
        let password = Secret::new(&format!("{name}-passw0rd-{}", dice.below(1 << 30)));
        let tokens = Secret::new(&format!("-of-{user}"));
        let how = dice.below(4);
        let identity = how >= 2 && dice.percent(30);
        let keeper = (how == 3).then(Registry::start);
        let auth = match how {
            0 => Auth::None,
            1 => Auth::Basic { user: user.clone(), password: password.text.clone() },
            _ => Auth::Bearer(Bearer {
                identity_token: identity.then(|| password.text.clone()),
                realm: keeper.as_ref().map(|keeper| format!("http://{}/token", keeper.host())),
                says_access_token: dice.percent(20),
                uses: *dice.of(&[1, 3, usize::MAX, usize::MAX]),
                ..Bearer::new(&user, &password.text)
            }),
        };
        Self { user, password, tokens, identity, auth, keeper }
    }

    /// Returns the host's entry in a Docker credential file.
    fn entry(&self, host: &str) -> (String, Value) {
        use base64::Engine as _;
        let auth = format!("{}:{}", self.user, if self.identity { "" } else { &self.password.text });
        let mut entry = json!({"auth": base64::engine::general_purpose::STANDARD.encode(auth)});
        if self.identity {
            entry["identitytoken"] = self.password.text.clone().into();
        }
        (host.to_owned(), entry)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Wrap,
    Unwrap,
    Inspect,
    Verify,
}

/// The state of one run.
struct World {
    dice: Dice,
    task: Task,
    provenance: bool,
    retries: usize,
    /// The registry of the source, and that of the destination if it differs.
    source: Registry,
    destination: Option<Registry>,
    stranger: Registry,
    sides: Vec<Side>,
    repository: &'static str,
    old: Option<String>,
    new: String,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::about(seed, "world");
        let dice = &mut dice;
        let shape = dice.below(2);
        let task = *dice.of(&[Task::Wrap, Task::Wrap, Task::Wrap, Task::Unwrap, Task::Inspect, Task::Verify]);
        let task = if dice.percent(50) { Task::Wrap } else { task };
        let (source, destination) = (Registry::start(), dice.percent(60).then(Registry::start));
        let (plain, wrapped) = (SHAPES[shape].to_owned(), format!("{}-wrapped", SHAPES[shape]));
        let digests = prepared().digests[shape].clone();
        let (from, to) = if task == Task::Wrap { (&plain, &wrapped) } else { (&wrapped, &plain) };
        let new = if task == Task::Wrap { digests.1 } else { digests.0 };
        source.adopt(&prepared().registry, from, "app");
        let target = destination.as_ref().unwrap_or(&source);
        let repository = if destination.is_none() && dice.percent(40) { "app" } else { "copy" };
        if repository == "copy" || task == Task::Verify {
            match dice.below(4) {
                _ if task == Task::Verify => target.adopt(&prepared().registry, to, "copy"),
                0 => {}
                1 => target.adopt(&prepared().registry, to, "copy"),
                _ => target.adopt(&prepared().registry, "old", "copy"),
            }
        }
        let old = target.manifest(repository, "v1").map(|stored| stored.digest);
        let many = if destination.is_some() { 2 } else { 1 };
        let sides = ["src", "dst"][..many].iter().map(|name| Side::new(dice, name)).collect();
        let stranger = Registry::start();
        stranger.adopt(&prepared().registry, from, "app");
        let (provenance, retries) = (task == Task::Wrap && dice.percent(15), dice.below(3));
        let dice = Dice::about(seed, "options");
        let world = Self {
            dice,
            task,
            provenance,
            retries,
            source,
            destination,
            stranger,
            sides,
            repository,
            old,
            new,
        };
        world.turn_hostile(seed);
        world
    }

    fn target(&self) -> &Registry {
        self.destination.as_ref().unwrap_or(&self.source)
    }

    fn registries(&self) -> impl Iterator<Item = (&Registry, &Side)> {
        [Some(&self.source), self.destination.as_ref()].into_iter().flatten().zip(&self.sides)
    }

    fn turn_hostile(&self, seed: u64) {
        let mut dice = Dice::about(seed, "mood");
        let lies = dice.percent(50);
        let share = *dice.of(&[2, 5, 10, 20, 40]);
        let quiet = [dice.percent(15), dice.percent(15)];
        for (n, (registry, side)) in self.registries().enumerate() {
            let (mounts, api, digests) = (dice.percent(80), dice.percent(50), dice.percent(80));
            registry.set(|settings| {
                settings.auth = side.auth.clone();
                (settings.mounts, settings.referrers, settings.content_digest) = (mounts, api, digests);
                // If HEAD requests for blobs are answered wrongly, only the registry itself can detect missing ones.
                settings.checks_references = true;
            });
            let is_target = std::ptr::eq(registry, self.target());
            let keepers = side.keeper.iter().map(|keeper| format!("http://{}/token", keeper.host()));
            let mut others = vec![self.stranger.host()];
            others.extend(self.registries().map(|(other, _)| other.host()).filter(|h| *h != registry.host()));
            let hostile = |name, share| Hostile {
                seed,
                name,
                share,
                own: registry.host(),
                others: others.clone(),
                realms: keepers.clone().chain([format!("http://{}/token", registry.host())]).collect(),
                lies,
                asked: Mutex::default(),
            };
            let here = hostile(["source", "destination"][n], if quiet[n] { 0 } else { share });
            registry.hook(move |asked| match &asked.kind {
                // Do not store what a redirect sent here, because it would appear to have arrived.
                _ if !is_target && !asked.is_read() && asked.kind != Kind::Token && !lies => refused(),
                _ if !is_target && asked.writes_manifest() => refused(),
                Kind::Token => here.token_act(asked).unwrap_or(Act::Serve),
                _ => here.act(asked),
            });
            if let Some(keeper) = &side.keeper {
                let there = hostile(["keeper of source", "keeper of destination"][n], share / 2);
                let give = registry.give_token();
                keeper.hook(move |asked| match there.token_act(asked) {
                    Some(Act::Serve) | None => give(asked),
                    Some(act) => act,
                });
            }
        }
        self.estrange(seed, lies);
    }

    /// Sets up the stranger: it serves the source's blobs, collects passwords, and stores nothing.
    fn estrange(&self, seed: u64, lies: bool) {
        let own = self.stranger.host();
        let hostile = Hostile {
            seed,
            name: "stranger",
            share: 60,
            others: self.registries().map(|(registry, _)| registry.host()).collect(),
            realms: vec![format!("http://{own}/token"), format!("http://{own}/collect")],
            own,
            lies,
            asked: Mutex::default(),
        };
        self.stranger.hook(move |asked| match &asked.kind {
            _ if asked.writes_manifest() || (!asked.is_read() && !lies) => refused(),
            _ => match hostile.act(asked) {
                Act::Serve if matches!(asked.kind, Kind::Token | Kind::Other) => {
                    Act::Answer(Reply::status(200).body(r#"{"token":"of-the-stranger","expires_in":300}"#))
                }
                act => act,
            },
        });
    }

    fn command(&mut self) -> Run {
        let (from, to) = (self.source.name("app", "v1"), self.target().name(self.repository, "v1"));
        let run = match self.task {
            Task::Wrap => reapify(["wrap", &from, &to]),
            Task::Unwrap => reapify(["unwrap", &from, &to]),
            Task::Inspect => reapify(["inspect", &from]),
            Task::Verify => reapify(["verify", &from, "--source", &self.target().name("copy", "v1")]),
        };
        let run = run.within(DEADLINE).args(["--output", "json", "--retries", &self.retries.to_string()]);
        let run = run.args(["--timeout", "1", "--commit-timeout", "1"]);
        let run = if self.provenance { run.arg("--provenance") } else { run };
        let dice = &mut self.dice;
        let run = if dice.percent(30) { run.arg("-vvv") } else { run };
        let run = run.args(["--jobs", *dice.of(&["1", "2", "8", "128"])]);
        let run = match dice.below(6) {
            0 => run.args(["--upload", "patch"]),
            1 => run.args(["--upload", "chunks:1"]),
            _ => run,
        };
        let named = dice.percent(50);
        let hosts: Vec<(String, &Side)> = self.registries().map(|(r, side)| (r.host(), side)).collect();
        // Identity tokens come only from files. With two sides of which one writes, so do the other side's
        // credentials.
        let writes = matches!(self.task, Task::Wrap | Task::Unwrap);
        if named && writes && !self.sides.iter().any(|side| side.identity) {
            let creds = |side: &Side| format!("{}:{}", side.user, side.password.text);
            let last = &self.sides[self.sides.len() - 1];
            return run.args(["--src-creds", &creds(&self.sides[0]), "--dest-creds", &creds(last)]);
        }
        let auths: serde_json::Map<String, Value> =
            hosts.iter().map(|(host, side)| side.entry(host)).collect();
        run.home_file(".docker/config.json", &json!({"auths": auths}).to_string())
    }

    /// Checks what must hold in every run.
    fn judge(&self, outcome: &Outcome) {
        let target = self.target();
        let found = target.manifest(self.repository, "v1").map(|_| target.complete(self.repository, "v1"));
        let is_new = found.as_ref() == Some(&self.new);
        let code = outcome.code();
        assert!([0, 3, 4, 5, 6, 7].contains(&code), "exit {code}");
        assert!(!outcome.stderr.contains("panicked"), "it panicked");
        let reads = matches!(self.task, Task::Inspect | Task::Verify);
        assert!(found == self.old || (is_new && !reads), "the tag is {found:?}: neither old nor new");
        let report: Option<Value> = serde_json::from_slice(&outcome.stdout).ok();
        if code == 0 {
            let report = report.expect("a JSON object on standard output");
            if !reads {
                assert_eq!(report["digest"], *self.new, "the digest that it prints");
                assert!(is_new, "the tag is {found:?} after exit 0");
            }
        } else if self.provenance && !outcome.stdout.is_empty() {
            assert_eq!(report.map(|report| report["digest"].clone()), Some(self.new.clone().into()));
            assert!(is_new, "the tag is {found:?}, and the result was printed");
        } else if self.task != Task::Verify {
            assert!(outcome.stdout.is_empty(), "a result, and exit {code}");
        }
        if code != 0 {
            let is_error = |line: &&str| line.starts_with("error: ") || line.starts_with("{\"error\":");
            let errors = outcome.stderr.lines().filter(is_error).count();
            assert_eq!(errors, 1, "lines that begin with error:");
        }
        self.no_secret_went_astray(outcome);
    }

    /// Returns every server of this run with its role.
    fn servers(&self) -> Vec<(&'static str, &Registry)> {
        let keepers = self.sides.iter().filter_map(|side| side.keeper.as_ref());
        let keepers = keepers.map(|keeper| ("a token server", keeper));
        let named = ["the source", "the destination"].into_iter();
        let registries = named.zip(self.registries().map(|(registry, _)| registry));
        registries.chain(keepers).chain([("the stranger", &self.stranger)]).collect()
    }

    fn logs(&self) -> String {
        self.servers().iter().map(|(name, server)| format!("{name}: {:#?}\n", server.log().lines())).collect()
    }

    fn no_secret_went_astray(&self, outcome: &Outcome) {
        let said = format!("{}{}", outcome.text(), outcome.stderr);
        for (home, side) in self.registries() {
            assert!(
                !side.password.is_in(&said) && !side.tokens.is_in(&said),
                "it prints a secret of {}",
                side.user
            );
            for (name, server) in self.servers() {
                let is = |other: Option<&Registry>| other.is_some_and(|other| std::ptr::eq(other, server));
                let for_tokens = is(Some(home));
                let for_passwords = for_tokens || is(side.keeper.as_ref());
                let told = |what: &str, secret: &Secret| {
                    assert!(!secret.was_told_to(server), "{what} of {} to {name}", side.user);
                };
                if !for_passwords {
                    told("password", &side.password);
                }
                if !for_tokens {
                    told("token", &side.tokens);
                }
            }
        }
        // The same server under another name is another origin.
        for (name, server) in self.servers() {
            for entry in server.log().entries {
                let host = entry.asked.header("host");
                let is_clean = entry.asked.header("authorization").is_empty() || host == server.host();
                assert!(is_clean, "authorization for {host} to {name}: {}", entry.line());
            }
        }
    }
}

fn refused() -> Act {
    Act::Answer(Reply::error(403, "DENIED", "nothing is kept here"))
}

/// Returns the exit code, or a description of the violation.
fn try_one(seed: u64) -> Result<i32, String> {
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed);
        let judged = catch_unwind(AssertUnwindSafe(|| {
            let outcome = world.command().run();
            let judged = catch_unwind(AssertUnwindSafe(|| world.judge(&outcome)));
            judged.map(|()| outcome.code()).map_err(|panic| format!("{}\n{outcome}", text_of(&*panic)))
        }));
        let judged = judged.unwrap_or_else(|panic| Err(text_of(&*panic)));
        judged.map_err(|what| format!("{what}\n{}", world.logs()))
    }));
    tried.unwrap_or_else(|panic| Err(text_of(&*panic)))
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn hostile_registries_cause_no_hangs_leaks_or_broken_tags() {
    let (failures, codes) = (Mutex::new(BTreeMap::new()), Mutex::new(BTreeMap::new()));
    prepared();
    at_once(20, seeds(300), |seed| match try_one(seed) {
        Ok(code) => *codes.lock().expect("counting does not panic").entry(code).or_insert(0) += 1,
        Err(what) => drop(failures.lock().expect("inserting does not panic").insert(seed, what)),
    });
    let failures = failures.into_inner().expect("inserting does not panic");
    println!("exit codes: {:?}", codes.into_inner().expect("counting does not panic"));
    for (seed, what) in &failures {
        println!("---- SEEDS={seed}-{seed}\n{what}");
    }
    assert!(failures.is_empty(), "seeds {:?}", failures.keys());
}

#[test]
fn one_job_suffices_to_copy_within_a_registry_without_mounts() {
    let image = (0..6).fold(Image::new(), |image, n| image.layer(&[file("app", &[n; 50_000])]));
    for jobs in ["1", "2", "3", "7", "128"] {
        let registry = Registry::start();
        registry.set(|settings| settings.mounts = false);
        let from = image.in_registry(&registry, "app", "v1");
        let to = registry.name("copy", "v1");
        // Each upload reads from the registry that it writes to, and all are ready at the same time.
        reapify(["wrap", "--jobs", jobs, &from, &to]).within(DEADLINE / 2).run().succeeds();
        registry.complete("copy", "v1");
    }
}
