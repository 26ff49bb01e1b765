//! The process in which user code runs, and the order in which it gives everything else up.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd as _, FromRawFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::process::Signal;
use rustix::time::Timespec;
use shirabe_wire::memory;

use crate::confine::{self, place::Bounds};
use crate::keeper::{Place, Run};
use crate::process;

/// Numbers that user code meets: the input is empty, what it prints goes to the two after it.
const REPORT: i32 = 3;
/// As `udfs/python` has it.
const OUTPUT: i32 = 4;
/// What is above these numbers is nothing that a run needs.
pub(crate) const ABOVE_ALL: i32 = 400;

/// The job, and where its inputs are: addresses and lengths.
type Begun = (Vec<u8>, Vec<(usize, usize)>);

/// What ties a child to its keeper until it is confined.
#[derive(Debug)]
pub(crate) struct Tie {
    /// Can be read when the keeper is gone.
    pub(crate) alive: OwnedFd,
    /// Where it is told why the child could not be confined. User code never has it.
    pub(crate) trouble: OwnedFd,
}

/// Runs the job. Never returns: the process ends with it.
pub(crate) fn run(run: Run, place: &Place<'_>, bounds: &Bounds, tie: Tie) -> ! {
    let tier = run.start.tier;
    let limits = run.start.limits;
    let Tie { alive, trouble } = tie;
    let begun = begin(run, place, alive, &trouble);
    let confined = begun.map_err(|cause| format!("beginning: {cause}")).and_then(|begun| {
        confine::confine(tier, &limits, bounds, place)?;
        Ok(begun)
    });
    let (job, inputs) = match confined {
        Ok(begun) => begun,
        Err(reason) => {
            // If the keeper is gone, nobody has to know.
            let _ = rustix::io::write(&trouble, reason.as_bytes());
            process::exit(1)
        }
    };
    drop(trouble);
    let report = place.python.run(&job, &inputs, limits.output_bytes_max, &tier.to_string());
    process::exit(i32::from(write(&report).is_err()))
}

/// Sees to it that the child does not outlive its keeper, reads and maps what it was given, and closes all else.
fn begin(run: Run, place: &Place<'_>, alive: OwnedFd, trouble: &OwnedFd) -> io::Result<Begun> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut files = [PollFd::new(&alive, PollFlags::IN)];
    if poll(&mut files, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))? != 0 {
        return Err(io::Error::other("the keeper is gone"));
    }
    place.python.after_fork();
    let mut job = Vec::new();
    let mut file = File::from(run.job);
    file.rewind()?;
    file.read_to_end(&mut job)?;
    let inputs = run.inputs.iter().map(map).collect::<io::Result<Vec<_>>>()?;
    let log = above(&run.log)?;
    let report = above(&run.report)?;
    let output = above(&run.output)?;
    process::place(place.null.try_clone()?, 0)?;
    process::place(log.try_clone()?, 1)?;
    process::place(log, 2)?;
    process::place(report, REPORT)?;
    process::place(output, OUTPUT)?;
    // These would close numbers that are somebody else's by then.
    std::mem::forget((file, alive, run.control, run.log, run.report, run.output, run.inputs));
    process::close_all_but(OUTPUT + 1, trouble.as_fd())?;
    Ok((job, inputs))
}

/// A copy out of the way of the numbers that are expected.
fn above(file: &OwnedFd) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(file, ABOVE_ALL)?)
}

/// Maps an input to read. Its address and its length.
fn map(input: &OwnedFd) -> io::Result<(usize, usize)> {
    if !memory::is_sealed(input)? {
        return Err(io::Error::other("an input can be changed"));
    }
    let length = usize::try_from(memory::length(input)?).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "mapping a file has no safe interface")]
    // SAFETY: the mapping is new memory and stays until the process ends. The file is sealed, so what is read through
    // it never changes and never goes away.
    let address = unsafe {
        rustix::mm::mmap(
            std::ptr::null_mut(),
            length,
            ProtFlags::READ,
            MapFlags::SHARED | MapFlags::POPULATE,
            input,
            0,
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
