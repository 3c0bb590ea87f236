//! Rows about the Model Context Protocol over stdin and stdout, as a client on this machine has it:
//! `skep mcp` beside a coordinator that runs.

use super::hive::Hive;
use super::http;
use super::usage::Usage;
use super::{Bench, Detail, Measurement, contract, statistics};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls before the timed ones.
const WARM_UP: usize = 50;
/// Calls that wait for their answers at the same time, in the row about how many there can be.
const IN_FLIGHT: usize = 16;

/// A running `skep mcp` and its pipes. It ends with its stdin.
#[derive(Debug)]
struct Client {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    last_id: u64,
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // After the end of its input it ends by itself, and both calls say so.
        drop(self.child.wait());
    }
}

impl Client {
    fn start(bench: &Bench, hive: &Hive) -> Result<Self> {
        let mut child = Command::new(&bench.binary)
            .arg("mcp")
            .env("SKEP_HOME", hive.skep_home())
            .env_remove("SKEP_URL")
            .env_remove("SKEP_TOKEN")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start `skep mcp`")?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("it has no stdout")?;
        Ok(Self {
            child,
            stdin,
            stdout: BufReader::new(stdout),
            last_id: 0,
        })
    }

    /// Sends a request; gives its id.
    fn send(&mut self, method: &str, params: Value) -> Result<u64> {
        self.last_id += 1;
        let id = self.last_id;
        let line = format!("{}\n", contract::mcp_message(id, method, params));
        let stdin = self.stdin.as_mut().context("it has no stdin")?;
        stdin.write_all(line.as_bytes()).context("send a message")?;
        Ok(id)
    }

    /// The next answer: the id of its request, and the result.
    fn receive(&mut self) -> Result<(u64, Value)> {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line).context("read an answer")?;
        ensure!(read > 0, "`skep mcp` ended");
        let mut answer: Value = serde_json::from_str(&line).context("parse an answer")?;
        let id = answer["id"].as_u64();
        let id = id.with_context(|| format!("no answer to a request: {line}"))?;
        let result = answer["result"].take();
        ensure!(
            result.is_object() && result["isError"] != true,
            "it is refused: {line}"
        );
        Ok((id, result))
    }

    fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        let asked = self.send(method, params)?;
        let (id, result) = self.receive()?;
        ensure!(id == asked, "the answer is to another request");
        Ok(result)
    }
}

/// From the start of `skep mcp` until it has answered `tools/list`.
pub(super) fn start_to_tools_list(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(50, 5);
    let hive = Hive::start(bench, 0)?;
    // The coordinator makes the list at the first request.
    let first = tools_list_after_start(bench, &hive)?;
    let samples = (0..n).map(|_| tools_list_after_start(bench, &hive));
    let samples = samples.collect::<Result<Vec<_>>>()?;
    hive.stop()?;
    let latency = statistics::percentiles(samples).context("nothing was started")?;
    Ok(Measurement {
        value: latency.p50.as_secs_f64() * 1e3,
        n,
        latency: Some(latency),
        details: vec![Detail::new(
            "the first at a coordinator",
            first.as_secs_f64() * 1e3,
            "ms",
        )],
    })
}

fn tools_list_after_start(bench: &Bench, hive: &Hive) -> Result<Duration> {
    let start = Instant::now();
    let mut client = Client::start(bench, hive)?;
    let listed = client.ask("tools/list", json!({}))?;
    let took = start.elapsed();
    let count = listed["tools"].as_array().map_or(0, Vec::len);
    ensure!(count > 0, "no tools are listed");
    Ok(took)
}

/// One call of a tool that reads a task, after the other.
pub(super) fn call_latency(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(5_000, 200);
    let hive = Hive::start(bench, 0)?;
    let read = reading_a_task(&hive)?;
    let mut client = Client::start(bench, &hive)?;
    let mut samples = Vec::with_capacity(n);
    for _ in 0..WARM_UP + n {
        let start = Instant::now();
        client.ask("tools/call", read.clone())?;
        samples.push(start.elapsed());
    }
    drop(client);
    hive.stop()?;
    let latency = statistics::percentiles(samples.split_off(WARM_UP));
    let latency = latency.context("nothing was called")?;
    Ok(Measurement {
        value: latency.p50.as_secs_f64() * 1e3,
        n,
        latency: Some(latency),
        details: Vec::new(),
    })
}

