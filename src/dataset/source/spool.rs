//! Objects that cannot be read front to back wait on the disk.

use std::io;

use tempfile::{Builder, TempPath};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::Sources;
use super::object::RemoteObject;
use crate::dataset::decode::RemoteFile as _;
use crate::error::Error;

/// Bytes of a request.
const PIECE_BYTES: u64 = 8 << 20;

/// Copies an object to a file, which is removed when what is returned is dropped.
pub(super) async fn spool(sources: &Sources, object: &RemoteObject) -> Result<TempPath, Error> {
    let byte_count = object.byte_count();
    if byte_count > sources.spool_bytes_max {
        return Err(Error::TooLarge(format!(
            "`{}` has {byte_count} bytes; of its format at most {} are read from S3",
            object.address(),
            sources.spool_bytes_max
        )));
    }
    let made = Builder::new().prefix("s3-").tempfile_in(&sources.spool_folder).map_err(unwritable)?;
    let (file, path) = made.into_parts();
    let mut file = File::from_std(file);
    let mut at = 0;
    while at < byte_count {
        let range = object.piece(at, PIECE_BYTES);
        at = range.end;
        let bytes = object.read(range).await?;
        file.write_all(&bytes).await.map_err(unwritable)?;
    }
    file.flush().await.map_err(unwritable)?;
    Ok(path)
}

fn unwritable(cause: io::Error) -> Error {
    use io::ErrorKind as Io;
    match cause.kind() {
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => {
            Error::StorageFull("the file to import".to_owned())
        }
        _ => Error::Unavailable {
            message: "the file to import cannot be stored".to_owned(),
            cause: Some(Box::new(cause)),
        },
    }
}
