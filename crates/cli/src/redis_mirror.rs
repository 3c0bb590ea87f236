//! The Redis mirror that `skep up` keeps, if it is told to.

use crate::args::RedisMirrorArgs;
use crate::exit::{Exit, Failure, chain};
use crate::system_ports::SystemEntropy;
use skep_coordinator::ports::Entropy;
use skep_mirror::{Mirror, MirrorOptions, MirrorPrefix};
use skep_model::ids::ClusterId;

/// Where a swarm is to be shown.
#[derive(Debug)]
pub(crate) struct MirrorPlace {
    url: String,
    prefix: MirrorPrefix,
}

impl MirrorPlace {
    /// What the flags say; nothing unless they name a server.
    pub(crate) fn of(args: RedisMirrorArgs) -> Option<Self> {
        Some(Self {
            url: args.redis_mirror?,
            prefix: args.redis_mirror_prefix.unwrap_or_default(),
        })
    }
}

/// The mirror of this swarm and process, which has to be run, if there is to be one.
pub(crate) fn open(
    place: Option<&MirrorPlace>,
    cluster: ClusterId,
) -> Result<Option<Mirror>, Failure> {
    let Some(place) = place else {
        return Ok(None);
    };
    let process = format!("{:032x}", SystemEntropy.id());
    let options = MirrorOptions {
        url: &place.url,
        prefix: place.prefix.clone(),
        swarm: cluster.to_string(),
        process: &process,
    };
    let mirror = Mirror::open(options)
        .map_err(|error| Failure::new(Exit::Invalid, "redis_url_invalid", chain(&error)))?;
    Ok(Some(mirror))
}