/// The same, many at a time; and what the process needs for it.
pub(super) fn calls_per_second(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(20_000, 500);
    let hive = Hive::start(bench, 0)?;
    let read = reading_a_task(&hive)?;
    let mut client = Client::start(bench, &hive)?;
    for _ in 0..WARM_UP {
        client.ask("tools/call", read.clone())?;
    }
    let (before, coordinator) = (Usage::of(client.child.id())?, hive.usage()?);
    let start = Instant::now();
    let mut sent = BTreeMap::new();
    let mut samples = Vec::with_capacity(n);
    for number in 0..n + IN_FLIGHT {
        if number < n {
            sent.insert(client.send("tools/call", read.clone())?, Instant::now());
        }
        if number + 1 >= IN_FLIGHT && samples.len() < n {
            let (id, _) = client.receive()?;
            let began = sent.remove(&id).context("an answer to no request")?;
            samples.push(began.elapsed());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let (after, coordinator_after) = (Usage::of(client.child.id())?, hive.usage()?);
    drop(client);
    hive.stop()?;
    ensure!(samples.len() == n, "not all calls were answered");
    let micros = |spent: Duration| spent.as_secs_f64() * 1e6 / n as f64;
    Ok(Measurement {
        value: n as f64 / seconds,
        n,
        latency: statistics::percentiles(samples),
        details: vec![
            Detail::new(
                "processor time of a call here",
                micros(after.cpu_since(&before)),
                "us",
            ),
            Detail::new(
                "and in the coordinator",
                micros(coordinator_after.cpu_since(&coordinator)),
                "us",
            ),
        ],
    })
}

/// How many times as long as one synced write of the same bytes a call takes that stores a value.
///
/// Both are measured in turns, on the same disk, so that each has the same pauses before it: a sync
/// after a pause takes longer than one right after another.
pub(super) fn durable_store(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(2_000, 100);
    let hive = Hive::start(bench, 0)?;
    let mut client = Client::start(bench, &hive)?;
    let mut file = tempfile::tempfile_in(&bench.directory).context("make a file to compare")?;
    let (mut stores, mut writes) = (Vec::new(), Vec::new());
    for number in 0..WARM_UP + n {
        let store = contract::mcp_store(number);
        let bytes = store.to_string();
        let start = Instant::now();
        client.ask("tools/call", store)?;
        stores.push(start.elapsed());
        let start = Instant::now();
        file.write_all(bytes.as_bytes()).context("append")?;
        file.sync_data().context("sync")?;
        writes.push(start.elapsed());
    }
    drop(client);
    hive.stop()?;
    let timed = |mut samples: Vec<Duration>| statistics::percentiles(samples.split_off(WARM_UP));
    let store = timed(stores).context("nothing was stored")?;
    let write = timed(writes).context("nothing was written")?;
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measurement {
        value: store.p50.as_secs_f64() / write.p50.as_secs_f64(),
        n,
        latency: Some(store),
        details: vec![
            Detail::new("a store", millis(store.p50), "ms"),
            Detail::new("a synced write", millis(write.p50), "ms"),
        ],
    })
}

/// Main memory of `skep mcp` after it was used.
pub(super) fn stdio_rss(bench: &Bench) -> Result<Measurement> {
    let n = bench.amount(1_000, 100);
    let hive = Hive::start(bench, 0)?;
    let read = reading_a_task(&hive)?;
    let mut client = Client::start(bench, &hive)?;
    client.ask("tools/list", json!({}))?;
    for _ in 0..n {
        client.ask("tools/call", read.clone())?;
    }
    let usage = Usage::of(client.child.id())?;
    drop(client);
    hive.stop()?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    Ok(Measurement {
        value: usage.rss_mib(),
        n,
        latency: None,
        details: vec![Detail::new("at most", mib(usage.rss_peak_bytes), "MiB")],
    })
}

/// Submits a task; gives the call that reads it.
fn reading_a_task(hive: &Hive) -> Result<Value> {
    let server = hive.server.clone();
    let answer = http::run_client(async move {
        let request = server.post(contract::TASKS, &contract::noop());
        server.connect().await?.exchange_json(&request).await
    })?;
    let id = contract::id(&answer)?;
    Ok(contract::mcp_read_task(id))
}
