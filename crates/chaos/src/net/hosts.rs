//! Hosts as network namespaces, joined by a bridge, each with its own address.
//!
//! This process is the coordinator's host. The switch is a host too: on it is the proxy, to which
//! a node can be led instead of the coordinator.

use super::filter::{self, Lost};
use crate::wiring::PORT;
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

pub(super) const COORDINATOR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 254);
/// Longest time until a namespace is there.
const NAMESPACE_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// Address of a node's host.
pub(super) const fn address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 11 + node as u8)
}

/// Where a node is seen after its address changed.
pub(super) const fn rebound_address(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 61 + node as u8)
}

/// Everything but this host.
#[derive(Debug)]
pub(super) struct Hosts {
    switch: Host,
    nodes: Vec<Host>,
}

impl Hosts {
    /// Makes the hosts of so many nodes and connects all.
    pub(super) fn new(nodes: usize) -> Result<Self> {
        let switch = Host::new()?;
        let nodes: Vec<_> = (0..nodes).map(|_| Host::new()).collect::<Result<_>>()?;
        switch.ip(&format!(
            "link set lo up\nlink add name bridge0 type bridge\naddr add {SWITCH}/24 dev bridge0\n\
             link set bridge0 up\n"
        ))?;
        let hosts = Self { switch, nodes };
        hosts.connect(&Host::this(), "port0", COORDINATOR)?;
        for (node, host) in hosts.nodes.iter().enumerate() {
            hosts.connect(host, &port(node), address(node))?;
        }
        Ok(hosts)
    }

    fn connect(&self, host: &Host, port: &str, address: Ipv4Addr) -> Result<()> {
        let switch = self.switch.pid().context("the switch is another host")?;
        host.ip(&format!(
            "link set lo up\nlink add name eth0 type veth peer name {port} netns {switch}\naddr add \
             {address}/24 dev eth0\nlink set eth0 up\n"
        ))?;
        self.switch.ip(&format!(
            "link set {port} master bridge0\nlink set {port} up\n"
        ))
    }

    /// Words before a command that is to run on the host of each node.
    pub(super) fn entrances(&self) -> Vec<Vec<OsString>> {
        self.nodes.iter().map(Host::entrance).collect()
    }

    /// From now on the coordinator loses these.
    pub(super) fn lose_at_coordinator(lost: &[Lost]) -> Result<()> {
        Host::this().nft(&filter::lose(lost)).map(drop)
    }

    /// From now on a node loses these.
    pub(super) fn lose_at_node(&self, node: usize, lost: &[Lost]) -> Result<()> {
        self.nodes[node].nft(&filter::lose(lost)).map(drop)
    }

    /// Nothing is lost any more; how many packets were.
    pub(super) fn heal(&self) -> Result<u64> {
        let this = Host::this();
        let mut lost = 0;
        for host in self.nodes.iter().chain([&this]) {
            lost += filter::count(&host.nft("list ruleset\n")?);
            host.nft(&filter::heal())?;
        }
        Ok(lost)
    }

    /// Pulls the cable of a node, or puts it back.
    pub(super) fn set_cable(&self, node: usize, is_in: bool) -> Result<()> {
        let state = if is_in { "up" } else { "down" };
        self.switch
            .ip(&format!("link set {} {state}\n", port(node)))
    }

    /// Starts the proxy, through which these nodes reach the coordinator from then on.
    pub(super) fn detour(&self, nodes: Range<usize>) -> Result<Proxy> {
        let proxy = Proxy::start(&self.switch)?;
        let script = filter::detour(COORDINATOR, SWITCH, PORT);
        for host in &self.nodes[nodes] {
            host.nft(&script)?;
        }
        Ok(proxy)
    }

    /// From now on the coordinator sees a node at another address, and loses those that it saw
    /// before, until the heal.
    pub(super) fn rebind(&self, node: usize) -> Result<()> {
        let (home, seen_as) = (address(node), rebound_address(node));
        let host = &self.nodes[node];
        host.ip(&format!("addr add {seen_as}/24 dev eth0\n"))?;
        host.nft(&filter::rebind(home, seen_as, COORDINATOR))
            .map(drop)
    }
}

/// How many connections the coordinator believes it has with an address.
pub(super) fn connections_from(address: Ipv4Addr) -> Result<usize> {
    let table = fs::read_to_string("/proc/self/net/tcp").context("list connections")?;
    Ok(count_established(&table, PORT, address))
}

/// Established connections between a port of ours and an address, in the system's table.
fn count_established(table: &str, port: u16, peer: Ipv4Addr) -> usize {
    const ESTABLISHED: &str = "01";
    let near = format!(":{port:04X}");
    // Addresses are written as the machine keeps them in memory.
    let far = format!("{:08X}:", u32::from_ne_bytes(peer.octets()));
    let is_one = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next().is_some_and(|word| word.ends_with(&near))
            && words.next().is_some_and(|word| word.starts_with(&far))
            && words.next() == Some(ESTABLISHED)
    };
    table.lines().filter(is_one).count()
}

