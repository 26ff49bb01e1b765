//! One run, from its turn to its end: inputs read, the process waited for, what it left looked through.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use shirabe_wire::host::{Answer, Cancel, Failure, Finished, PythonWorkers, Request};
use shirabe_wire::job::INPUTS_MAX;
use shirabe_wire::{InputName, Job, Limits, Tier};
use tokio::sync::mpsc;

use super::admission::Slot;
use super::hint::Known;
use super::input::{self, Content, Sealed};
use super::kept::{Dropped, KeptInputs};
use super::output::{self, Checked, MESSAGE_BYTES_MAX};
use super::{Class, InputRows, Output, PythonRun, Ran, SameRows, ended};
use crate::catalog::transform::Usage;
use crate::error::{Error, Result};
use crate::ids::UserId;
use crate::tasks;
use crate::telemetry::{PYTHON_DURATION, PYTHON_RUNS};

/// What a run takes beside what its code asks for: pages of the libraries that it changes, and its folder.
pub(super) const OVERHEAD_BYTES: u64 = 192 << 20;
/// What is left to the code of a run whose inputs fill its memory.
const SHARE_OF_CODE: u64 = 4;

/// Columns of all inputs together that are pieces of memory of their own: each is up to three areas, of which the kernel
/// gives a process some 65,000.
const COLUMNS_MAX: usize = 8192;

/// What a run is to be given.
pub(super) struct Input {
    pub(super) name: InputName,
    pub(super) content: Content,
    /// Which rows they are, if another run may be given them too.
    pub(super) same: Option<SameRows>,
}

impl From<InputRows> for Input {
    fn from(input: InputRows) -> Self {
        let InputRows { name, schema, rows, same } = input;
        Self { name, content: Content::new(&schema, rows), same }
    }
}

/// A run whose inputs can be read.
pub(super) struct Prepared {
    pub(super) job: Job,
    pub(super) inputs: Vec<Input>,
    pub(super) limits: Limits,
    pub(super) class: Class,
    pub(super) lines: Option<mpsc::Sender<String>>,
    pub(super) user_id: UserId,
    pub(super) known: Known,
}

impl Prepared {
    pub(super) fn new(run: PythonRun) -> Result<Self> {
        let PythonRun { job, inputs, limits, class, lines, user_id } = run;
        if inputs.len() > INPUTS_MAX {
            let count = inputs.len();
            return Err(Error::invalid(format!("a run has {count} inputs, expected at most {INPUTS_MAX}")));
        }
        let known = Known::new(inputs.iter().map(|input| (&input.name, &input.schema)));
        let inputs = inputs.into_iter().map(Input::from).collect();
        Ok(Self { job, inputs, limits, class, lines, user_id, known })
    }
}

/// A run that has ended, with what it left.
pub(super) struct Ended {
    pub(super) left: Result<Left>,
    pub(super) log: String,
    pub(super) log_was_cut: bool,
    pub(super) lines_dropped: u64,
    pub(super) usage: Usage,
    pub(super) violation: bool,
}

pub(super) enum Left {
    /// With the memory that they lie in.
    Rows(Checked, Slot),
    Card {
        html: String,
        used_columns: Vec<String>,
        filter_applicable: Vec<String>,
    },
}

pub(super) fn letter(tier: Tier) -> char {
    match tier {
        Tier::A => 'A',
        Tier::B => 'B',
        Tier::C => 'C',
    }
}

/// The inputs in memory, of which `slot` has `bytes_left` for them.
async fn sealed(
    inputs: Vec<Input>,
    kept: &KeptInputs,
    slot: &Slot,
    mut bytes_left: u64,
) -> Result<Vec<Arc<Sealed>>> {
    let mut columns_left = COLUMNS_MAX;
    let inputs = inputs.into_iter().map(|Input { content, same, .. }| {
        let content = content.within(&mut columns_left)?;
        let same = same.filter(|_| content.is_as_for_all());
        Ok((same.and_then(|rows| kept.find(rows)), content, same))
    });
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    // Not before those that this run uses are known, which are in its own memory.
    give_back(kept.leave(slot.memory_left())).await?;
    let mut sealed = Vec::with_capacity(inputs.len());
    // One after the other, so that they are not all read at once.
    for (found, content, same) in inputs {
        let input = match found {
            Some(input) if input.byte_count > bytes_left => return Err(input::too_large(bytes_left)),
            Some(input) => input,
            None => {
                let input = Arc::new(input::sealed(content, bytes_left).await?);
                if let Some(rows) = same {
                    give_back(kept.keep(rows, &input)).await?;
                }
                input
            }
        };
        // Memory is taken in whole pages.
        bytes_left = bytes_left.saturating_sub(input.byte_count);
        sealed.push(input);
    }
    Ok(sealed)
}

