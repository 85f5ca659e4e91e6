//! Programs that reap already, or insist on being PID 1: an image that starts one is not wrapped.

/// Known inits: the program's file name, and what it is. Shells, supervisord and language launchers do
/// not belong here: they leave orphans behind.
///
/// A change of this table changes what wrap does: raise [`VERSION`] with it.
const BY_NAME: [(&str, &str); 26] = [
    ("tini", "tini"),
    ("tini-static", "tini"),
    ("tini-amd64", "tini"),
    ("tini-arm64", "tini"),
    ("tini-static-amd64", "tini"),
    ("tini-static-arm64", "tini"),
    ("docker-init", "Docker's init, tini"),
    ("podman-init", "podman's init, catatonit"),
    ("catatonit", "catatonit"),
    ("dumb-init", "dumb-init"),
    ("s6-svscan", "s6"),
    ("s6-overlay-suexec", "s6-overlay"),
    ("s6-linux-init", "s6"),
    ("systemd", "systemd"),
    ("init", "an init system"),
    ("runit", "runit"),
    ("runit-init", "runit"),
    ("runsvdir", "runit"),
    ("dinit", "dinit"),
    ("my_init", "my_init of phusion/baseimage"),
    ("pid1", "pid1"),
    ("pid1-exe", "pid1"),
    ("tino", "tino"),
    ("go-init", "go-init"),
    ("openrc-init", "OpenRC"),
    ("pause", "the Kubernetes pause program"),
];

/// The version of the table; part of the recipe.
pub const VERSION: u32 = 1;

/// The init that a command line starts, if it is a known one.
pub fn known_init(argv: &[String]) -> Option<&'static str> {
    let program = argv.first()?;
    let name = program.rsplit('/').next().unwrap_or(program);
    if program == "/init" {
        return Some("s6-overlay or another init at /init");
    }
    BY_NAME.iter().find(|(known, _)| *known == name).map(|(_, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inits_are_known_by_the_name_of_their_program() {
        let known = |s: &str| known_init(&s.split(' ').map(String::from).collect::<Vec<_>>());
        for init in [
            "tini -- x",
            "/sbin/tini -g -- x",
            "/usr/bin/dumb-init x",
            "/init",
            "/lib/systemd/systemd",
            "/sbin/init",
        ] {
            assert!(known(init).is_some(), "{init}");
        }
        for other in ["sh -c tini", "/usr/bin/supervisord -n", "python3 init.py", "/opt/tini/run", "", "node"]
        {
            assert!(known(other).is_none(), "{other}");
        }
    }
}
