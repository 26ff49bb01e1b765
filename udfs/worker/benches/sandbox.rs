//! What the sandbox costs.
//!
//! Compared: one run through the host's side, from the request to sealed rows, against the same prelude and the same
//! code in a plain interpreter with the libraries loaded (`bare.py`).
//! Measured: the self-test that a start waits for; a transform that does nothing, one right after the other and after
//! pauses, in which a child for the next one is made; 1,000,000 rows of 16 columns in and out after pauses, on frames of
//! Arrow and of pandas; the time from the deadline to a dead child, for a loop in Python and one in C.
//! Not measured: loading the libraries, which happens once per zygote; reading and validating rows afterwards.
//! Last numbers: udfs/worker/benches/README.md.

use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use shirabe_columns::{Columns, Sealed};
use shirabe_wire::host::{self, Request, Zygote};
use shirabe_wire::{Frames, InputName, Job, Limits, Tier};

const NOTHING: &str =
    "import pandas as pd\nF = pd.DataFrame({'n': [1]})\ndef transform(inputs, params):\n    return F\n";
const THROUGH: &str = "def transform(inputs, params):\n    return inputs['t']\n";
const LOOPS: [(&str, &str); 2] = [
    ("Python", "def transform(inputs, params):\n    while True:\n        pass\n"),
    (
        "C",
        "import collections, itertools\ndef transform(inputs, params):\n    collections.deque(itertools.repeat(0), maxlen=0)\n",
    ),
];
const ROWS: usize = 1_000_000;
/// Between runs of people who do not wait for each other.
const PAUSE: Duration = Duration::from_millis(100);
type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    #[expect(clippy::disallowed_methods, reason = "`./dev bench` says where the libraries are")]
    let home =
        std::env::var_os("SHIRABE_PYTHON_HOME").ok_or("`./dev bench sandbox` sets SHIRABE_PYTHON_HOME")?;
    let home = PathBuf::from(home);
    let zygote = Zygote::start(Path::new(env!("CARGO_BIN_EXE_shirabe-worker")), &home)?;
    let out = &mut io::stdout();
    let begin = Instant::now();
    let test = host::self_test(&zygote, Tier::C, &std::env::temp_dir())?;
    let seconds = begin.elapsed().as_secs_f64();
    writeln!(out, "self-test: {} on tier {:?}, {seconds:.1} s", test.score(), test.tier)?;
    nothing(out, &zygote, &home)?;
    rows(out, &zygote, &home)?;
    kills(out, &zygote)
}

fn nothing(out: &mut impl io::Write, zygote: &Zygote, home: &Path) -> Result<(), Error> {
    let job = Job::transform(NOTHING);
    let bare = bare(home, &job, None, 200)?;
    report(out, "no-op, bare", &bare)?;
    for tier in Tier::ALL {
        let run = measure(zygote, tier, &job, &[], 200, Duration::ZERO)?;
        report(out, &format!("no-op, tier {tier}"), &run)?;
        let run = measure(zygote, tier, &job, &[], 200, PAUSE)?;
        report(out, &format!("no-op after a pause, tier {tier}"), &run)?;
    }
    Ok(())
}

fn rows(out: &mut impl io::Write, zygote: &Zygote, home: &Path) -> Result<(), Error> {
    let Sealed { file: input, byte_count } = columns()?;
    writeln!(out, "{ROWS} rows x 16 columns, {} MB", byte_count >> 20)?;
    // The same memory, for the interpreter that is compared with.
    let file = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), input.as_raw_fd()));
    for (name, frames) in
        [("Arrow-backed", Frames::PandasArrow), ("pandas", Frames::Pandas), ("pyarrow", Frames::Pyarrow)]
    {
        let mut job = Job::transform(THROUGH);
        job.frames = frames;
        job.inputs = vec![InputName { id: "t".to_owned(), alias: None }];
        report(out, &format!("{name}, bare"), &bare(home, &job, Some(&file), 20)?)?;
        for tier in Tier::ALL {
            report(
                out,
                &format!("{name}, tier {tier}"),
                &measure(zygote, tier, &job, &[&input], 20, PAUSE)?,
            )?;
        }
    }
    Ok(())
}

