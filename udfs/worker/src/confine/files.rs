//! Landlock: which files may be read, and that no other process can be signalled and no socket connected.

use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use shirabe_wire::Tier;

use crate::layout::Layout;

/// The oldest rules that a tier may rest on.
const NEEDED: ABI = ABI::V3;
/// The newest that we know; an older kernel keeps those that it knows.
const KNOWN: ABI = ABI::V6;

pub(super) fn restrict(tier: Tier, layout: &Layout) -> Result<(), String> {
    let status = apply(tier, layout).map_err(|error| error.to_string())?;
    if status == RulesetStatus::NotEnforced {
        return Err("the kernel does not enforce it".to_owned());
    }
    Ok(())
}

fn apply(tier: Tier, layout: &Layout) -> Result<RulesetStatus, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(NEEDED))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    for folder in &layout.folders {
        // A folder that this user may not look into cannot be opened, and so stays closed.
        if let Ok(folder) = PathFd::new(folder) {
            rules = rules.add_rule(PathBeneath::new(folder, AccessFs::ReadFile | AccessFs::ReadDir))?;
        }
    }
    if tier == Tier::A
        && let Ok(folder) = PathFd::new(Path::new("/tmp"))
    {
        let all = AccessFs::ReadFile
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir;
        rules = rules.add_rule(PathBeneath::new(folder, all))?;
    }
    let restricted = rules.restrict_self()?;
    Ok(match restricted.landlock {
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => RulesetStatus::NotEnforced,
        LandlockStatus::Available { .. } => restricted.ruleset,
    })
}
