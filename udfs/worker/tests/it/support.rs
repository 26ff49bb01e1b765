//! Writing a test: `zygote()` is a worker with all libraries loaded, shared by the tests of this binary; `Run` is one
//! job on it, with small limits, and `ok`, `rows`, `fails` say what must come of it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use shirabe_columns::Columns;
use shirabe_wire::host::{Answer, Cancel, Failure, Finished, Request, Zygote};
use shirabe_wire::{Frames, InputName, Job, Limits, PythonError, Tier, memory};

/// The virtual environment that `./dev` has made.
pub(crate) fn home() -> PathBuf {
    #[expect(clippy::disallowed_methods, reason = "`./dev test` says where the libraries are")]
    let home = std::env::var_os("SHIRABE_PYTHON_HOME").expect("`./dev test` sets SHIRABE_PYTHON_HOME");
    home.into()
}

pub(crate) fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_shirabe-worker").into()
}

pub(crate) fn start() -> Zygote {
    Zygote::start(&program(), &home()).unwrap()
}

/// One for all tests of a process.
pub(crate) fn zygote() -> Arc<Zygote> {
    static ZYGOTE: OnceLock<Arc<Zygote>> = OnceLock::new();
    Arc::clone(ZYGOTE.get_or_init(|| Arc::new(start())))
}

/// Tiers that this machine offers. Where tests run, all of them have to be there.
pub(crate) const TIERS: [Tier; 3] = Tier::ALL;

pub(crate) fn limits() -> Limits {
    Limits {
        deadline_ms: 60_000,
        memory_bytes_max: 1 << 30,
        output_bytes_max: 64 << 20,
        ..Limits::transform()
    }
}

/// One job.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) job: Job,
    pub(crate) limits: Limits,
    pub(crate) tier: Tier,
    inputs: Vec<OwnedFd>,
    pub(crate) log: Vec<String>,
}

impl Run {
    pub(crate) fn transform(tier: Tier, code: &str) -> Self {
        Self { job: Job::transform(code), limits: limits(), tier, inputs: Vec::new(), log: Vec::new() }
    }

    pub(crate) fn card(tier: Tier, code: &str) -> Self {
        Self { job: Job::card(code), ..Self::transform(tier, code) }
    }

    pub(crate) fn input(self, id: &str, alias: Option<&str>, batch: &RecordBatch) -> Self {
        let mut rows = Columns::new(batch.schema(), u64::MAX).unwrap();
        rows.append(batch.columns(), batch.num_rows()).unwrap();
        self.sealed_input(id, alias, rows.finish().unwrap().file)
    }

    /// As what comes over a connection is handed over.
    pub(crate) fn streamed_input(self, id: &str, alias: Option<&str>, batch: &RecordBatch) -> Self {
        self.sealed_input(id, alias, memory::sealed("input", &[&stream(batch)]).unwrap())
    }

    fn sealed_input(mut self, id: &str, alias: Option<&str>, input: OwnedFd) -> Self {
        self.inputs.push(input);
        self.job.inputs.push(InputName { id: id.to_owned(), alias: alias.map(ToOwned::to_owned) });
        self
    }

    pub(crate) fn frames(mut self, frames: Frames) -> Self {
        self.job.frames = frames;
        self
    }

    pub(crate) fn on(&mut self, zygote: &Zygote, cancel: Option<&Cancel>) -> Finished {
        let inputs: Vec<BorrowedFd<'_>> = self.inputs.iter().map(|input| input.as_fd()).collect();
        let request =
            Request { job: &self.job, inputs: &inputs, limits: self.limits, tier: self.tier, cancel };
        zygote.run(&request, &mut |line| self.log.push(line.to_owned()))
    }

    pub(crate) fn result(&mut self) -> Result<Answer, Failure> {
        self.on(&zygote(), None).result
    }

    #[track_caller]
    pub(crate) fn rows(&mut self) -> RecordBatch {
        match self.result() {
            Ok(Answer::Rows(rows)) => read(rows.stream),
            other => panic!("{other:?}\n{}", self.log.join("\n")),
        }
    }

    #[track_caller]
    pub(crate) fn fails(&mut self) -> Failure {
        self.result().expect_err("it was expected to fail")
    }

    #[track_caller]
    pub(crate) fn raises(&mut self) -> PythonError {
        match self.fails() {
            Failure::PythonError(error) => error,
            other => panic!("expected an exception of Python, got {other:?}"),
        }
    }
}

pub(crate) fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

/// All rows, read with validation, as one batch.
pub(crate) fn read(stream: OwnedFd) -> RecordBatch {
    let reader = StreamReader::try_new(std::fs::File::from(stream), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    match <[RecordBatch; 1]>::try_from(batches) {
        Ok([batch]) => batch,
        Err(batches) if batches.is_empty() => RecordBatch::new_empty(schema),
        Err(batches) => panic!("{} batches", batches.len()),
    }
}
