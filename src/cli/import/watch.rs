//! Following an import to its end, and ending it when the person who asked gives up.

use std::pin::Pin;

use reqwest::Method;
use serde_json::Value;

use super::super::client::Client;
use super::super::failure::{ApiFailure, Failure};
use super::super::out::Out;
use super::super::progress::{ImportState, Progress, State};

/// How long the server may hold an answer back while nothing is new.
const WAIT_MS: &str = "1000";

/// The result of the import once it is complete. When `interrupt` is done, it is cancelled on the server.
pub(super) async fn follow(
    id: &str,
    mut progress: Progress,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
    client: &Client,
    out: &mut Out,
) -> Result<Value, Failure> {
    loop {
        let request = client.request(Method::GET, &["imports", id]).query(&[("wait", WAIT_MS)]);
        let import: ImportState = tokio::select! {
            biased;
            () = &mut interrupt => return Err(cancel(id, client).await),
            import = client.fetch(request) => import?,
        };
        progress.show(&import, out);
        match import.state {
            State::Running => {}
            State::Completed => return Ok(import.result),
            State::Failed => return Err(import.error.map_or_else(unexplained, Failure::Api)),
            State::Cancelled => return Err(Failure::Connection("the import was cancelled".to_owned())),
        }
    }
}

/// Ends an import that nobody wants any more.
pub(super) async fn cancel(id: &str, client: &Client) -> Failure {
    match client.delete(&["imports", id]).await {
        Ok(()) => Failure::Interrupted,
        Err(failure) => failure,
    }
}

fn unexplained() -> Failure {
    Failure::Api(ApiFailure {
        code: "INTERNAL_ERROR".to_owned(),
        message: "the import failed".to_owned(),
        details: Value::Null,
        statement: None,
    })
}
