//! Where Python keeps the small objects of the libraries: one area, instead of hundreds of a megabyte each.
//!
//! Why: a fork copies the description of every area and of every page in it, and the end of a process takes each apart
//! again. One area can lie in large pages from its beginning to its end (`pages.rs`).

use std::ffi::c_void;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::ffi;

/// More than the libraries need. Addresses only, until they are used.
const BYTES: usize = 512 << 20;
const LARGE: usize = 2 << 20;
/// How much Python asks for when it has no room for small objects. What it asks for otherwise lies elsewhere.
const ARENA: usize = 1 << 20;

/// What of the area is free: from here, to there. One thread uses it, the one that holds the interpreter's lock.
static FREE: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
/// The part that Python has given back last, in which stands which one it was before that; or none.
static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);

/// Sets the area aside. Before Python has any object.
pub(crate) fn gather() -> io::Result<()> {
    let area = map(BYTES);
    if area.is_null() {
        return Err(io::Error::last_os_error());
    }
    FREE.store(area.addr().next_multiple_of(LARGE), Ordering::Relaxed);
    END.store(area.expose_provenance() + BYTES, Ordering::Relaxed);
    let mut allocator =
        ffi::PyObjectArenaAllocator { ctx: ptr::null_mut(), alloc: Some(allocate), free: Some(free) };
    #[expect(unsafe_code, reason = "where objects lie has no safe interface")]
    // SAFETY: there is no interpreter yet, so nobody uses the one before. The call copies `allocator`, whose functions
    // return new memory of the size asked for, or null, and give back what they have returned.
    unsafe {
        ffi::PyObject_SetArenaAllocator(&raw mut allocator);
    }
    Ok(())
}

/// Gives back what the libraries have not used. What is allocated from now on counts towards the limit of a run.
pub(crate) fn close() {
    let end = END.swap(0, Ordering::Relaxed);
    let free_from = FREE.swap(0, Ordering::Relaxed);
    unmap(free_from, end - free_from);
}

extern "C" fn allocate(_: *mut c_void, size: usize) -> *mut c_void {
    let given_back = GIVEN_BACK.load(Ordering::Relaxed);
    let from = FREE.load(Ordering::Relaxed);
    if size != ARENA || (given_back == 0 && END.load(Ordering::Relaxed) - from < size) {
        return map(size);
    }
    if given_back == 0 {
        FREE.store(from + size, Ordering::Relaxed);
        return ptr::with_exposed_provenance_mut(from);
    }
    let part = ptr::with_exposed_provenance_mut::<usize>(given_back);
    #[expect(unsafe_code, reason = "the list is in the parts themselves")]
    // SAFETY: `free` has written a number there, and nobody had the part since.
    let before = unsafe { part.read() };
    GIVEN_BACK.store(before, Ordering::Relaxed);
    part.cast()
}

extern "C" fn free(_: *mut c_void, address: *mut c_void, size: usize) {
    // While libraries are loaded, an arena is soon needed again. A hole would divide the area.
    if size != ARENA || END.load(Ordering::Relaxed) == 0 {
        return unmap(address.addr(), size);
    }
    let before = GIVEN_BACK.swap(address.expose_provenance(), Ordering::Relaxed);
    #[expect(unsafe_code, reason = "the list is in the parts themselves")]
    // SAFETY: it is memory that can be written, and Python, which has given it back, uses it no more.
    unsafe {
        address.cast::<usize>().write(before);
    }
}

/// New memory, or null.
fn map(size: usize) -> *mut c_void {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    #[expect(unsafe_code, reason = "memory that stays until the process ends has no safe interface")]
    // SAFETY: the mapping is new, so it takes nobody's place.
    let area = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if area == libc::MAP_FAILED { ptr::null_mut() } else { area }
}

fn unmap(address: usize, size: usize) {
    #[expect(unsafe_code, reason = "giving back memory has no safe interface")]
    // SAFETY: the range came from `map`, and nothing is in it: it was not given out, or Python has given it back.
    unsafe {
        libc::munmap(ptr::with_exposed_provenance_mut(address), size);
    }
}
