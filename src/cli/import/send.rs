//! Taking a file to the server: by its path where the server sees this disk, else byte by byte.

use std::path::Path;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures::StreamExt as _;
use indicatif::ProgressBar;
use reqwest::multipart::{Form, Part};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio_util::io::ReaderStream;

use super::super::client::Client;
use super::super::datasets::find_any;
use super::super::failure::Failure;
use super::super::out::Out;
use super::super::progress::Progress;
use super::{ImportOptions, watch};
use crate::file_name;

/// One file on its way to become a dataset.
#[derive(Clone, Copy)]
pub(super) struct Cargo<'a> {
    pub(super) file: &'a Path,
    /// The name that was asked for; the server names the others after their files.
    pub(super) name: Option<&'a str>,
    pub(super) options: &'a ImportOptions,
}

impl Cargo<'_> {
    /// What the dataset is called, as far as that is known before the server answers.
    pub(super) fn title(&self) -> String {
        let file_name = self.file.file_name().unwrap_or_default().to_string_lossy();
        self.name.map_or_else(|| file_name::dataset_name(&file_name).to_owned(), str::to_owned)
    }
}

/// Bytes that are read at once; large, because each piece is a system call here and there.
const PIECE_BYTES: usize = 256 * 1024;

/// How long an import that was asked for a moment before an interrupt may take to say its id.
const GRACE: Duration = Duration::from_secs(2);

/// Imports one file and follows it to its end. When `interrupt` is done, the import is ended, however far
/// it is: `interrupt` is one future from the first byte on, for one that is made anew misses a Ctrl-C in
/// between.
pub(super) async fn import(
    cargo: Cargo<'_>,
    replace: bool,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
    client: &Client,
    out: &mut Out,
) -> Result<Value, Failure> {
    let title = cargo.title();
    let there = if replace { find_any(client, &title).await? } else { None };
    let progress = Progress::start(&title, out);
    let here = client.shares_disk() || in_s3(cargo.file).is_some();
    let request = match (there, here) {
        (None, true) if in_s3(cargo.file).is_some() => {
            client.request(Method::POST, &["datasets", "s3-import"]).json(&s3_body(cargo)?)
        }
        (Some(id), true) => {
            let body = json!({ "path": absolute(cargo.file)?, "options": cargo.options });
            client.request(Method::POST, &["datasets", &id, "reimport"]).json(&body)
        }
        (None, true) => {
            let body = json!({ "path": absolute(cargo.file)?, "name": cargo.name, "options": cargo.options });
            client.request(Method::POST, &["datasets", "path-import"]).json(&body)
        }
        (Some(id), false) => {
            let form = file_form(cargo.file, cargo.options, &progress).await?;
            client.request(Method::POST, &["datasets", &id, "reimport"]).multipart(form)
        }
        (None, false) => {
            let form = file_form(cargo.file, cargo.options, &progress).await?;
            let form = match cargo.name {
                Some(name) => form.text("name", name.to_owned()),
                None => form,
            };
            client.request(Method::POST, &["datasets"]).multipart(form)
        }
    };
    let mut asking = pin!(client.fetch::<Value>(request.header("prefer", "respond-async")));
    let started = tokio::select! {
        started = &mut asking => started?,
        () = &mut interrupt => {
            // What has not arrived by then is no import; one that has begun is known by its answer.
            let started = tokio::time::timeout(GRACE, asking).await;
            let id = started.ok().and_then(Result::ok).and_then(|it| it["import_id"].as_str().map(str::to_owned));
            return Err(match id {
                Some(id) => watch::cancel(&id, client).await,
                None => Failure::Interrupted,
            });
        }
    };
    match started["import_id"].as_str() {
        Some(id) => watch::follow(id, progress, interrupt, client, out).await,
        // A server may finish a small import at once.
        None => Ok(started),
    }
}

/// What a new version of the dataset would be; `None` when there is no such dataset yet.
pub(super) async fn dry_run(
    cargo: Cargo<'_>,
    client: &Client,
    out: &mut Out,
) -> Result<Option<Value>, Failure> {
    let title = cargo.title();
    let Some(id) = find_any(client, &title).await? else { return Ok(None) };
    let request = client.request(Method::POST, &["datasets", &id, "reimport", "dry-run"]);
    let request = if client.shares_disk() || in_s3(cargo.file).is_some() {
        request.json(&json!({ "path": absolute(cargo.file)?, "options": cargo.options }))
    } else {
        let progress = Progress::start(&title, out);
        request.multipart(file_form(cargo.file, cargo.options, &progress).await?)
    };
    client.fetch(request).await.map(Some)
}

