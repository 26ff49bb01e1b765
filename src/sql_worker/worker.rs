//! The service's end of a worker.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::fs::MemfdFlags;
use rustix::process::Signal;
use tokio_seqpacket::UnixSeqpacket;

use super::job::Known;
use super::message::{Frame, FromWorker, ToWorker};
use super::packet;
use super::pool::WorkerSettings;
use super::process::{self, Process};
use super::{AREAS, FRAME_BYTES_MAX, area};
use crate::error::{Error, Result};

/// How long a worker may take until it is ready.
const BEGIN_WITHIN: Duration = Duration::from_secs(30);
/// An area that has grown larger is emptied after the query.
const AREA_BYTES_KEPT: u64 = 8 << 20;

/// A process that waits for a query, or runs one.
#[derive(Debug)]
pub(super) struct Worker {
    process: Process,
    socket: UnixSeqpacket,
    areas: Vec<File>,
    spill: File,
    pub(super) known: Known,
    /// Whether the kernel has Landlock.
    pub(super) landlock: bool,
    /// Queries so far.
    pub(super) answered: u32,
}

impl Worker {
    /// Starts a process, and waits until it is confined.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be started, or not be confined.
    pub(super) async fn start(settings: &WorkerSettings) -> Result<Self> {
        let mut worker = Self::spawn(settings).map_err(|cause| unavailable(cause.to_string()))?;
        let began = tokio::time::timeout(BEGIN_WITHIN, worker.begin()).await;
        match began.unwrap_or_else(|_| Err(unavailable(format!("it was not ready after {BEGIN_WITHIN:?}")))) {
            Ok(landlock) => worker.landlock = landlock,
            Err(error) => {
                let status = worker.process.end().await;
                tracing::error!(%error, ?status, "a worker for SQL could not be started");
                return Err(error);
            }
        }
        Ok(worker)
    }

    fn spawn(settings: &WorkerSettings) -> io::Result<Self> {
        let areas = (0..AREAS).map(|_| Ok(rustix::fs::memfd_create("rows", MemfdFlags::CLOEXEC)?.into()));
        let areas = areas.collect::<io::Result<_>>()?;
        // Without a name, so that it goes with the last process that has it open.
        let spill = tempfile::tempfile_in(&settings.spill_dir)?;
        let (process, socket) = Process::start(&settings.program, &settings.begin())?;
        Ok(Self { process, socket, areas, spill, known: Known::default(), landlock: false, answered: 0 })
    }

    async fn begin(&self) -> Result<bool> {
        let mut descriptors: Vec<_> = self.areas.iter().map(File::as_fd).collect();
        descriptors.push(self.spill.as_fd());
        self.send_with(&ToWorker::Begin, &descriptors)
            .await
            .map_err(|cause| unavailable(cause.to_string()))?;
        match self.receive().await.map_err(|cause| unavailable(cause.to_string()))? {
            FromWorker::Ready { landlock } => Ok(landlock),
            FromWorker::Unfit(reason) => Err(unavailable(reason)),
            other => Err(unavailable(format!("it began with {other:?}"))),
        }
    }

    pub(super) async fn send(&self, message: &ToWorker) -> io::Result<()> {
        self.send_with(message, &[]).await
    }

    pub(super) async fn send_with(
        &self,
        message: &ToWorker,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        packet::send(&self.socket, &serde_json::to_vec(message)?, descriptors).await
    }

    /// The next message. Can be dropped and asked for again.
    ///
    /// # Errors
    /// `UnexpectedEof` or `ConnectionReset` when the worker has ended, others when it does not keep the rules.
    pub(super) async fn receive(&self) -> io::Result<FromWorker> {
        let packet = packet::receive(&self.socket).await?;
        Ok(serde_json::from_slice(&packet.body)?)
    }

    /// The bytes of a frame, as they are at this moment, out of the worker's reach.
    pub(super) fn copy(&self, frame: Frame) -> io::Result<Vec<u8>> {
        let area = self.areas.get(frame.area).filter(|_| frame.byte_count <= FRAME_BYTES_MAX);
        let area =
            area.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "there is no such frame"))?;
        area::read(area, 0, frame.byte_count)
    }

    /// Whether it has ended while nobody looked.
    pub(super) fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it, and says what the end of its process means for the query that it ran.
    pub(super) async fn end(self) -> Error {
        let status = self.process.end().await;
        tracing::warn!(?status, "a worker for SQL ended while it ran a query");
        why(status)
    }

    /// Gives back what a query has left: memory of large frames, and spilled rows.
    pub(super) fn tidy(&self) -> io::Result<()> {
        for area in &self.areas {
            if area.metadata()?.len() > AREA_BYTES_KEPT {
                area.set_len(0)?;
            }
        }
        self.spill.set_len(0)
    }

    /// Bytes of memory that it has, as far as the system tells.
    pub(super) fn memory_used(&self) -> Option<u64> {
        process::memory(&self.process.id()?.to_string(), "VmRSS").ok()
    }
}

fn unavailable(reason: String) -> Error {
    Error::Unavailable { message: format!("no worker for SQL can be used: {reason}"), cause: None }
}

/// What a query is told when its worker ended under it.
fn why(status: Option<ExitStatus>) -> Error {
    let signal = status.and_then(|status| status.signal());
    if signal == Some(Signal::ABORT.as_raw()) {
        let reason = "the query needed more memory, or a deeper stack, than a worker may use";
        return Error::OverLimit(reason.to_owned());
    }
    if signal == Some(Signal::KILL.as_raw()) {
        let message = "the process that ran the query was ended from outside: try again".to_owned();
        return Error::Unavailable { message, cause: None };
    }
    Error::internal(match status {
        Some(status) => format!("a worker for SQL ended: {status}"),
        None => "a worker for SQL ended, and nobody knows how".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn the_end_of_a_worker_is_named() {
        check(Some(Signal::ABORT.as_raw()), Code::OverLimit);
        check(Some(Signal::KILL.as_raw()), Code::ServiceUnavailable);
        check(Some(Signal::SEGV.as_raw()), Code::InternalError);
        check(Some(Signal::SYS.as_raw()), Code::InternalError);
        check(Some(0), Code::InternalError);
        check(None, Code::InternalError);

        #[track_caller]
        fn check(status: Option<i32>, expected: Code) {
            assert_eq!(why(status.map(ExitStatus::from_raw)).code(), expected, "{status:?}");
        }
    }
}
