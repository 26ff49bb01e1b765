//! Where a child runs and what it has, looked at from outside; and that it ends when nobody is there for it.

use std::fs;
use std::io::{PipeReader, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Child, Command, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::time::Timespec;
use shirabe_wire::host::Failure;
use shirabe_wire::message::{Greeting, Progress, Start};
use shirabe_wire::{Job, Tier, frame, memory};

use crate::processes::{descendants, is_at_rest, wait_until};
use crate::support::{Run, TIERS, home, limits, program, start};

const ENDLESS: &str = "def transform(inputs, params):\n    print('begun')\n    while True:\n        pass\n";
const NAMESPACES: [&str; 7] = ["user", "pid", "net", "mnt", "ipc", "uts", "cgroup"];

#[test]
fn a_child_has_nothing_of_the_zygote() {
    let zygote = start();
    let is_root = rustix::process::geteuid().is_root();
    for tier in TIERS {
        let mut run = Run::transform(tier, ENDLESS);
        run.limits.deadline_ms = 1500;
        let request = shirabe_wire::host::Request {
            job: &run.job,
            inputs: &[],
            limits: run.limits,
            tier,
            cancel: None,
        };
        let mut seen = 0;
        // Once it prints, user code runs. The filter is what the child for the next job does not have yet.
        let finished = zygote.run(&request, &mut |_| {
            for pid in descendants(zygote.id()) {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                if field(&status, "Seccomp") == "2" {
                    seen += 1;
                    look(pid, &status, tier, is_root);
                }
            }
        });
        assert!(matches!(finished.result, Err(Failure::TimedOut { .. })), "{finished:?}");
        assert_eq!(seen, 1, "{tier}");
    }
}

fn look(pid: u32, status: &str, tier: Tier, is_root: bool) {
    assert_eq!(field(status, "NoNewPrivs"), "1");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(status, set), "0000000000000000", "{set} on {tier}");
    }
    if tier == Tier::A {
        assert_eq!(field(status, "NSpid"), format!("{pid}\t1"), "the first process of its namespace");
    }
    // Nobody else may look.
    if !is_root {
        return;
    }
    let users: Vec<u32> = field(status, "Uid").split('\t').map(|user| user.parse().unwrap()).collect();
    assert!(users.iter().all(|user| *user == users[0] && *user != 0), "{users:?}");
    assert_eq!(field(status, "Groups"), "", "{tier}");
    assert_eq!(fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count(), 5, "{tier}");
    for name in NAMESPACES {
        let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/{name}")).unwrap();
        let is_its_own = namespace(&pid.to_string()) != namespace("self");
        assert_eq!(is_its_own, tier == Tier::A, "{name} on {tier}");
    }
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_default().trim()
}

#[test]
fn a_child_that_cannot_be_confined_says_why() {
    // Libraries that are gone once they are loaded cannot be shown to a run.
    let real = home();
    let folder = tempfile::tempdir().unwrap();
    let away = folder.path().join("away");
    fs::create_dir(&away).unwrap();
    for entry in ["lib", "matplotlib"] {
        std::os::unix::fs::symlink(real.join(entry), away.join(entry)).unwrap();
    }
    let zygote = shirabe_wire::host::Zygote::start(&program(), &away).unwrap();
    fs::remove_dir_all(&away).unwrap();
    // Again and again, also by a child that was made ahead of time.
    for _ in 0..3 {
        match Run::transform(Tier::A, ENDLESS).on(&zygote, None).result {
            Err(Failure::Unfit(reason)) => assert!(reason.starts_with("root: "), "{reason}"),
            other => panic!("{other:?}"),
        }
        wait_until("the end of what could not be confined", || descendants(zygote.id()).len() == 1);
    }
    let short = "import pandas as pd\ndef transform(inputs, params):\n    return pd.DataFrame({'n': [1]})\n";
    assert!(Run::transform(Tier::C, short).on(&zygote, None).result.is_ok());
}

#[test]
fn a_run_ends_when_nobody_waits_for_it() {
    let mut worker = Worker::start();
    for tier in TIERS {
        let mut running = worker.begin(tier);
        drop(running.control);
        wait_for(&running.child);
        // Nobody has a copy of the end to which it printed.
        running.log.read_to_string(&mut String::new()).unwrap();
        wait_until("that nothing is left but a child for the next job", || is_at_rest(worker.loader.id()));
    }
    drop(worker.socket);
    assert!(worker.loader.wait().unwrap().success());
}

#[test]
fn a_run_ends_with_the_zygote() {
    for tier in TIERS {
        let mut worker = Worker::start();
        let running = worker.begin(tier);
        // Also the child that waits for the next job.
        wait_until("a child for the next job", || descendants(worker.loader.id()).len() == 3);
        rustix::process::pidfd_send_signal(&worker.zygote, Signal::KILL).unwrap();
        wait_for(&running.child);
        assert!(worker.loader.wait().unwrap().success(), "the loader sees to the end of all, and ends");
        assert!(frame::receive::<Progress>(&running.control).is_err(), "nobody has a copy of its end");
    }
}

/// A worker without the side of the service.
struct Worker {
    loader: Child,
    socket: OwnedFd,
    zygote: OwnedFd,
}

/// A run that has printed.
struct Running {
    control: OwnedFd,
    log: PipeReader,
    child: OwnedFd,
}

impl Worker {
    fn start() -> Self {
        let (socket, theirs) = frame::pair().unwrap();
        #[expect(clippy::disallowed_methods, reason = "what is tested is what the host's side never does")]
        let mut command = Command::new(program());
        command.arg(home()).env_clear().current_dir("/").stdin(Stdio::from(theirs));
        let loader = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let (greeting, mut zygote) = frame::receive::<Greeting>(&socket).unwrap();
        assert!(matches!(greeting, Greeting::Ready { .. }), "{greeting:?}");
        Self { loader, socket, zygote: zygote.pop().unwrap() }
    }

    fn begin(&mut self, tier: Tier) -> Running {
        let (control, asked) = frame::pair().unwrap();
        let (mut log, prints) = std::io::pipe().unwrap();
        let (report, output) = (memory::empty("report").unwrap(), memory::empty("output").unwrap());
        let job = serde_json::to_vec(&Job::transform(ENDLESS)).unwrap();
        let job = memory::sealed("job", &[&job]).unwrap();
        let start = Start { tier, limits: limits(), inputs: 0, input_byte_count: 0 };
        let files = [asked.as_fd(), prints.as_fd(), report.as_fd(), output.as_fd(), job.as_fd()];
        frame::send(&self.socket, &start, &files).unwrap();
        let (progress, mut child) = frame::receive::<Progress>(&control).unwrap();
        assert!(matches!(progress, Progress::Started { .. }), "{progress:?}");
        log.read_exact(&mut [0; 5]).unwrap();
        Running { control, log, child: child.pop().unwrap() }
    }
}

#[track_caller]
fn wait_for(process: &OwnedFd) {
    let minute = Timespec { tv_sec: 60, tv_nsec: 0 };
    assert_eq!(poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&minute)).unwrap(), 1, "it goes on");
}
