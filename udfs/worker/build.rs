//! Links CPython into the worker itself where the system has it as an archive, as Debian has in `python3-dev`.
//!
//! Why: code in Python takes a tenth less time than with the shared library, and a child is made sooner. Extension modules
//! find CPython's functions in the program, as they do in `/usr/bin/python3`. Where there is no archive, pyo3 links the
//! shared library.

use std::path::PathBuf;
use std::process::Command;

/// Where the archive is, and what its modules need.
const ABOUT: &str = "
import os, sysconfig
value = lambda name: sysconfig.get_config_var(name) or ''
print(os.path.join(value('LIBPL'), value('LIBRARY')))
print(value('MODLIBS'), value('LIBS'), value('SYSLIBS'))
";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=PYO3_PYTHON");
    if let Some((archive, flags)) = archive() {
        link(&archive, &flags);
    }
}

/// The archive, and flags for the linker as Python was built with them.
fn archive() -> Option<(PathBuf, String)> {
    #[expect(clippy::disallowed_methods, reason = "`.cargo/config.toml` says which Python is linked")]
    let python = std::env::var_os("PYO3_PYTHON")?;
    #[expect(clippy::disallowed_methods, reason = "only Python knows how it was built")]
    let output = Command::new(python).args(["-I", "-c", ABOUT]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (archive, flags) = text.split_once('\n')?;
    let archive = PathBuf::from(archive);
    archive.is_file().then(|| (archive, flags.to_owned()))
}

fn link(archive: &std::path::Path, flags: &str) {
    let name = archive.file_stem().and_then(|stem| stem.to_str()?.strip_prefix("lib"));
    let (Some(folder), Some(name)) = (archive.parent(), name) else { return };
    println!("cargo:rerun-if-changed={}", archive.display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    // All of it: what only extension modules call would be left out. It comes before the shared library that pyo3 names,
    // of which nothing is needed then, and so it is not loaded.
    println!("cargo:rustc-link-lib=static:+whole-archive,-bundle={name}");
    for library in flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-l")) {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    println!("cargo:rustc-link-arg=-Wl,--export-dynamic");
    // The archive is made for programs that lie where they were linked to lie, as `/usr/bin/python3` does.
    println!("cargo:rustc-link-arg=-no-pie");
}