/// The switch's end of the cable to a node.
fn port(node: usize) -> String {
    format!("port{}", node + 1)
}

/// A network namespace. It is there as long as a process holds it.
#[derive(Debug)]
struct Host {
    /// Waits for the end of its input, which comes at the latest with the end of this process.
    holder: Option<Child>,
}

impl Host {
    /// The namespace of this process.
    const fn this() -> Self {
        Self { holder: None }
    }

    fn new() -> Result<Self> {
        let own = fs::read_link("/proc/self/ns/net").context("read the own namespace")?;
        let holder = Command::new("unshare")
            .args(["--net", "cat"])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .context("start `unshare`")?;
        let place = format!("/proc/{}/ns/net", holder.id());
        let mut host = Self {
            holder: Some(holder),
        };
        let start = Instant::now();
        while fs::read_link(&place).is_ok_and(|namespace| namespace == own) {
            let holder = host.holder.as_mut().context("it was just started")?;
            if let Some(status) = holder.try_wait()? {
                bail!("`unshare --net` ended with {status}");
            }
            ensure!(
                start.elapsed() < NAMESPACE_TIMEOUT,
                "`unshare --net` made no namespace within {} s",
                NAMESPACE_TIMEOUT.as_secs()
            );
            thread::sleep(POLL);
        }
        Ok(host)
    }

    fn pid(&self) -> Option<u32> {
        self.holder.as_ref().map(Child::id)
    }

    fn entrance(&self) -> Vec<OsString> {
        self.pid().map_or_else(Vec::new, |pid| {
            let namespace = format!("--net=/proc/{pid}/ns/net");
            vec!["nsenter".into(), namespace.into(), "--".into()]
        })
    }

    fn command(&self, program: impl Into<OsString>) -> Result<Command> {
        let mut words = self.entrance();
        words.push(program.into());
        let (first, rest) = words.split_first().context("a program was given")?;
        let mut command = Command::new(first);
        command.args(rest);
        Ok(command)
    }

    fn ip(&self, batch: &str) -> Result<()> {
        let mut command = self.command("ip")?;
        feed(command.args(["-batch", "-"]), batch).map(drop)
    }

    fn nft(&self, script: &str) -> Result<String> {
        let mut command = self.command("nft")?;
        feed(command.args(["--file", "-"]), script)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            // When it has gone already, both calls say so.
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Runs a command on this input; what it prints.
fn feed(command: &mut Command, input: &str) -> Result<String> {
    let shown = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {shown}"))?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{shown} failed on:\n{input}{complaint}"
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The delay proxy, on the switch.
#[derive(Debug)]
pub(super) struct Proxy {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Proxy {
    fn start(switch: &Host) -> Result<Self> {
        let this = std::env::current_exe().context("find this program")?;
        let mut child = switch
            .command(this)?
            .arg("delay-proxy")
            .args(["--listen", &format!("{SWITCH}:{PORT}")])
            .args(["--to", &format!("{COORDINATOR}:{PORT}")])
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the delay proxy")?;
        let answers = child.stdout.take().context("no standard output")?;
        let mut proxy = Self {
            child,
            answers: BufReader::new(answers),
        };
        let ready = proxy.answer()?;
        ensure!(ready.starts_with("listening"), "the proxy says `{ready}`");
        Ok(proxy)
    }

    /// Tells it a line; what it answers behind `ok`.
    pub(super) fn tell(&mut self, line: &str) -> Result<String> {
        let stdin = self.child.stdin.as_mut().context("no standard input")?;
        writeln!(stdin, "{line}").context("tell the delay proxy")?;
        let answer = self.answer()?;
        let rest = answer.strip_prefix("ok");
        let rest = rest.with_context(|| format!("the proxy says `{answer}`"))?;
        Ok(rest.trim().to_owned())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .context("read from the delay proxy")?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // When it has gone already, both calls say so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_established_connections_of_the_port_and_the_peer_count() {
        let peer = Ipv4Addr::new(10, 77, 0, 11);
        let hex = format!("{:08X}", u32::from_ne_bytes(peer.octets()));
        let line = |port: &str, peer: &str, state: &str| {
            format!("   1: 01004D0A:{port} {peer}:C350 {state} 00000000:00000000 00:00000000\n")
        };
        let table = [
            "  sl  local_address rem_address   st tx_queue rx_queue\n".to_owned(),
            line("2198", &hex, "01"),
            line("2198", &hex, "01"),
            line("2198", &hex, "04"),
            line("2199", &hex, "01"),
            line("2198", "3D004D0A", "01"),
        ];
        assert_eq!(count_established(&table.concat(), 8_600, peer), 2);
    }
}