/// Waits until the memory is there for others.
async fn give_back(dropped: Dropped) -> Result<()> {
    if dropped.is_empty() {
        return Ok(());
    }
    tasks::blocking(move || {
        drop(dropped);
        Ok(())
    })
    .await
}

/// Ends the run when nobody waits for it any more. Afterwards it does nothing.
#[derive(Debug)]
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Counts a run when it is dropped, also one that nobody waits for any more.
#[derive(Debug)]
struct Recorder {
    class: Class,
    begun: Instant,
    outcome: Option<String>,
}

impl Recorder {
    fn record<T>(&mut self, outcome: &Result<T>) {
        let failed = outcome.as_ref().err().map(|error| error.code().to_string().to_lowercase());
        self.outcome = Some(failed.unwrap_or_else(|| "ok".to_owned()));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let outcome = self.outcome.take().unwrap_or_else(|| "cancelled".to_owned());
        metrics::counter!(PYTHON_RUNS, "class" => self.class.name(), "outcome" => outcome).increment(1);
        metrics::histogram!(PYTHON_DURATION, "class" => self.class.name())
            .record(self.begun.elapsed().as_secs_f64());
    }
}

/// The right to run.
#[derive(Debug)]
pub(super) struct Turn {
    slot: Slot,
    workers: Arc<PythonWorkers>,
    kept: Arc<KeptInputs>,
    recorder: Recorder,
}

impl Turn {
    pub(super) fn new(slot: Slot, workers: Arc<PythonWorkers>, kept: Arc<KeptInputs>, class: Class) -> Self {
        Self { slot, workers, kept, recorder: Recorder { class, begun: Instant::now(), outcome: None } }
    }

    /// Reads the inputs of `run`.
    ///
    /// # Errors
    /// `ExecutionTimedOut` when that takes longer than the run may, `OverLimit` when they do not fit into its memory,
    /// or what they fail with.
    pub(super) async fn begin(mut self, run: Prepared) -> Result<Begun> {
        let Prepared { mut job, inputs, mut limits, lines, known, .. } = run;
        // A machine that has less than the limit gives what it has.
        let memory_bytes =
            self.slot.memory_bytes().saturating_sub(OVERHEAD_BYTES).min(limits.memory_bytes_max);
        let of_inputs = memory_bytes - memory_bytes / SHARE_OF_CODE;
        job.inputs = inputs.iter().map(|input| input.name.clone()).collect();
        let reading = Duration::from_millis(limits.deadline_ms);
        let read = tokio::time::timeout(reading, sealed(inputs, &self.kept, &self.slot, of_inputs)).await;
        let read = read.unwrap_or_else(|_| {
            let seconds = limits.deadline_ms.div_ceil(1000);
            Err(Error::ExecutionTimedOut(format!("reading the inputs took longer than {seconds} s")))
        });
        if read.is_err() {
            self.recorder.record(&read);
        }
        let inputs = read?;
        let input_bytes = inputs.iter().map(|input| input.byte_count).sum();
        limits.memory_bytes_max = memory_bytes.saturating_sub(input_bytes);
        let cancel = Cancel::new().map_err(Error::internal)?;
        let Self { slot, workers, recorder, .. } = self;
        let run = Run { job, inputs, limits, lines, cancel, workers, slot };
        Ok(Begun { run, input_bytes, known, recorder })
    }
}

/// A run that can be run.
#[derive(Debug)]
pub(super) struct Begun {
    run: Run,
    input_bytes: u64,
    known: Known,
    recorder: Recorder,
}

