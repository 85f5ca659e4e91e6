//! Images for tests: standard programs, and scripts that are added.

use reapify::inspect::{FileFacts, Files, Found, Mark, Marks};
use std::collections::{BTreeMap, BTreeSet};

const PROGRAMS: &[&str] = &[
    "tini",
    "dumb-init",
    "gosu",
    "su-exec",
    "env",
    "nice",
    "setpriv",
    "chroot",
    "stdbuf",
    "timeout",
    "runuser",
    "su",
    "numactl",
    "nginx",
    "httpd",
    "apache2",
    "php-fpm",
    "postgres",
    "mysqld",
    "mariadbd",
    "redis-server",
    "memcached",
    "mongod",
    "haproxy",
    "varnishd",
    "java",
    "node",
    "python",
    "python3",
    "ruby",
    "perl",
    "sleep",
    "tail",
    "cat",
    "cron",
    "sshd",
    "erl",
    "uwsgi",
    "catatonit",
    "nohup",
    "ionice",
    "su-exec",
    "dotnet",
    "php",
    "flock",
    "s6-setuidgid",
    "chpst",
    "slapd",
    "setsid",
    "dnsmasq",
];

const GO: &[&str] = &[
    "vault",
    "consul",
    "traefik",
    "minio",
    "influxd",
    "grafana",
    "etcd",
    "caddy",
    "prometheus",
    "server-go",
];

const PYTHON: &[&str] = &["gunicorn", "supervisord", "celery", "airflow", "uvicorn", "flask"];

const NODE: &[&str] = &["npm", "yarn", "pnpm"];

const RUBY: &[&str] = &["bundle", "puma", "rails"];

/// An image whose files are read on demand.
pub struct Image {
    files: BTreeMap<String, FileFacts>,
    read: BTreeSet<String>,
}

impl Image {
    /// Creates an image in which `/bin/sh` is this shell.
    pub fn new(shell: &str) -> Self {
        let mut image = Image { files: BTreeMap::new(), read: BTreeSet::new() };
        let mut marks = Marks::default();
        match shell {
            "ash" => {
                marks.insert(Mark::BusyBox);
                image.add("/bin/sh", "/bin/busybox", b"\x7fELF", marks);
                image.add("/bin/ash", "/bin/busybox", b"\x7fELF", marks);
                image.add("/bin/busybox", "/bin/busybox", b"\x7fELF", marks);
                image.add("/bin/timeout", "/bin/busybox", b"\x7fELF", marks);
            }
            "bash" => image.add("/bin/sh", "/usr/bin/bash", b"\x7fELF", marks),
            other => image.add("/bin/sh", &format!("/usr/bin/{other}"), b"\x7fELF", marks),
        }
        let mut bash = Marks::default();
        bash.insert(Mark::Bash);
        for path in ["/bin/bash", "/usr/bin/bash"] {
            image.add(path, "/usr/bin/bash", b"\x7fELF", bash);
        }
        let mut go = Marks::default();
        go.insert(Mark::Go);
        for name in PROGRAMS {
            let path = format!("/usr/bin/{name}");
            let real = if *name == "python3" { "/usr/bin/python3.11".to_string() } else { path.clone() };
            image.add(&path, &real, b"\x7fELF", Marks::default());
        }
        for (names, interpreter) in [(PYTHON, "python3"), (NODE, "env node"), (RUBY, "env ruby")] {
            for name in names {
                let path = format!("/usr/bin/{name}");
                image.add(&path, &path, format!("#!/usr/bin/{interpreter}\n").as_bytes(), Marks::default());
            }
        }
        for name in GO {
            let path = format!("/usr/bin/{name}");
            image.add(&path, &path, b"\x7fELF", go);
        }
        image
    }

    fn add(&mut self, path: &str, real: &str, head: &[u8], marks: Marks) {
        let file = FileFacts {
            path: real.into(),
            layer: Some(0),
            is_executable: true,
            size: head.len() as u64,
            is_read: true,
            head: head.into(),
            marks,
        };
        self.files.insert(path.into(), file);
    }

    /// Adds a script; an empty text adds nothing.
    pub fn add_script(&mut self, path: &str, text: &str) {
        if text.trim() == "ELF" {
            self.add(path, path, b"\x7fELF", Marks::default());
        } else if !text.is_empty() {
            self.add(path, path, text.as_bytes(), Marks::default());
        }
    }

    /// Reads these paths from the layers.
    pub fn read(&mut self, paths: Vec<String>) {
        self.read.extend(paths);
    }
}

impl Files for Image {
    fn find(&self, path: &str) -> Found {
        if !self.read.contains(path) {
            return Found::Unread;
        }
        match self.files.get(path) {
            Some(file) => Found::File(file.clone()),
            None if self.files.keys().any(|file| file.starts_with(&format!("{path}/"))) => Found::Directory,
            None => Found::Absent,
        }
    }
}
