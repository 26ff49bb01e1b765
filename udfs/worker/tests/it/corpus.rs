//! Every script of `udfs/evil` on every tier: it ends as its head says, and touches nothing outside.

use shirabe_wire::Tier;
use shirabe_wire::corpus;
use shirabe_wire::host::Probe;

use crate::support::{Run, TIERS, zygote};

/// Honest code whose answer is known.
const CLEAN: &str = "
import pandas as pd
def transform(inputs, params):
    return pd.DataFrame({'n': [1, 2, 3]})
";

#[test]
fn hostile_scripts_end_as_they_should_and_the_next_run_is_clean() {
    let zygote = zygote();
    let probe = Probe::new(&std::env::temp_dir()).unwrap();
    let mut wrong = Vec::new();
    for tier in TIERS {
        for script in corpus::scripts() {
            wrong.extend(probe.run(&zygote, tier, &script).err());
            if Run::transform(tier, CLEAN).rows().num_rows() != 3 {
                wrong.push(format!("the run after `{}` on tier {tier} is not clean", script.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of them:\n{}", wrong.len(), wrong.join("\n"));
}

/// A script that could not succeed anywhere would show nothing. These harm nobody, so they are run unconfined.
#[test]
fn hostile_scripts_get_what_they_want_without_a_sandbox() {
    let probe = Probe::new(&std::env::temp_dir()).unwrap();
    for name in [
        "file_passwd",
        "file_canary",
        "file_environ",
        "file_listing",
        "file_other_process",
        "file_dotdot",
        "file_arrow",
        "file_numpy",
        "socket_tcp",
        "socket_pair",
        "process_fork",
        "process_program",
        "process_shell",
    ] {
        let Some(script) = corpus::scripts().find(|script| script.name == name) else { continue };
        assert!(unconfined(&probe, script.code), "`{name}` has not escaped where it could");
    }
    // A call on the canary port is what it is there to notice.
    assert!(probe.is_untouched().is_err());
}

/// Whether a script raises `Escaped` in a plain interpreter.
fn unconfined(probe: &Probe, code: &str) -> bool {
    let code = format!("{code}\nimport json, sys\ntransform({{}}, json.loads(sys.argv[1]))\n");
    let python = crate::support::home().join("bin/python");
    #[expect(clippy::disallowed_methods, reason = "what must fail inside is shown to work outside")]
    let mut command = std::process::Command::new(python);
    let output = command.args(["-c", &code, &probe.params().to_string()]).output().unwrap();
    String::from_utf8_lossy(&output.stderr).contains("Escaped")
}

#[test]
fn a_tier_is_chosen_by_what_it_stands() {
    let chosen = shirabe_wire::host::self_test(&zygote(), Tier::C, &std::env::temp_dir()).unwrap();
    assert_eq!(chosen.tier, Some(Tier::A), "{chosen:?}");
    assert_eq!(chosen.results.len(), 1);
    let total = corpus::scripts().count();
    assert_eq!(chosen.score(), format!("{total}/{total}"));
}