impl Begun {
    /// To its end. Dropping the future ends the process.
    pub(super) async fn finish(self) -> Ended {
        let Self { run, input_bytes, known, mut recorder } = self;
        let on_drop = CancelOnDrop(run.cancel.clone());
        let done = tasks::blocking(move || Ok::<_, Error>(run.run())).await;
        drop(on_drop);
        let ended = match done {
            Ok(done) => done.ended(input_bytes, &known),
            Err(error) => Ended::failed(error),
        };
        recorder.record(&ended.left);
        if ended.violation {
            tracing::warn!(class = %recorder.class, "Python code tried to break out of its sandbox");
        }
        ended
    }
}

/// A run that has all it needs.
#[derive(Debug)]
struct Run {
    job: Job,
    inputs: Vec<Arc<Sealed>>,
    limits: Limits,
    lines: Option<mpsc::Sender<String>>,
    cancel: Cancel,
    workers: Arc<PythonWorkers>,
    slot: Slot,
}

/// A run whose process is dead.
struct Done {
    finished: Finished,
    log: String,
    lines_dropped: u64,
    tier: Tier,
    slot: Slot,
}

impl Run {
    /// To the end. The slot comes back with what the process left, or is given back.
    fn run(self) -> Done {
        let Self { job, inputs, limits, lines, cancel, workers, slot } = self;
        let (mut log, mut lines_dropped) = (String::new(), 0);
        let mut on_line = |line: &str| {
            log.push_str(line);
            log.push('\n');
            let took = lines.as_ref().is_none_or(|lines| lines.try_send(line.to_owned()).is_ok());
            lines_dropped += u64::from(!took);
        };
        let tier = workers.tier();
        let files: Vec<_> = inputs.iter().map(|input| input.file.as_fd()).collect();
        let request = Request { job: &job, inputs: &files, limits, tier, cancel: Some(&cancel) };
        let finished = workers.run(&request, &mut on_line);
        Done { finished, log, lines_dropped, tier, slot }
    }
}

impl Done {
    fn ended(self, input_bytes: u64, known: &Known) -> Ended {
        let Self { finished, log, lines_dropped, tier, slot } = self;
        let mut usage = Usage {
            cpu_ms: finished.used.cpu_ms,
            memory_peak_bytes: finished.used.memory_peak_bytes,
            input_bytes,
            output_bytes: 0,
            sandbox_tier: Some(letter(tier)),
        };
        let violation = matches!(finished.result, Err(Failure::Violation));
        let left = match finished.result {
            Ok(answer) => left(answer, slot, &mut usage),
            Err(failure) => Err(ended::error(failure, known)),
        };
        Ended { left, log, log_was_cut: finished.log_was_cut, lines_dropped, usage, violation }
    }
}

fn left(answer: Answer, mut slot: Slot, usage: &mut Usage) -> Result<Left> {
    match answer {
        Answer::Rows(rows) => {
            usage.output_bytes = rows.byte_count;
            slot.keep_only(rows.byte_count.saturating_add(rows.byte_count.min(MESSAGE_BYTES_MAX)));
            Ok(Left::Rows(output::check(rows).map_err(output::unreadable)?, slot))
        }
        Answer::Card { html, report } => {
            usage.output_bytes = html.len() as u64;
            let (used_columns, filter_applicable) = (report.used_columns, report.filter_applicable);
            Ok(Left::Card { html, used_columns, filter_applicable })
        }
    }
}

impl Ended {
    fn failed(error: Error) -> Self {
        Self {
            left: Err(error),
            log: String::new(),
            log_was_cut: false,
            lines_dropped: 0,
            usage: Usage::default(),
            violation: false,
        }
    }
}

impl From<Ended> for Ran {
    fn from(ended: Ended) -> Self {
        let Ended { left, log, log_was_cut, lines_dropped, usage, violation } = ended;
        let result = left.map(|left| match left {
            Left::Rows(checked, slot) => Output::Rows {
                schema: Arc::clone(&checked.schema),
                row_count: checked.row_count,
                rows: checked.rows(slot),
            },
            Left::Card { html, used_columns, filter_applicable } => {
                Output::Card { html, used_columns, filter_applicable }
            }
        });
        Self { result, log, log_was_cut, lines_dropped, usage, violation }
    }
}
