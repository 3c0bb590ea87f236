//! Where other machines find the coordinator of this process, and by what they know it.

use crate::exit::{Exit, Failure, chain};
use skep_coordinator::ports::Clock;
use skep_discovery::{InterfaceFilter, advertisable_addresses};
use skep_identity::{Authority, AuthorityError, CertificateKeeper, JOIN_ADDRESSES_MAX};
use skep_operations::join::Reach;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, TcpSocket};
use tokio_rustls::rustls::ServerConfig;

/// Directory of the certificate authority, in that of the coordinator's data.
const AUTHORITY_DIRECTORY: &str = "ca";
/// Only the coordinator's user may look into it.
const PRIVATE: u32 = 0o700;

/// Connections that the system keeps until they are accepted. When all nodes come back at once,
/// those beyond it try again after seconds; the system's own bound may be lower.
const CONNECTIONS_WAITING_MAX: u32 = 8_192;

/// The listeners of a coordinator.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// At most one that other machines reach, and one that only this machine does.
    pub(crate) all: Vec<TcpListener>,
    /// Where other machines reach it; `None` on loopback.
    pub(crate) public: Option<SocketAddr>,
    /// Where this machine reaches it, in plain HTTP.
    pub(crate) local: SocketAddr,
}

impl Listeners {
    /// Listens at `listen`. An address of one interface gets a second listener on loopback, for
    /// this machine's own commands and nodes.
    pub(crate) fn bind(listen: SocketAddr) -> Result<Self, Failure> {
        let first = bind(listen)?;
        let address = first.local_addr()?;
        if address.ip().is_loopback() {
            return Ok(Self {
                all: vec![first],
                public: None,
                local: address,
            });
        }
        let loopback: IpAddr = match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let local = SocketAddr::new(loopback, address.port());
        let mut all = vec![first];
        if !address.ip().is_unspecified() {
            all.push(bind(local)?);
        }
        Ok(Self {
            all,
            public: Some(address),
            local,
        })
    }
}

fn bind(listen: SocketAddr) -> Result<TcpListener, Failure> {
    let open = || {
        let socket = match listen {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // A port that was used a moment ago can be used again.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(CONNECTIONS_WAITING_MAX)
    };
    open().map_err(|error| port_taken(listen, &error))
}

fn port_taken(listen: SocketAddr, error: &std::io::Error) -> Failure {
    let message = format!("cannot listen on `{listen}`: {error}");
    if error.kind() == std::io::ErrorKind::AddrInUse {
        Failure::new(Exit::Conflict, "port_taken", message).hint(
            "another coordinator may run already (`skep doctor`); or choose a port with --listen",
        )
    } else {
        Failure::new(Exit::Failed, "listen_failed", message)
    }
}

/// How a coordinator speaks to other machines.
pub(crate) struct Network {
    pub(crate) reach: Reach,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) keeper: CertificateKeeper,
}

impl Network {
    /// Loads the swarm's authority, or makes it at the first start, and issues a certificate for
    /// this process.
    pub(crate) fn prepare(
        data: &Path,
        public: SocketAddr,
        advertise: &[String],
        clock: &dyn Clock,
    ) -> Result<Self, Failure> {
        let directory = data.join(AUTHORITY_DIRECTORY);
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(PRIVATE)
            .create(&directory)?;
        let now = system_time(clock);
        let authority = Authority::load_or_create(&directory, now)
            .map_err(|error| authority_unusable(&error))?;
        let reach = Reach {
            addresses: addresses(public, advertise)?,
            fingerprint: authority.fingerprint(),
        };
        let keeper =
            CertificateKeeper::start(authority, now).map_err(|error| authority_unusable(&error))?;
        let tls = keeper
            .server_config()
            .map_err(|error| authority_unusable(&error))?;
        Ok(Self { reach, tls, keeper })
    }
}

/// The wall clock, in the form that certificates use.
pub(crate) fn system_time(clock: &dyn Clock) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(clock.wall().0)
}

fn authority_unusable(error: &AuthorityError) -> Failure {
    Failure::new(Exit::Storage, "authority_unusable", chain(error))
}

/// What join tokens name: what the operator said, or else the addresses of this machine.
fn addresses(public: SocketAddr, advertise: &[String]) -> Result<Vec<String>, Failure> {
    if advertise.len() > JOIN_ADDRESSES_MAX {
        let count = advertise.len();
        let message =
            format!("--advertise names {count} addresses: a join token holds {JOIN_ADDRESSES_MAX}");
        return Err(Failure::new(Exit::Invalid, "advertise_malformed", message)
            .hint("name the addresses that other machines try first"));
    }
    if !advertise.is_empty() {
        return advertise.iter().map(|text| advertised(text)).collect();
    }
    let found = advertisable_addresses(public, &InterfaceFilter::default())
        .map_err(|error| no_address(&chain(&error)))?;
    if found.is_empty() {
        return Err(no_address("this machine has no address but loopback"));
    }
    let shown = found.iter().map(ToString::to_string);
    Ok(shown.take(JOIN_ADDRESSES_MAX).collect())
}

fn no_address(reason: &str) -> Failure {
    let message = format!("no address to give to other machines: {reason}");
    Failure::new(Exit::Invalid, "no_address", message)
        .hint("name one with --advertise HOST:PORT, or listen on loopback")
}

fn advertised(text: &str) -> Result<String, Failure> {
    let parsed: Result<skep_discovery::HostPort, _> = text.parse();
    parsed.map(|place| place.to_string()).map_err(|error| {
        let message = format!("--advertise `{text}`: {error}");
        Failure::new(Exit::Invalid, "advertise_malformed", message)
            .hint("it looks like HOST:PORT, e.g. hive.example:8600")
    })
}
