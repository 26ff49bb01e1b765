//! Giving up everything that a run does not need.
//!
//! ```text
//!  place    its own session, first when memory is short; another user when the service is root; on tier A namespaces,
//!           some of them from birth on, and a root with nothing in it but Python (root)
//!  rights   none, and no way to new ones
//!  files    Landlock, on tiers A and B
//!  ---      the job comes
//!  limits   memory, sizes, threads, descriptors, time; last in line for the processor
//!  filter   no system call but those on a list (syscalls)
//!  canary   what must fail is tried
//! ```
//!
//! Why in this order: each step takes away what the one after it does not need and the one before it did. Why it is
//! tried: a filter with one jump wrong loads without complaint and lets everything pass.

use std::io;

use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use shirabe_wire::Tier;
use shirabe_wire::message::Start;

use crate::child::Origin;

mod canary;
mod files;
pub(crate) mod filter;
pub(crate) mod limits;
pub(crate) mod place;
mod root;
mod syscalls;

/// What the child does before it has a job. The error names the step that failed.
pub(crate) fn ahead(tier: Tier, origin: &Origin) -> Result<(), String> {
    rights().map_err(|cause| format!("rights: {cause}"))?;
    if tier != Tier::C {
        files::restrict(tier, &origin.layout).map_err(|reason| format!("Landlock: {reason}"))?;
    }
    Ok(())
}

/// What it does between the job and user code.
pub(crate) fn finish(start: &Start, bounds: &limits::Bounds, origin: &Origin) -> Result<(), String> {
    limits::set(start, bounds).map_err(|cause| format!("limits: {cause}"))?;
    // Not before: on a busy machine, whoever asked would wait for the steps above as long as for the run.
    rustix::process::nice(10).map_err(|cause| format!("nice: {cause}"))?;
    origin.filters.apply(start.tier)?;
    canary::tries(start.tier)
}

/// No rights, none to get, and nobody who may look into its memory.
fn rights() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    rustix::thread::clear_ambient_capability_set()?;
    // Needs a right itself. Whoever has none has nothing to bound either.
    for number in 0..=u64::BITS {
        let Some(capability) = 1u64.checked_shl(number).and_then(CapabilitySet::from_bits) else { continue };
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    // A change of rights may have taken it back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let left = rustix::thread::capabilities(None)?;
    if !(left.effective | left.permitted | left.inheritable).is_empty() {
        return Err(io::Error::other("some are left"));
    }
    Ok(())
}
