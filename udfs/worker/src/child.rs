//! The process in which user code runs, and the order in which it gives everything else up.
//!
//! ```text
//!  first of all            what the zygote has open (begin), the place (confine::place)
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
use shirabe_wire::{frame, memory};

use crate::confine;
use crate::confine::filter::Filters;
use crate::confine::limits::Bounds;
use crate::confine::place::{self, Birth};
use crate::interpreter::Loaded;
use crate::layout::Layout;
use crate::process;
use crate::spare::Kind;

/// Numbers that user code meets: the input is empty, what it prints goes to the two after it.
const REPORT: i32 = 3;
/// As `udfs/python` has it.
const OUTPUT: i32 = 4;
/// What is above these numbers is nothing that a run needs.
pub(crate) const ABOVE_ALL: i32 = 400;

/// What each child has of the zygote. Its descriptors are above all numbers that user code meets.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) python: Loaded,
    pub(crate) layout: Layout,
    pub(crate) filters: Filters,
    pub(crate) null: OwnedFd,
    /// `/proc`, to which a child may have no path.
    pub(crate) proc: OwnedFd,
    /// The zygote: can be read when that is gone.
    pub(crate) zygote: OwnedFd,
    pub(crate) is_root: bool,
    /// Threads of the user that were there at the start, for limits that count all of them.
    pub(crate) tasks_of_user: u64,
}

/// What a child has of its own until it is confined.
#[derive(Debug)]
pub(crate) struct Tie {
    /// Where it is told why the child could not be confined. User code never has it.
    pub(crate) trouble: OwnedFd,
    /// Where its job comes from.
    pub(crate) jobs: OwnedFd,
}

/// A job as it came, with what it is to be run on: addresses and lengths of the pieces of each input.
struct Taken {
    start: Start,
    job: Vec<u8>,
    inputs: Vec<Vec<(usize, usize)>>,
}

/// Waits for a job and runs it. Never returns: the process ends with it.
pub(crate) fn run(kind: Kind, birth: Birth, run_number: u32, origin: &Origin, tie: Tie) -> ! {
    let Tie { trouble, jobs } = tie;
    let prepare = || -> Result<Taken, String> {
        let bounds = begin(kind, birth, run_number, origin, [&trouble, &jobs])?;
        confine::ahead(kind.tier, origin)?;
        let taken = take(&jobs, &trouble).map_err(|cause| format!("beginning: {cause}"))?;
        confine::finish(&taken.start, &bounds, origin)?;
        Ok(taken)
    };
    let confined = prepare();
    // `take` has closed it with all else, or this process ends now.
    std::mem::forget(jobs);
    let Taken { start, job, inputs } = match confined {
        Ok(taken) => taken,
        Err(reason) => {
            // If the zygote is gone, nobody has to know.
            let _ = rustix::io::write(&trouble, reason.as_bytes());
            process::exit(1)
        }
    };
    drop(trouble);
    let report = origin.python.run(&job, &inputs, start.limits.output_bytes_max, &kind.tier.to_string());
    process::exit(i32::from(write(&report).is_err()))
}

/// Closes what is the zygote's and other runs', goes to a place of its own, and runs nothing once if there is time.
fn begin(
    kind: Kind,
    birth: Birth,
    run_number: u32,
    origin: &Origin,
    kept: [&OwnedFd; 2],
) -> Result<Bounds, String> {
    let told = |cause: io::Error| format!("beginning: {cause}");
    let Origin { null, proc, zygote, .. } = origin;
    let [_, jobs] = kept;
    // First of all, because a copy of the zygote has its ends of all other runs; and what came with a job, if there is one
    // already: what a run prints has an end when the child's copy is gone.
    let all = [null, proc, zygote].into_iter().chain(kept).map(|file| file.as_fd()).collect::<Vec<_>>();
    process::close_all_but(REPORT, &all).map_err(told)?;
    process::unblock_ended_children().map_err(told)?;
    tie(zygote).map_err(told)?;
    let other_tasks = place::make(kind, birth, run_number, origin, jobs)?;
    // Again, because a change of user takes it back.
    tie(zygote).map_err(told)?;
    origin.python.after_fork();
    for number in 0..=OUTPUT {
        process::place(null, number).map_err(told)?;
    }
    // With a job there already, nobody would gain by it.
    if !can_be_read(jobs).map_err(told)? {
        origin.python.run_nothing()?;
    }
    // A thread that it had left would not be confined.
    let threads = process::thread_count(proc).map_err(told)?;
    if threads != 1 {
        return Err(format!("a run of nothing left {threads} threads"));
    }
    let memory = process::memory_bytes(proc, "self").map_err(told)?;
    process::close_all_but(OUTPUT + 1, &kept.map(|file| file.as_fd())).map_err(told)?;
    Ok(Bounds { memory, other_tasks })
}

/// Sees to it that the child does not outlive the zygote.
fn tie(zygote: &OwnedFd) -> io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before, and then there is no signal.
    if can_be_read(zygote)? {
        return Err(io::Error::other("the zygote is gone"));
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
