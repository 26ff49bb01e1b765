//! The hostile scripts, run through the real path, and the tier that stands all of them.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::run::Request;
use super::zygote::Zygote;
use crate::corpus::{self, Script};
use crate::job::{Job, Tier};

/// What is outside, and must stay as it is: a file, and a port on which nobody calls.
#[derive(Debug)]
pub struct Probe {
    file: PathBuf,
    listener: TcpListener,
    port: u16,
}

/// Scripts that are run at the same time.
const AT_ONCE: usize = 4;

const SECRET: &str = "shirabe-canary";

impl Probe {
    /// Makes them; `folder` is where anybody may write.
    ///
    /// # Errors
    /// When the file or the port cannot be had.
    pub fn new(folder: &std::path::Path) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let file = folder.join(format!("shirabe-canary-{}-{port}", std::process::id()));
        std::fs::write(&file, SECRET)?;
        Ok(Self { file, listener, port })
    }

    /// Where they are, for the scripts.
    #[must_use]
    pub fn params(&self) -> serde_json::Value {
        serde_json::json!({ "file": self.file, "port": self.port, "pid": std::process::id(), "secret": SECRET })
    }

    /// Whether they are as they were.
    ///
    /// # Errors
    /// With what has changed.
    pub fn is_untouched(&self) -> Result<(), String> {
        match std::fs::read_to_string(&self.file) {
            Ok(text) if text == SECRET => {}
            Ok(_) => return Err("the canary file was changed".to_owned()),
            Err(error) => return Err(format!("the canary file cannot be read: {error}")),
        }
        match self.listener.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Ok((_, peer)) => Err(format!("{peer} has called the canary port")),
            Err(error) => Err(format!("the canary port is gone: {error}")),
        }
    }

    /// Runs one script, and sees what became of it and of what is outside.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn run(&self, zygote: &Zygote, tier: Tier, script: &Script) -> Result<(), String> {
        let job = script.job(self.params());
        let request = Request { job: &job, inputs: &[], limits: script.limits(), tier, cancel: None };
        let mut printed = String::new();
        let finished = zygote.run(&request, &mut |line| printed.push_str(line));
        script.check(tier, finished.result.as_ref().err())?;
        if printed.contains(SECRET) {
            return Err(format!("`{}` on tier {tier} has read the canary file", script.name));
        }
        self.is_untouched().map_err(|reason| format!("after `{}` on tier {tier}: {reason}", script.name))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        // A file of a few bytes that is left behind is no reason to fail.
        let _ = std::fs::remove_file(&self.file);
    }
}

/// How one tier stood it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierResult {
    pub tier: Tier,
    pub passed: usize,
    pub total: usize,
    /// The first thing that was wrong.
    pub reason: Option<String>,
}

/// Which tiers were tried, and the one to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelfTest {
    /// None: nothing may be run.
    pub tier: Option<Tier>,
    pub results: Vec<TierResult>,
}

impl SelfTest {
    /// As `/api/health/detail` shows it: `66/66`.
    #[must_use]
    pub fn score(&self) -> String {
        let chosen =
            self.results.iter().find(|result| Some(result.tier) == self.tier).or(self.results.last());
        chosen.map_or_else(|| "0/0".to_owned(), |result| format!("{}/{}", result.passed, result.total))
    }
}

/// Tries the tiers from the most confined one on, down to `tier_min`, and takes the first that stands every script.
/// A tier that cannot run honest code is not tried at all.
///
/// # Errors
/// When there is nothing outside to be watched.
pub fn self_test(zygote: &Zygote, tier_min: Tier, folder: &std::path::Path) -> io::Result<SelfTest> {
    let probe = Probe::new(folder)?;
    let mut results = Vec::new();
    for tier in Tier::ALL.into_iter().filter(|tier| *tier <= tier_min) {
        let result = test_tier(zygote, tier, &probe);
        let stands = result.reason.is_none();
        results.push(result);
        if stands {
            return Ok(SelfTest { tier: Some(tier), results });
        }
    }
    Ok(SelfTest { tier: None, results })
}

fn test_tier(zygote: &Zygote, tier: Tier, probe: &Probe) -> TierResult {
    let total = corpus::scripts().count();
    if let Err(reason) = honest(zygote, tier) {
        return TierResult { tier, passed: 0, total, reason: Some(reason) };
    }
    let reasons = run_all(zygote, tier, probe);
    let passed = total - reasons.len();
    let reason = reasons.into_iter().next().or_else(|| honest(zygote, tier).err());
    TierResult { tier, passed, total, reason }
}

/// Several at a time: many of them do nothing but wait for their deadline.
fn run_all(zygote: &Zygote, tier: Tier, probe: &Probe) -> Vec<String> {
    let scripts: Vec<Script> = corpus::scripts().collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut reasons = Vec::new();
        while let Some(script) = scripts.get(next.fetch_add(1, Ordering::Relaxed)) {
            reasons.extend(probe.run(zygote, tier, script).err());
        }
        reasons
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().unwrap_or_else(|_| vec!["running the scripts has panicked".to_owned()])
        });
        ended.flatten().collect()
    })
}

fn honest(zygote: &Zygote, tier: Tier) -> Result<(), String> {
    let code =
        "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({'n': [1, 2]})\n";
    let job = Job::transform(code);
    let limits = corpus::Script { name: "honest", code }.limits();
    let request = Request { job: &job, inputs: &[], limits, tier, cancel: None };
    let finished = zygote.run(&request, &mut |_| {});
    finished.result.map(drop).map_err(|failure| format!("honest code fails: {failure}"))
}
