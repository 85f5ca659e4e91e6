//! The commands as functions, with the defaults of the command line.

use crate::engine::report::Report;
use crate::engine::{Job, Task, Wrap};
use crate::error::Result;
use crate::image::Location;
use crate::inspect::report::Report as Inspected;
use crate::places::{Places, Written, same};
use crate::reapers::Reapers;
use crate::verify::Verified;

/// Wraps an image: adds a reaper and starts it as PID 1.
///
/// Images are named as on the command line, for example `registry.example/app:1.4`, `oci:DIR:TAG` or
/// `docker-archive:FILE`. Credentials come from the files of podman and docker.
///
/// # Errors
///
/// Returns an error if a name is invalid, if a place cannot be read or written, or if the image is not
/// supported. The destination then refers to the same image as before.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> reapify::error::Result<()> {
/// # let directory = tempfile::tempdir()?;
/// # let wrapped = format!("oci:{}:latest", directory.path().display());
/// let report = reapify::wrap("oci:testdata/zombies", &wrapped, reapify::Wrap::default()).await?;
/// let verified = reapify::verify(&wrapped, Some("oci:testdata/zombies")).await?;
/// assert_eq!(report.digest, verified.digest);
/// # Ok(())
/// # }
/// ```
pub async fn wrap(source: &str, destination: &str, options: Wrap) -> Result<Report> {
    run(Task::Wrap(options), source, destination).await
}

/// Removes the reaper of a wrapped image: restores the original, digest for digest.
///
/// # Errors
///
/// Returns an error if the image is not wrapped, and in the cases of [`wrap`].
pub async fn unwrap(source: &str, destination: &str) -> Result<Report> {
    run(Task::Unwrap, source, destination).await
}

/// Reports what becomes PID 1 of an image, whether it reaps zombies, and whether it can be stopped.
///
/// # Errors
///
/// Returns an error if the image cannot be read or is not a container image.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> reapify::error::Result<()> {
/// let report = reapify::inspect("oci:testdata/zombies").await?;
/// assert_eq!(report.platforms[0].platform, "linux/amd64");
/// # Ok(())
/// # }
/// ```
pub async fn inspect(image: &str) -> Result<Inspected> {
    let location: Location = image.parse()?;
    let source = Places::default().source(&location, None).await?;
    crate::inspect::image(&location, source, &[], Some(&None)).await
}

/// Verifies a wrapped image against its record and, if given, against its source.
///
/// # Errors
///
/// Returns an error of the kind [`Verification`](crate::error::Kind::Verification) that names the first difference.
pub async fn verify(image: &str, source: Option<&str>) -> Result<Verified> {
    let mut places = Places::default();
    let image = places.source(&image.parse()?, None).await?;
    let source = match source {
        Some(source) => Some(places.source(&source.parse()?, None).await?),
        None => None,
    };
    crate::verify::verify(image, source, &Reapers::default(), false).await
}

async fn run(task: Task, source: &str, destination: &str) -> Result<Report> {
    let (source, destination): (Location, Location) = (source.parse()?, Location::destination(destination)?);
    let mut places = Places::default();
    // The destination is opened first, because some token servers grant only the first scope.
    let place = Written { location: &destination, source: &source, login: None, force: false };
    let sink = places.sink(&place, false).await?;
    let mut job = Job::new(places.source(&source, None).await?, sink, task);
    job.in_place = same(&source, &destination);
    job.sink.inherit(job.source.names().await?);
    job.run().await
}
