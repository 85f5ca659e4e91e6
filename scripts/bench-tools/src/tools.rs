//! The commands with which each tool does the same job: append a layer with the reaper, and change the entrypoint.

use crate::images::{PLATFORMS, tar_of};
use crate::place::{Place, remove};
use std::fs;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The common environment of the tools: a directory with
/// - `bin/reapify`, the program, and `bin/beside`, another build of it;
/// - `reaper` and `layer.tar`, the content to add;
/// - `storage`, `tmp`, `home`, the state of the tools, which is removed before each run.
pub struct Kit {
    pub place: Place,
    docker: Option<Place>,
}

/// The source and the destination.
pub struct Job {
    pub source: String,
    pub target: String,
    pub platforms: usize,
    /// Additional options for reapify.
    pub options: String,
}

/// A tool.
pub struct Tool {
    pub name: &'static str,
    needs: &'static [&'static str],
    /// Whether it supports more than one platform.
    pub takes_indexes: bool,
    /// Whether it only copies the image unchanged.
    pub only_moves: bool,
    /// The command lines, whose arguments contain no spaces.
    steps: fn(&str, &Job) -> Vec<String>,
}

const ENTRYPOINT: &str = r#"["/.reaper","--","/bin/app"]"#;

pub const TOOLS: [Tool; 9] = [
    Tool { name: "reapify", needs: &[], takes_indexes: true, only_moves: false, steps: reapify },
    Tool { name: "beside", needs: &[], takes_indexes: true, only_moves: false, steps: beside },
    Tool { name: "crane", needs: &["crane"], takes_indexes: true, only_moves: false, steps: crane },
    Tool { name: "regctl", needs: &["regctl"], takes_indexes: true, only_moves: false, steps: regctl },
    Tool {
        name: "skopeo+umoci",
        needs: &["skopeo", "umoci"],
        takes_indexes: false,
        only_moves: false,
        steps: skopeo_umoci,
    },
    Tool { name: "buildah", needs: &["buildah"], takes_indexes: false, only_moves: false, steps: buildah },
    Tool { name: "podman", needs: &["podman"], takes_indexes: true, only_moves: false, steps: podman },
    Tool {
        name: "docker",
        needs: &["docker", "dockerd"],
        takes_indexes: false,
        only_moves: false,
        steps: docker,
    },
    Tool { name: "skopeo copy", needs: &["skopeo"], takes_indexes: true, only_moves: true, steps: skopeo },
];

fn reapify(dir: &str, job: &Job) -> Vec<String> {
    vec![format!("{dir}/bin/reapify wrap --quiet{} {} {}", job.options, job.source, job.target)]
}

fn beside(dir: &str, job: &Job) -> Vec<String> {
    vec![format!("{dir}/bin/beside wrap --quiet{} {} {}", job.options, job.source, job.target)]
}

fn crane(dir: &str, Job { source, target, platforms, .. }: &Job) -> Vec<String> {
    let mutate = |platform: &str, target: &str| {
        [
            format!("crane config --insecure --platform {platform} {source}"),
            format!(
                "crane mutate --insecure --platform {platform} --append {dir}/layer.tar --entrypoint /.reaper,--,/bin/app --tag {target} {source}"
            ),
        ]
    };
    if *platforms == 1 {
        return mutate(PLATFORMS[0], target).into();
    }
    let parts: Vec<String> = (0..*platforms).map(|i| format!("{target}-{i}")).collect();
    let images = PLATFORMS.iter().zip(&parts).flat_map(|(platform, part)| mutate(platform, part));
    let list: String = parts.iter().map(|part| format!(" --manifest {part}")).collect();
    images.chain([format!("crane index append --insecure --tag {target}{list}")]).collect()
}

fn regctl(dir: &str, Job { source, target, .. }: &Job) -> Vec<String> {
    let hosts = [source, target].map(|name| name.split('/').next().unwrap_or_default());
    let hosts = hosts.map(|host| format!("--host reg={host},tls=disabled"));
    let hosts = hosts.join(" ");
    vec![
        format!("regctl {hosts} image config --platform linux/amd64 {source}"),
        format!(
            "regctl {hosts} image mod {source} --create {target} --layer-add tar={dir}/layer.tar --config-entrypoint {ENTRYPOINT}"
        ),
    ]
}

fn skopeo_umoci(dir: &str, Job { source, target, .. }: &Job) -> Vec<String> {
    let image = format!("{dir}/storage/image:1");
    vec![
        format!("skopeo copy --quiet --src-tls-verify=false docker://{source} oci:{image}"),
        format!("umoci raw add-layer --image {image} {dir}/layer.tar"),
        format!(
            "umoci config --image {image} --config.entrypoint /.reaper --config.entrypoint -- --config.entrypoint /bin/app"
        ),
        format!("skopeo copy --quiet --dest-tls-verify=false oci:{image} docker://{target}"),
    ]
}

fn skopeo(_: &str, Job { source, target, .. }: &Job) -> Vec<String> {
    vec![format!(
        "skopeo copy --quiet --all --src-tls-verify=false --dest-tls-verify=false docker://{source} docker://{target}"
    )]
}

fn buildah(dir: &str, Job { source, target, .. }: &Job) -> Vec<String> {
    let buildah = format!("buildah --root {dir}/storage/root --runroot {dir}/storage/run");
    vec![
        format!("{buildah} from --quiet --tls-verify=false --name work docker://{source}"),
        format!("{buildah} copy --quiet --chmod 755 work {dir}/reaper /.reaper"),
        format!("{buildah} config --entrypoint {ENTRYPOINT} work"),
        format!("{buildah} commit --quiet --tls-verify=false --rm work docker://{target}"),
    ]
}

