//! The benchmarks: see `scripts/bench`.

mod http;
mod images;
mod log;
mod place;
mod proxy;
mod run;
mod sha256;
mod sys;
mod table;
mod tools;

use images::SHAPES;
use run::{Bench, Scenario};
use std::io::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use table::CASES;
use tools::{Kit, TOOLS, Tool};

struct Options {
    reapify: PathBuf,
    /// Another build of reapify to measure as well.
    beside: Option<PathBuf>,
    reaper: PathBuf,
    quick: bool,
    big: bool,
    json: bool,
    serve: bool,
    runs: usize,
    /// Additional options for reapify.
    with: String,
    /// The tools and images to measure; all if empty.
    only: Vec<String>,
}

fn options() -> Result<Options> {
    let mut options = Options {
        reapify: PathBuf::new(),
        beside: None,
        reaper: PathBuf::new(),
        quick: false,
        big: false,
        json: false,
        serve: false,
        runs: 3,
        with: String::new(),
        only: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| Error::other(format!("{arg} needs a value")));
        match arg.as_str() {
            "--reapify" => options.reapify = value()?.into(),
            "--beside" => options.beside = Some(value()?.into()),
            "--reaper" => options.reaper = value()?.into(),
            "--runs" => options.runs = value()?.parse().map_err(|_| Error::other("--runs takes a number"))?,
            "--with" => options.with = value()?,
            "--only" => options.only = value()?.split(',').map(String::from).collect(),
            "--quick" => options.quick = true,
            "--big" => options.big = true,
            "--json" => options.json = true,
            "--serve" => options.serve = true,
            _ => return Err(Error::other(format!("unknown option {arg}"))),
        }
    }
    let known = |word: &String| {
        TOOLS.iter().any(|t| t.name == word)
            || SHAPES.iter().any(|s| s.name == word)
            || word.parse::<u64>().is_ok()
    };
    match options.only.iter().find(|word| !known(word)) {
        Some(word) => Err(Error::other(format!("--only: there is no tool and no image {word:?}"))),
        None => Ok(options),
    }
}

impl Options {
    fn wants_image(&self, name: &str) -> bool {
        let named = SHAPES.iter().any(|s| self.only.iter().any(|o| o == s.name));
        let is_named = self.only.iter().any(|o| o == name);
        if named { is_named } else { name != "big" || self.big }
    }

    fn wants_tool(&self, tool: &Tool) -> bool {
        let named = TOOLS.iter().any(|t| self.only.iter().any(|o| o == t.name));
        match tool.name {
            // The other tools are compared with it.
            "reapify" => true,
            "beside" => self.beside.is_some(),
            _ if self.quick => false,
            name => tool.is_installed() && (!named || self.only.iter().any(|o| o == name)),
        }
    }
}

fn main() -> ExitCode {
    match options().and_then(|options| bench(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let mut bench = Bench::start(Kit::new(&options.reapify, options.beside.as_deref(), &options.reaper)?)?;
    for shape in SHAPES.iter().filter(|shape| options.wants_image(shape.name)) {
        eprintln!("making the image {}", shape.name);
        shape.push(&bench.registries[0].host)?;
    }
    if options.serve {
        eprintln!(
            "registries: {}, with the images, and {}; until input ends",
            bench.fronts[0], bench.fronts[1]
        );
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
        return Ok(());
    }
    let mut results = Vec::new();
    for case in CASES.iter().filter(|case| options.wants_image(case.image)) {
        let shape =
            SHAPES.iter().find(|s| s.name == case.image).ok_or_else(|| Error::other("no such image"))?;
        let mut costs = Vec::new();
        for tool in TOOLS.iter().filter(|tool| options.wants_tool(tool)) {
            let can = tool.takes_indexes || shape.platforms == 1;
            if !can || (tool.only_moves && case.scenario != Scenario::S2) {
                continue;
            }
            eprintln!("{} {} {} ms: {}", case.image, case.scenario(), case.delay, tool.name);
            let job = bench.job(case.image, shape.platforms, case.scenario, &options.with);
            match bench.median(tool, &job, case.scenario, case.delay, options.runs) {
                Ok(cost) => costs.push((tool.name, cost)),
                // A failing peer is reported and left out; a failure of reapify is an error.
                Err(error) if tool.name != "reapify" => eprintln!("{error}"),
                Err(error) => return Err(error),
            }
        }
        results.push((case, costs));
    }
    print!("{}", if options.json { table::json(&results) } else { table::text(&results) });
    Ok(())
}
