//! A root of its own: the folders of Python to read, `/tmp` to write, bounded, and nothing else.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::layout::Layout;
use crate::spare::Kind;

/// Where the new root is put together: a folder that is on every machine and is none of those that are shown.
const WORKPLACE: &str = "/sys";

/// Makes it and enters it. Nothing of the old one can be reached any more.
pub(super) fn enter(layout: &Layout, kind: Kind) -> io::Result<()> {
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    tmpfs(Path::new(WORKPLACE), "size=1m,nr_inodes=512,mode=0755")?;
    let inside = |path: &Path| Path::new(WORKPLACE).join(path.strip_prefix("/").unwrap_or(path));
    for folder in &layout.folders {
        let target = inside(folder);
        fs::create_dir_all(&target)?;
        rustix::mount::mount_bind_recursive(folder, &target)?;
        read_only(&target, true)?;
    }
    for name in ["lib", "lib64"] {
        symlink(format!("usr/{name}"), inside(Path::new(name)))?;
    }
    let temporary = inside(Path::new("/tmp"));
    fs::create_dir(&temporary)?;
    tmpfs(&temporary, &format!("size={},nr_inodes={},mode=1777", kind.disk_bytes_max, kind.disk_files_max))?;
    read_only(Path::new(WORKPLACE), false)?;
    rustix::process::chdir(WORKPLACE)?;
    // The old root lands on top of the new one, from where it is taken off.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    Ok(())
}

fn tmpfs(at: &Path, settings: &str) -> io::Result<()> {
    let settings = CString::new(settings)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("tmpfs", at, "tmpfs", flags, settings.as_c_str())?;
    Ok(())
}

/// Lets nobody write there, and below it if `below`. What was forbidden there already stays forbidden.
fn read_only(at: &Path, below: bool) -> io::Result<()> {
    let path = CString::new(at.as_os_str().as_bytes())?;
    let set = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    let flags = if below { libc::AT_RECURSIVE } else { 0 };
    #[expect(unsafe_code, reason = "changing a mount and those below it has no safe interface")]
    // SAFETY: `path` ends with a zero, `attributes` is of the size that is passed, and both live during the call.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
