//! Where a result of unknown size goes: standard output, or a file that appears only when it is whole.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::failure::Failure;
use super::out::Out;

/// Takes the bytes of one result.
pub(super) enum Sink<'a> {
    Out(&'a mut Out),
    File { writer: BufWriter<NamedTempFile>, path: PathBuf },
}

impl<'a> Sink<'a> {
    /// The file when one is named, else the output.
    pub(super) fn open(path: Option<&Path>, out: &'a mut Out) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Out(out)) };
        // Beside the file to be, so that renaming it is one step.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let file = tempfile::Builder::new()
            .prefix(".shirabe-")
            .suffix(".partial")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .tempfile_in(folder)
            .map_err(|cause| no_place(path, folder, &cause))?;
        Ok(Self::File { writer: BufWriter::with_capacity(1 << 16, file), path: path.to_owned() })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Out(out) => out.bytes(bytes),
            Self::File { writer, path } => writer.write_all(bytes).map_err(|cause| failed(path, &cause)),
        }
    }

    /// The result is whole: a file gets its name now. Dropped without this, it disappears.
    pub(super) fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Out(out) => out.flush(),
            Self::File { writer, path } => {
                let file = writer.into_inner().map_err(|cause| failed(&path, cause.error()))?;
                file.as_file().sync_all().map_err(|cause| failed(&path, &cause))?;
                let _: File = file.persist(&path).map_err(|cause| failed(&path, &cause.error))?;
                Ok(())
            }
        }
    }
}

impl std::io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match Sink::write(self, bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(Failure::OutputClosed) => Err(std::io::ErrorKind::BrokenPipe.into()),
            Err(failure) => Err(std::io::Error::other(failure.to_string())),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Why nothing can be written beside `path`, without the name of the file that was tried.
fn no_place(path: &Path, folder: &Path, cause: &std::io::Error) -> Failure {
    use std::io::ErrorKind as Io;
    let (path, folder) = (path.display(), folder.display());
    Failure::File(match cause.kind() {
        Io::NotFound => format!("`{path}` cannot be written: there is no folder `{folder}`"),
        Io::PermissionDenied => format!("`{path}` cannot be written: you may not write into `{folder}`"),
        _ => format!("`{path}` cannot be written: {cause}"),
    })
}

fn failed(path: &Path, cause: &std::io::Error) -> Failure {
    Failure::File(format!("`{}` cannot be written: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out() -> Out {
        Out::to(Box::new(std::io::sink()), Box::new(std::io::sink()))
    }

    #[test]
    fn a_file_appears_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("result.csv");
        let mut out = out();
        let mut sink = Sink::open(Some(&path), &mut out).unwrap();
        sink.write(b"a,b\n").unwrap();
        assert!(!path.exists());
        drop(sink);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing stays of a failure");

        let mut sink = Sink::open(Some(&path), &mut out).unwrap();
        sink.write(b"a,b\n").unwrap();
        sink.finish().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"a,b\n");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let mut out = out();
        let Err(failure) = Sink::open(Some(Path::new("/nowhere/result.csv")), &mut out) else {
            panic!("the folder is not there");
        };
        let expected = "error: `/nowhere/result.csv` cannot be written: there is no folder `/nowhere`";
        assert_eq!(failure.to_string(), expected);
    }
}
