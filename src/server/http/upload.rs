//! Uploads: a multipart form whose file goes to disk as it comes, never into memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::extract::Multipart;
use axum::extract::multipart::{Field, MultipartError};
use tempfile::{Builder, TempPath};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::dataset::import::InputFile;
use crate::error::Error;

/// Longest text field of a form.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most fields of a form.
const FIELDS_MAX: usize = 64;

/// A form that was sent.
#[derive(Debug)]
pub(super) struct Form {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) file: Option<Spooled>,
}

/// A file that was sent; it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Spooled {
    path: TempPath,
    name: String,
}

impl Spooled {
    /// The file as imports take it.
    pub(super) fn input(&self) -> InputFile {
        InputFile::on_disk(PathBuf::from(&*self.path), self.name.clone(), false)
    }
}

/// Reads a form; its field `file` goes to `folder`.
pub(super) async fn read(mut form: Multipart, folder: &Path, bytes_max: u64) -> Result<Form, Error> {
    let mut read = Form { texts: BTreeMap::new(), file: None };
    while let Some(field) = form.next_field().await.map_err(|cause| broken(&cause))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "file" {
            if read.file.is_some() {
                return Err(Error::invalid_field("file", "the form has more than one `file`"));
            }
            read.file = Some(spool(field, folder, bytes_max).await?);
            continue;
        }
        if read.texts.len() == FIELDS_MAX {
            return Err(Error::invalid(format!("the form has more than {FIELDS_MAX} fields")));
        }
        let text = text(field, &name).await?;
        read.texts.insert(name, text);
    }
    Ok(read)
}

async fn text(mut field: Field<'_>, name: &str) -> Result<String, Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|cause| broken(&cause))? {
        if bytes.len() + piece.len() > TEXT_BYTES_MAX {
            return Err(Error::TooLarge(format!("the field `{name}` has more than {TEXT_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid(format!("the field `{name}` is not UTF-8")))
}

async fn spool(mut field: Field<'_>, folder: &Path, bytes_max: u64) -> Result<Spooled, Error> {
    let name = field.file_name().map_or_else(|| "upload".to_owned(), base_name);
    let (file, path) = Builder::new().prefix("upload-").tempfile_in(folder).map_err(unwritable)?.into_parts();
    let mut file = File::from_std(file);
    let mut length = 0;
    while let Some(piece) = field.chunk().await.map_err(|cause| broken(&cause))? {
        length += piece.len() as u64;
        if length > bytes_max {
            return Err(Error::TooLarge(format!(
                "`{name}` has more than {bytes_max} bytes, the most that an upload may have"
            )));
        }
        file.write_all(&piece).await.map_err(unwritable)?;
    }
    file.flush().await.map_err(unwritable)?;
    Ok(Spooled { path, name })
}

/// The name without folders, as some clients send the whole path.
fn base_name(name: &str) -> String {
    name.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).unwrap_or("upload").to_owned()
}

fn broken(cause: &MultipartError) -> Error {
    Error::invalid(format!("the form cannot be read: {}", cause.body_text()))
}

fn unwritable(cause: std::io::Error) -> Error {
    use std::io::ErrorKind as Io;
    match cause.kind() {
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
            Error::StorageFull("the uploaded file".to_owned())
        }
        _ => Error::Unavailable {
            message: "the uploaded file cannot be stored".to_owned(),
            cause: Some(Box::new(cause)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_lose_their_folders() {
        check("flights.csv", "flights.csv");
        check("C:\\data\\売上.csv", "売上.csv");
        check("../../etc/passwd", "passwd");
        check("folder/", "upload");

        #[track_caller]
        fn check(name: &str, expected: &str) {
            assert_eq!(base_name(name), expected);
        }
    }
}
