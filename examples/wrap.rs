//! Wraps an image: `cargo run --example wrap -- SOURCE DESTINATION`.

use reapify::Wrap;
use reapify::error::Result;

#[tokio::main]
async fn main() -> Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let [source, destination] = &names[..] else {
        eprintln!("usage: wrap SOURCE DESTINATION");
        std::process::exit(2);
    };
    let report = reapify::wrap(source, destination, Wrap::default()).await?;
    println!("{destination}: {}, {}", report.action, report.digest);
    Ok(())
}