fn podman(dir: &str, Job { target, platforms, .. }: &Job) -> Vec<String> {
    let podman =
        format!("podman --root {dir}/storage/root --runroot {dir}/storage/run --tmpdir {dir}/storage/tmp");
    let build = format!("{podman} build --quiet --pull-always --tls-verify=false --network none");
    match platforms {
        1 => vec![
            format!("{build} --tag work --file {dir}/storage/Containerfile {dir}"),
            format!("{podman} push --quiet --tls-verify=false work docker://{target}"),
        ],
        n => vec![
            format!(
                "{build} --platform {} --manifest work --file {dir}/storage/Containerfile {dir}",
                PLATFORMS[..*n].join(",")
            ),
            format!("{podman} manifest push --quiet --all --tls-verify=false work docker://{target}"),
        ],
    }
}

fn docker(dir: &str, Job { target, .. }: &Job) -> Vec<String> {
    let docker = format!("docker --host unix://{dir}-docker/socket");
    vec![
        format!("{docker} build --quiet --pull --tag {target} --file {dir}/storage/Containerfile {dir}"),
        format!("{docker} push --quiet {target}"),
    ]
}

impl Tool {
    pub fn is_installed(&self) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        self.needs.iter().all(|program| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
    }
}

impl Kit {
    pub fn new(reapify: &Path, beside: Option<&Path>, reaper: &Path) -> Result<Self> {
        let place = Place::new("kit", |dir| {
            for name in ["bin", "storage", "tmp", "home"] {
                fs::create_dir(dir.join(name))?;
            }
            std::os::unix::fs::symlink(fs::canonicalize(reapify)?, dir.join("bin/reapify"))?;
            if let Some(beside) = beside {
                std::os::unix::fs::symlink(fs::canonicalize(beside)?, dir.join("bin/beside"))?;
            }
            let content = fs::read(reaper)?;
            fs::write(dir.join("layer.tar"), tar_of(".reaper", "0000755", &content))?;
            fs::write(dir.join("reaper"), content)?;
            fs::write(dir.join(".dockerignore"), "*\n!reaper\n")?;
            // Debian's limits are higher than some machines allow.
            let conf = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\"]\n[engine]\nruntime = \"runc\"\n\
                        cgroup_manager = \"cgroupfs\"\nevents_logger = \"none\"\n";
            fs::write(dir.join("containers.conf"), conf)?;
            Ok(Vec::new())
        })?;
        Ok(Kit { place, docker: None })
    }

    fn dir(&self) -> String {
        self.place.dir.display().to_string()
    }

    /// Removes the state of earlier runs, and starts what the tool needs.
    pub fn prepare(&mut self, tool: &Tool, job: &Job) -> Result<()> {
        for name in ["storage", "tmp", "home"] {
            remove(&self.place.dir.join(name))?;
            fs::create_dir(self.place.dir.join(name))?;
        }
        fs::write(self.place.dir.join("home/config.json"), "{}")?;
        let text = format!("FROM {}\nCOPY reaper /.reaper\nENTRYPOINT {ENTRYPOINT}\n", job.source);
        fs::write(self.place.dir.join("storage/Containerfile"), text)?;
        if tool.name == "docker" {
            // A new engine is started each time, so that no cache survives.
            self.docker = None;
            self.docker = Some(self.engine()?);
        }
        Ok(())
    }

    fn engine(&self) -> Result<Place> {
        let dir = format!("{}-docker", self.dir());
        let options =
            "--bridge=none --iptables=false --ip6tables=false --shutdown-timeout=1 --log-level=error";
        let command = format!(
            "dockerd {options} --data-root {dir}/data --exec-root {dir}/exec --pidfile {dir}/pid --host unix://{dir}/socket"
        );
        let place = Place::new("kit-docker", |_| Ok(command.split(' ').map(String::from).collect()))?;
        place.ready("dockerd", || {
            let version =
                self.command("docker").args(["--host", &format!("unix://{dir}/socket"), "version"]).output();
            version.is_ok_and(|v| v.status.success())
        })?;
        Ok(place)
    }

    /// Returns the pid of the engine, if the tool has one.
    pub fn daemon(&self, tool: &Tool) -> Option<u32> {
        let place = self.docker.as_ref().filter(|_| tool.name == "docker")?;
        fs::read_to_string(place.dir.join("pid")).ok()?.trim().parse().ok()
    }

    /// Returns the command to run.
    pub fn steps(&self, tool: &Tool, job: &Job) -> Vec<Command> {
        let lines = (tool.steps)(&self.dir(), job);
        let measured = |(i, line): (usize, String)| {
            let mut command = self.command(&self.measure().display().to_string());
            command.arg(self.cost(i)).args(line.split(' '));
            command
        };
        lines.into_iter().enumerate().map(measured).collect()
    }

    /// Returns the file for a step's cost.
    pub fn cost(&self, step: usize) -> PathBuf {
        self.place.dir.join(format!("tmp/cost-{step}"))
    }

    fn measure(&self) -> PathBuf {
        std::env::current_exe().unwrap_or_default().with_file_name("measure")
    }

    /// Returns a command without the user's environment.
    fn command(&self, program: &str) -> Command {
        let dir = &self.place.dir;
        let mut command = Command::new(program);
        command
            .env("HOME", dir.join("home"))
            .env("XDG_RUNTIME_DIR", dir.join("home"))
            .env("TMPDIR", dir.join("tmp"))
            .env("CONTAINERS_CONF", dir.join("containers.conf"))
            .env("DOCKER_CONFIG", dir.join("home"))
            .env("DOCKER_BUILDKIT", "0")
            .env_remove("REGISTRY_AUTH_FILE")
            .stdin(Stdio::null());
        command
    }
}