/// The file and what is said about it, as a form whose bytes are read while they are sent.
pub(in crate::cli) async fn file_form(
    path: &Path,
    options: &ImportOptions,
    progress: &Progress,
) -> Result<Form, Failure> {
    let file = tokio::fs::File::open(path).await.map_err(|cause| unreadable(path, &cause))?;
    let length = file.metadata().await.map_err(|cause| unreadable(path, &cause))?.len();
    let bar = progress.upload_bar(length);
    let pieces = ReaderStream::with_capacity(file, PIECE_BYTES).inspect(move |piece| {
        if let (Some(bar), Ok(piece)) = (&bar, piece) {
            ProgressBar::inc(bar, piece.len() as u64);
        }
    });
    let file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let part = Part::stream_with_length(Body::wrap_stream(pieces), length);
    let options = serde_json::to_string(options)
        .map_err(|cause| Failure::Usage(format!("the options cannot be sent: {cause}")))?;
    Ok(Form::new().text("options", options).part("file", part.file_name(file_name.unwrap_or_default())))
}

/// The bucket and the key of what is in S3, which the server reads itself.
pub(in crate::cli) fn in_s3(file: &Path) -> Option<(&str, &str)> {
    let rest = file.to_str()?.strip_prefix("s3://")?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

fn s3_body(cargo: Cargo<'_>) -> Result<Value, Failure> {
    let (bucket, key) = in_s3(cargo.file).unwrap_or_default();
    let mut body = serde_json::to_value(cargo.options)
        .map_err(|cause| Failure::Usage(format!("the options cannot be sent: {cause}")))?;
    body["s3_bucket"] = bucket.into();
    body["s3_key"] = key.into();
    if let Some(name) = cargo.name {
        body["name"] = name.into();
    }
    Ok(body)
}

/// The path as the server needs it, whose working folder is another.
pub(in crate::cli) fn absolute(file: &Path) -> Result<String, Failure> {
    if let (Some(address), Some(_)) = (file.to_str(), in_s3(file)) {
        return Ok(address.to_owned());
    }
    // Links stay: a dataset is named after the link, and reads again what it points to then.
    let path = std::path::absolute(file).map_err(|cause| unreadable(file, &cause))?;
    path.into_os_string().into_string().map_err(|path| {
        Failure::File(format!("`{}` is not text in UTF-8: rename the file", path.to_string_lossy()))
    })
}

/// Tells of a file that is not there before a server is asked for it.
pub(in crate::cli) fn readable(path: &Path) -> Result<(), Failure> {
    if in_s3(path).is_some() {
        return Ok(());
    }
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(there) if there.is_dir() => {
            Err(Failure::File(format!("`{}` is a folder: name a file", path.display())))
        }
        Ok(_) => Ok(()),
        Err(cause) => Err(unreadable(path, &cause)),
    }
}

/// A file of this machine that cannot be read.
pub(in crate::cli) fn unreadable(path: &Path, cause: &std::io::Error) -> Failure {
    use std::io::ErrorKind as Io;
    let reason = match cause.kind() {
        Io::NotFound => "there is no such file".to_owned(),
        Io::PermissionDenied => "you may not read it".to_owned(),
        _ => cause.to_string(),
    };
    Failure::File(format!("`{}` cannot be read: {reason}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::sync::{Arc, Mutex};

    use async_trait::async_trait;
    use reqwest::{Request, Response};
    use tokio::sync::Notify;

    use super::*;
    use crate::cli::client::transport::Transport;
    use crate::cli::read_options::ReadOptions;

    /// A server whose import never ends. Ctrl-C is pressed when `pressed_at` is asked.
    struct Endless {
        pressed_at: Method,
        pressed: Arc<Notify>,
        asked: Arc<Mutex<Vec<String>>>,
    }

    #[async_trait]
    impl Transport for Endless {
        async fn send(&self, request: Request) -> Result<Response, Box<dyn Error + Send + Sync>> {
            self.asked.lock().unwrap().push(format!("{} {}", request.method(), request.url().path()));
            if *request.method() == self.pressed_at {
                self.pressed.notify_one();
            }
            if *request.method() == Method::GET {
                std::future::pending::<()>().await;
            }
            let body = r#"{"data":{"import_id":"imp_1","state":"running"},"meta":{}}"#;
            Ok(http::Response::builder().status(202).body(body)?.into())
        }
    }

    #[tokio::test]
    async fn an_interrupt_ends_the_import_on_the_server_however_far_it_is() {
        let start = "POST /api/datasets/path-import";
        check(Method::POST, &[start, "DELETE /api/imports/imp_1"]).await;
        check(Method::GET, &[start, "GET /api/imports/imp_1", "DELETE /api/imports/imp_1"]).await;

        async fn check(pressed_at: Method, expected: &[&str]) {
            let (pressed, asked) = (Arc::new(Notify::new()), Arc::default());
            let server = Endless { pressed_at, pressed: Arc::clone(&pressed), asked: Arc::clone(&asked) };
            let client = Client::over(Box::new(server));
            let options = ImportOptions::reading(ReadOptions::default());
            let cargo = Cargo { file: Path::new("a.csv"), name: None, options: &options };
            let mut out = Out::to(Box::new(std::io::sink()), Box::new(std::io::sink()));
            let ended = import(cargo, false, pin!(pressed.notified()), &client, &mut out).await;
            assert!(matches!(ended, Err(Failure::Interrupted)), "{ended:?}");
            assert_eq!(*asked.lock().unwrap(), expected);
        }
    }
}