fn kills(out: &mut impl io::Write, zygote: &Zygote) -> Result<(), Error> {
    for (name, code) in LOOPS {
        let job = Job::transform(code);
        let limits = Limits { deadline_ms: 60, ..Limits::transform() };
        let mut times = Vec::new();
        for _ in 0..100 {
            let request = Request { job: &job, inputs: &[], limits, tier: Tier::A, cancel: None };
            let finished = zygote.run(&request, &mut |_| {});
            times.push(finished.dying.ok_or("it ended by itself")?);
        }
        report(out, &format!("deadline to dead, loop in {name}"), &times)?;
    }
    Ok(())
}

fn measure(
    zygote: &Zygote,
    tier: Tier,
    job: &Job,
    inputs: &[&OwnedFd],
    rounds: u32,
    pause: Duration,
) -> Result<Vec<Duration>, Error> {
    let inputs: Vec<_> = inputs.iter().map(|input| input.as_fd()).collect();
    let mut times = Vec::new();
    for _ in 0..rounds {
        let request = Request { job, inputs: &inputs, limits: Limits::transform(), tier, cancel: None };
        std::thread::sleep(pause);
        let begin = Instant::now();
        let finished = zygote.run(&request, &mut |_| {});
        times.push(begin.elapsed());
        finished.result?;
    }
    Ok(times)
}

fn bare(home: &Path, job: &Job, file: Option<&Path>, rounds: u32) -> Result<Vec<Duration>, Error> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    #[expect(clippy::disallowed_methods, reason = "what is measured against is a plain interpreter")]
    let mut command = Command::new("nice");
    // As a run has it: on a busy machine it would be something else that is compared.
    command.args(["-n", "10"]).arg(home.join("bin/python"));
    command.args([
        "-I".as_ref(),
        folder.join("benches/bare.py").as_os_str(),
        folder.join("../python").as_os_str(),
    ]);
    command.arg(serde_json::to_string(job)?).arg(file.unwrap_or(Path::new("-"))).arg(rounds.to_string());
    command.envs([("OMP_NUM_THREADS", "1"), ("OPENBLAS_NUM_THREADS", "1"), ("MPLBACKEND", "agg")]);
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let times =
        text.lines().filter_map(|line| line.parse().ok()).map(|ms: f64| Duration::from_secs_f64(ms / 1000.0));
    let times: Vec<Duration> = times.collect();
    if times.is_empty() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(times)
}

fn report(out: &mut impl io::Write, name: &str, times: &[Duration]) -> io::Result<()> {
    let mut times = times.to_vec();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1000.0;
    writeln!(out, "{name:<34} p50 {:8.2} ms   p99 {:8.2} ms   ({} rounds)", at(50), at(99), times.len())
}

fn columns() -> Result<Sealed, Error> {
    let column = |at: usize| -> ArrayRef {
        match at % 4 {
            0 => Arc::new(Int64Array::from_iter_values((0..ROWS).map(|row| (row * 31 + at) as i64))),
            1 | 2 => Arc::new(Float64Array::from_iter_values((0..ROWS).map(|row| (row * at) as f64 / 7.0))),
            _ => Arc::new(StringArray::from_iter_values((0..ROWS).map(|row| format!("name {}", row % 1000)))),
        }
    };
    let columns = (0..16).map(|at| (format!("c{at}"), column(at)));
    let batch = RecordBatch::try_from_iter(columns)?;
    let mut rows = Columns::new(batch.schema(), 1 << 30)?;
    rows.append(batch.columns(), batch.num_rows())?;
    Ok(rows.finish()?)
}
