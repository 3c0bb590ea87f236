//! Collects what was heard: judges it, merges duplicates, and keeps it within bounds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::addresses::{is_connectable, is_link_local, rank};
use crate::announcement::is_instance_name;
use crate::txt::{Claim, Ignored};
use crate::{ADDRESSES_MAX, FOUND_MAX, Found, INSTANCE_BYTES_MAX, SERVICE_TYPE};

/// Interfaces kept of one finding.
const INTERFACES_MAX: usize = 64;

/// One announcement as it was heard, unchecked.
#[derive(Debug, Clone)]
pub(crate) struct Sighting<'a> {
    pub(crate) full_name: &'a str,
    pub(crate) port: u16,
    pub(crate) addresses: Vec<HeardAddress>,
    pub(crate) txt: Vec<(&'a str, Option<&'a [u8]>)>,
}

/// An address of an announcement, and one interface on which it was heard.
#[derive(Debug, Clone)]
pub(crate) struct HeardAddress {
    pub(crate) address: IpAddr,
    pub(crate) interface: String,
    pub(crate) interface_index: u32,
    pub(crate) on_loopback: bool,
}

/// Findings by what tells them apart. The claim is part of it: an impostor who takes the name of a
/// coordinator appears beside it and changes nothing of it.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    found: BTreeMap<(Claim, String), Found>,
    ignored: u64,
}

impl Findings {
    /// Takes one announcement in; `Some` if it is new or adds something.
    pub(crate) fn hear(&mut self, sighting: &Sighting<'_>) -> Option<Found> {
        self.admit(sighting).unwrap_or_else(|_| {
            self.ignored = self.ignored.saturating_add(1);
            None
        })
    }

    fn admit(&mut self, sighting: &Sighting<'_>) -> Result<Option<Found>, Ignored> {
        let instance = instance_of(sighting.full_name).ok_or(Ignored::BadInstanceName)?;
        let claim = Claim::parse(sighting.txt.iter().copied())?;
        let (addresses, interfaces) = usable(sighting)?;
        let is_full = self.found.len() >= FOUND_MAX;
        let key = (claim, instance.clone());
        if let Some(known) = self.found.get_mut(&key) {
            return Ok(extend(known, addresses, interfaces).then(|| known.clone()));
        }
        if is_full {
            return Err(Ignored::TooManyFound);
        }
        let mut found = Found {
            cluster: claim.cluster,
            instance,
            addresses: Vec::new(),
            fingerprint_prefix: claim.fingerprint_prefix,
            api: claim.api,
            seen_on: Vec::new(),
        };
        extend(&mut found, addresses, interfaces);
        self.found.insert(key, found.clone());
        Ok(Some(found))
    }

    /// Forgets an instance that said goodbye or fell silent; its name, if anything was known.
    pub(crate) fn forget(&mut self, full_name: &str) -> Option<String> {
        let instance = instance_of(full_name)?;
        let before = self.found.len();
        self.found.retain(|(_, name), _| *name != instance);
        (self.found.len() < before).then_some(instance)
    }

    /// All findings, by cluster and instance.
    pub(crate) fn sorted(&self) -> Vec<Found> {
        let mut all: Vec<_> = self.found.values().cloned().collect();
        all.sort_unstable();
        all
    }

    pub(crate) fn ignored(&self) -> u64 {
        self.ignored
    }
}

/// The addresses one can connect to, and the interfaces on which they were heard.
fn usable(sighting: &Sighting<'_>) -> Result<(Vec<SocketAddr>, Vec<String>), Ignored> {
    // A loopback address from outside would lead the listener to its own services.
    let usable = |one: &&HeardAddress| {
        is_connectable(one.address) && (one.on_loopback || !one.address.is_loopback())
    };
    let heard: Vec<_> = sighting.addresses.iter().filter(usable).collect();
    if heard.is_empty() || sighting.port == 0 {
        return Err(Ignored::NoAddress);
    }
    let mut addresses: Vec<_> = heard
        .iter()
        .map(|one| socket_address(one, sighting.port))
        .collect();
    addresses.sort_unstable_by_key(likelihood);
    let mut interfaces: Vec<_> = heard.iter().map(|one| one.interface.clone()).collect();
    interfaces.sort_unstable();
    Ok((addresses, interfaces))
}

/// An IPv6 link-local address is usable together with its interface only.
fn socket_address(heard: &HeardAddress, port: u16) -> SocketAddr {
    match heard.address {
        IpAddr::V6(address) if is_link_local(heard.address) => {
            SocketAddrV6::new(address, port, 0, heard.interface_index).into()
        }
        address => SocketAddr::new(address, port),
    }
}

fn likelihood(address: &SocketAddr) -> (u8, SocketAddr) {
    (rank(address.ip()), *address)
}

/// Adds what is new, within bounds; what is known stays, so that nobody can push it out.
fn extend(found: &mut Found, addresses: Vec<SocketAddr>, interfaces: Vec<String>) -> bool {
    let mut changed = add_new(&mut found.addresses, addresses, ADDRESSES_MAX);
    found.addresses.sort_unstable_by_key(likelihood);
    changed |= add_new(&mut found.seen_on, interfaces, INTERFACES_MAX);
    found.seen_on.sort_unstable();
    changed
}

fn add_new<T: PartialEq>(known: &mut Vec<T>, items: Vec<T>, count_max: usize) -> bool {
    let before = known.len();
    for item in items {
        if known.len() < count_max && !known.contains(&item) {
            known.push(item);
        }
    }
    known.len() > before
}

/// The instance in `instance._skep._tcp.local.`, without the backslashes before dots.
fn instance_of(full_name: &str) -> Option<String> {
    let length = full_name.len().checked_sub(SERVICE_TYPE.len() + 1)?;
    let (escaped, rest) = full_name.split_at_checked(length)?;
    if !rest.strip_prefix('.')?.eq_ignore_ascii_case(SERVICE_TYPE) {
        return None;
    }
    let mut instance = String::with_capacity(escaped.len());
    let mut characters = escaped.chars();
    while let Some(character) = characters.next() {
        instance.push(if character == '\\' {
            characters.next()?
        } else {
            character
        });
    }
    is_instance_name(&instance, INSTANCE_BYTES_MAX).then_some(instance)
}

#[cfg(test)]
mod tests;
