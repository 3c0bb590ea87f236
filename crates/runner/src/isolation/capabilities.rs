//! Takes the dangerous capabilities from an attempt of a node that runs as root.

use super::ConfineError;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, capability_is_in_bounding_set, remove_capability_from_bounding_set,
};

/// What work on files of several owners needs. The rest (mounting, raw sockets, tracing, modules,
/// the clock and so on) is out of reach for whatever the program becomes.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER);

/// Empties the bounding set, so that the `exec` that follows cannot regain a capability.
/// Without privileges there is nothing to take.
pub(super) fn drop_dangerous() -> Result<(), ConfineError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    for capability in CapabilitySet::all().difference(KEPT).iter() {
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove(capability)?,
            // This kernel has no such capability, or it is gone already.
            Ok(false) | Err(Errno::INVAL) => {}
            Err(error) => return Err(ConfineError::Privileges(error)),
        }
    }
    Ok(())
}

fn remove(capability: CapabilitySet) -> Result<(), ConfineError> {
    match remove_capability_from_bounding_set(capability) {
        // A container's root may lack the right to do so; the other walls do not rest on this.
        Ok(()) | Err(Errno::PERM) => Ok(()),
        Err(error) => Err(ConfineError::Privileges(error)),
    }
}
