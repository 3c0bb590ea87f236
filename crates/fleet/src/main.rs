//! `skep-fleet`: plays many callers of a coordinator. Prints one JSON document a line.
//!
//! `nodes` reads words from its input: `cut` breaks all connections at once, `tell` says how it
//! stands; it ends with its input.
//!
//! This crate may not: be used by the product.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use serde_json::{Value, json};
use skep_fleet::submissions::{Load, recovery};
use skep_fleet::subscribers::Audience;
use skep_fleet::{Coordinator, Fleet, FleetOptions, descriptors};
use skep_identity::parse_fingerprint;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};

/// An answer within this time is a quick one, after an overload.
const QUICK: Duration = Duration::from_millis(50);
/// Longest wait for the end of an overload.
const RECOVERY_PATIENCE: Duration = Duration::from_mins(2);

/// Plays many callers of one coordinator.
#[derive(Debug, Parser)]
#[command(name = "skep-fleet")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct Place {
    /// Coordinator, e.g. http://127.0.0.1:8600
    #[arg(long)]
    url: String,
    /// File with a token that it accepts
    #[arg(long)]
    token_file: PathBuf,
    /// Nodes speak TLS and trust the authority with this fingerprint
    #[arg(long, value_name = "FINGERPRINT")]
    authority: Option<String>,
}

impl Place {
    fn coordinator(&self) -> Result<Coordinator> {
        let path = self.token_file.display();
        let token = std::fs::read_to_string(&self.token_file);
        let token = token.with_context(|| format!("read the token file `{path}`"))?;
        let coordinator = Coordinator::new(&self.url, &token)?;
        let Some(authority) = &self.authority else {
            return Ok(coordinator);
        };
        let authority = parse_fingerprint(authority)
            .with_context(|| format!("`{authority}` is no fingerprint of an authority"))?;
        Ok(coordinator.vouched_for_by(authority))
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Plays nodes until the end of the input
    Nodes {
        #[command(flatten)]
        place: Place,
        /// How many
        #[arg(long)]
        nodes: usize,
        /// Attempts that each takes at a time
        #[arg(long, default_value_t = 256)]
        slots: u32,
    },
    /// Follows the events many times over while tasks are submitted
    Subscribers {
        #[command(flatten)]
        place: Place,
        /// How many
        #[arg(long)]
        subscribers: usize,
        /// Tasks submitted a second
        #[arg(long)]
        tasks_per_second: u32,
        /// For how long
        #[arg(long)]
        seconds: u64,
    },
    /// Submits single tasks
    Submissions {
        #[command(flatten)]
        place: Place,
        /// Connections, each with one request under way
        #[arg(long)]
        connections: usize,
        /// Requests a second; as many as are answered unless given
        #[arg(long)]
        rate: Option<u32>,
        /// For how long
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("start a runtime")?;
    let done = runtime.block_on(run(arguments.command));
    // A read of the standard input may be left; it must not hold the process.
    runtime.shutdown_background();
    done
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Nodes {
            place,
            nodes,
            slots,
        } => {
            descriptors::raise_for(nodes)?;
            play_nodes(FleetOptions {
                coordinator: place.coordinator()?,
                nodes,
                slots,
            })
            .await
        }
        Command::Subscribers {
            place,
            subscribers,
            tasks_per_second,
            seconds,
        } => {
            descriptors::raise_for(subscribers)?;
            let audience = Audience {
                coordinator: place.coordinator()?,
                subscribers,
                tasks_per_second,
                duration: Duration::from_secs(seconds),
            };
            say(&serde_json::to_value(audience.follow().await?)?)
        }
        Command::Submissions {
            place,
            connections,
            rate,
            seconds,
        } => {
            descriptors::raise_for(connections)?;
            let coordinator = place.coordinator()?;
            let load = Load {
                coordinator: coordinator.clone(),
                connections,
                rate,
                duration: Duration::from_secs(seconds),
            };
            let mut answer = serde_json::to_value(load.drive().await?)?;
            let recovered = recovery(&coordinator, QUICK, RECOVERY_PATIENCE).await?;
            answer["recovered_after"] = recovered.as_secs_f64().into();
            say(&answer)
        }
    }
}

/// Starts the nodes and does what the input says, one answer a line. The first answer comes when
/// all nodes are live.
async fn play_nodes(options: FleetOptions) -> Result<()> {
    let start = Instant::now();
    let starting = async {
        let fleet = Fleet::start(options).await;
        fleet.all_live().await;
        fleet
    };
    let mut words = BufReader::new(tokio::io::stdin()).lines();
    let fleet = starting.await;
    say(&told(&fleet, start)?)?;
    while let Some(word) = words.next_line().await.context("read the input")? {
        let start = Instant::now();
        match word.trim() {
            "tell" => {}
            "cut" => {
                fleet.cut().await;
                fleet.all_live().await;
            }
            other => bail!("`{other}` is not understood: use cut or tell"),
        }
        say(&told(&fleet, start)?)?;
    }
    fleet.stop().await;
    Ok(())
}

fn told(fleet: &Fleet, since: Instant) -> Result<Value> {
    let mut told = serde_json::to_value(fleet.told())?;
    told["seconds"] = json!(since.elapsed().as_secs_f64());
    Ok(told)
}

fn say(document: &Value) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{document}").context("write to the standard output")?;
    out.flush().context("write to the standard output")
}
