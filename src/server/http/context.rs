//! What is known of the request being served: its id and, once found, who asks, which query it runs, how far
//! that came, and with which code it failed.
//!
//! It travels as a task-local value, so that an envelope or an error can name the request wherever it is
//! made, without every function passing it on.

use std::sync::{Arc, OnceLock};

use crate::engine::Progress;
use crate::error::Code;
use crate::ids::{QueryId, RequestId, UserId};

tokio::task_local! {
    static CURRENT: Arc<RequestContext>;
}

/// One request.
#[derive(Debug)]
pub(super) struct RequestContext {
    id: String,
    user: OnceLock<UserId>,
    query: OnceLock<QueryId>,
    progress: OnceLock<Arc<Progress>>,
    code: OnceLock<Code>,
}

impl RequestContext {
    /// Takes over the id that the caller sent when it is well formed, else makes one.
    pub(super) fn new(sent: Option<&str>) -> Arc<Self> {
        let id = match sent {
            Some(sent) if is_well_formed(sent) => sent.to_owned(),
            _ => RequestId::random().to_string(),
        };
        let (user, query, progress, code) = Default::default();
        Arc::new(Self { id, user, query, progress, code })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn user(&self) -> Option<&UserId> {
        self.user.get()
    }

    pub(super) fn query(&self) -> Option<&QueryId> {
        self.query.get()
    }

    /// Rows handed out, when the answer is made of rows.
    pub(super) fn rows(&self) -> Option<u64> {
        self.progress.get().map(|progress| progress.rows())
    }

    /// With what the request failed.
    pub(super) fn code(&self) -> Option<Code> {
        self.code.get().copied()
    }

    /// Remembers the first failure, for the log.
    pub(super) fn failed(&self, code: Code) {
        // What fails after that is a consequence.
        let _ = self.code.set(code);
    }

    /// Runs `future` as part of this request.
    pub(super) async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

/// The request being served; none outside of one. For what goes on after the handler has returned.
pub(super) fn current() -> Option<Arc<RequestContext>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// The id of the request being served; empty outside of one.
pub(super) fn current_id() -> String {
    CURRENT.try_with(|context| context.id.clone()).unwrap_or_default()
}

/// Remembers who asks, for the log.
pub(super) fn set_user(user: &UserId) {
    // Outside of a request there is no log line to write it to; a second value never differs.
    let _ = CURRENT.try_with(|context| context.user.set(user.clone()));
}

/// Remembers the query that is run, for all lines of it.
pub(super) fn set_query(query: &QueryId) {
    let _ = CURRENT.try_with(|context| context.query.set(query.clone()));
}

/// Remembers where the number of rows can be read.
pub(super) fn set_progress(progress: Arc<Progress>) {
    let _ = CURRENT.try_with(|context| context.progress.set(progress));
}

/// Ids end up in logs and headers, so only harmless characters and a bounded length pass.
fn is_well_formed(id: &str) -> bool {
    (8..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_ids_are_taken_over() {
        check(Some("trace-1234.a_b"), true);
        check(Some("12345678"), true);
        check(Some("1234567"), false);
        check(Some("has space"), false);
        check(Some("line\nbreak"), false);
        check(Some("日本語日本語"), false);
        check(Some(&"a".repeat(129)), false);
        check(None, false);

        #[track_caller]
        fn check(sent: Option<&str>, taken: bool) {
            let context = RequestContext::new(sent);
            assert_eq!(Some(context.id()) == sent, taken);
            assert!(taken || RequestId::parse(context.id()).is_ok());
        }
    }
}
