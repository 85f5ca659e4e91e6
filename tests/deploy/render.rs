//! Rendering by kubectl and by Helm's own code. `scripts/test` installs both.

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the project's directory.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn tool(name: &str) -> Command {
    let path = root().join("target/tools/kubernetes/bin").join(name);
    assert!(path.exists(), "{} is missing: run scripts/test, which installs it", path.display());
    Command::new(path)
}

/// Renders an overlay.
pub fn kustomize(overlay: &str) -> String {
    kustomize_dir(&root().join("deploy/kubernetes/overlays").join(overlay))
}

/// Renders a kustomization.
pub fn kustomize_dir(dir: &Path) -> String {
    let output = tool("kubectl").arg("kustomize").arg(dir).output().unwrap();
    assert!(output.status.success(), "{}: {}", dir.display(), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Renders the chart with values, or returns the error.
pub fn helm(release: &str, values: &Value) -> Result<String, String> {
    let mut command = tool("python3");
    command.arg(root().join("tests/support/helm-render.py"));
    command.arg(root().join("deploy/helm/reapify-mirror")).arg(release);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(values.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(String::from_utf8(output.stdout).unwrap()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// Copies a directory.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(std::fs::copy(&path, &target).unwrap()),
        }
    }
}
