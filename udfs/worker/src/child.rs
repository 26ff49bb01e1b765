//! The process in which user code runs, and the order in which it gives everything else up.
//!
//! ```text
//!  before there is a job   a run of nothing (begin), rights, Landlock (confine::ahead)
//!  the job                 descriptors at their numbers, inputs in memory, all else closed (take)
//!  before user code        limits, the filter, what must fail (confine::finish)
//! ```

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Signal;
use rustix::time::Timespec;
use shirabe_wire::message::Start;
use shirabe_wire::pieces::{self, Piece};
use shirabe_wire::{Tier, frame, memory};

use crate::confine::{self, limits::Bounds, place::Outside};
use crate::keeper::Place;
use crate::process;

/// Numbers that user code meets: the input is empty, what it prints goes to the two after it.
const REPORT: i32 = 3;
/// As `udfs/python` has it.
const OUTPUT: i32 = 4;
/// What is above these numbers is nothing that a run needs.
pub(crate) const ABOVE_ALL: i32 = 400;

/// A job as it came, with what it is to be run on: addresses and lengths of the pieces of each input.
struct Taken {
    start: Start,
    job: Vec<u8>,
    inputs: Vec<Vec<(usize, usize)>>,
}

/// What a child has of its keeper until it is confined.
#[derive(Debug)]
pub(crate) struct Tie {
    /// Can be read when the keeper is gone.
    pub(crate) alive: OwnedFd,
    /// Where it is told why the child could not be confined. User code never has it.
    pub(crate) trouble: OwnedFd,
    /// Where its job comes from.
    pub(crate) jobs: OwnedFd,
}

/// Waits for a job and runs it. Never returns: the process ends with it.
pub(crate) fn run(tier: Tier, place: &Place<'_>, outside: Outside, tie: Tie) -> ! {
    let Tie { alive, trouble, jobs } = tie;
    let prepare = || -> Result<Taken, String> {
        let bounds = begin(place, alive, outside, [&trouble, &jobs])?;
        confine::ahead(tier, place)?;
        let taken = take(&jobs, &trouble).map_err(|cause| format!("beginning: {cause}"))?;
        confine::finish(&taken.start, &bounds, place)?;
        Ok(taken)
    };
    let confined = prepare();
    // `take` has closed it with all else, or this process ends now.
    std::mem::forget(jobs);
    let Taken { start, job, inputs } = match confined {
        Ok(taken) => taken,
        Err(reason) => {
            // If the keeper is gone, nobody has to know.
            let _ = rustix::io::write(&trouble, reason.as_bytes());
            process::exit(1)
        }
    };
    drop(trouble);
    let report = place.python.run(&job, &inputs, start.limits.output_bytes_max, &tier.to_string());
    process::exit(i32::from(write(&report).is_err()))
}

/// Sees to it that the child does not outlive its keeper, runs nothing once if there is time, and closes what it needs
/// no more.
fn begin(place: &Place<'_>, alive: OwnedFd, outside: Outside, kept: [&OwnedFd; 2]) -> Result<Bounds, String> {
    let Outside { other_tasks, proc } = outside;
    let told = |cause: io::Error| format!("beginning: {cause}");
    tie(&alive).map_err(told)?;
    place.python.after_fork();
    let null = rustix::io::fcntl_dupfd_cloexec(place.null, ABOVE_ALL).map_err(|cause| told(cause.into()))?;
    let proc = rustix::io::fcntl_dupfd_cloexec(proc, ABOVE_ALL).map_err(|cause| told(cause.into()))?;
    // It would close a number that is somebody else's by then.
    std::mem::forget(alive);
    for number in 0..=OUTPUT {
        process::place(&null, number).map_err(told)?;
    }
    drop(null);
    // With a job there already, nobody would gain by it.
    if !can_be_read(kept[1]).map_err(told)? {
        place.python.run_nothing()?;
    }
    // A thread that it had left would not be confined.
    let threads = process::thread_count(&proc).map_err(told)?;
    if threads != 1 {
        return Err(format!("a run of nothing left {threads} threads"));
    }
    let memory = process::memory_bytes(&proc).map_err(told)?;
    drop(proc);
    process::close_all_but(OUTPUT + 1, &kept.map(|file| file.as_fd())).map_err(told)?;
    Ok(Bounds { memory, other_tasks })
}

fn tie(alive: &OwnedFd) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if can_be_read(alive)? {
        return Err(io::Error::other("the keeper is gone"));
    }
    Ok(())
}

fn can_be_read(file: &OwnedFd) -> io::Result<bool> {
    let mut files = [PollFd::new(file, PollFlags::IN)];
    Ok(poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? != 0)
}

/// Waits for a job, reads and maps what came with it, and closes all else.
fn take(jobs: &OwnedFd, trouble: &OwnedFd) -> io::Result<Taken> {
    let (start, descriptors) = match frame::receive::<Start>(jobs) {
        Ok(received) => received,
        // Nobody needs it any more.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => process::exit(0),
        Err(error) => return Err(error),
    };
    let [prints, report, output, job, inputs @ ..] = &descriptors[..] else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let mut text = Vec::new();
    let mut job = File::from(job.try_clone()?);
    job.rewind()?;
    job.read_to_end(&mut text)?;
    let inputs = inputs.iter().map(map).collect::<io::Result<Vec<_>>>()?;
    for (file, number) in [(prints, 1), (prints, 2), (report, REPORT), (output, OUTPUT)] {
        process::place(file, number)?;
    }
    process::close_all_but(OUTPUT + 1, &[trouble.as_fd()])?;
    // They are closed.
    std::mem::forget((descriptors, job));
    Ok(Taken { start, job: text, inputs })
}

/// Maps the pieces of an input to read. Their addresses and lengths.
fn map(input: &OwnedFd) -> io::Result<Vec<(usize, usize)>> {
    if !memory::is_sealed(input)? {
        return Err(io::Error::other("an input can be changed"));
    }
    pieces::read(input)?.iter().map(|piece| map_piece(input, piece)).collect()
}

fn map_piece(input: &OwnedFd, piece: &Piece) -> io::Result<(usize, usize)> {
    let length = usize::try_from(piece.length).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "mapping a file has no safe interface")]
    // SAFETY: the mapping is new memory and stays until the process ends. The file is sealed, so what is read through
    // it never changes and never goes away. It is private: what a run makes writable (`writable.rs`) and then changes
    // is a copy of its own.
    let address = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::PRIVATE | MapFlags::POPULATE,
            input,
            piece.from,
        )?
    };
    Ok((address.addr(), length))
}

fn write(report: &[u8]) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the report is where `begin` has placed it")]
    // SAFETY: `begin` has placed the report there, and no other value in this process owns it.
    let mut file = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(REPORT) });
    file.write_all(report)
}
