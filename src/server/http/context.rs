//! What is known of the request being served: its id and, once found, who asks.
//!
//! It travels as a task-local value, so that an envelope or an error can name the request wherever it is
//! made, without every function passing it on.

use std::sync::{Arc, OnceLock};

use crate::ids::{RequestId, UserId};

tokio::task_local! {
    static CURRENT: Arc<RequestContext>;
}

/// One request.
#[derive(Debug)]
pub(super) struct RequestContext {
    id: String,
    user: OnceLock<UserId>,
}

impl RequestContext {
    /// Takes over the id that the caller sent when it is well formed, else makes one.
    pub(super) fn new(sent: Option<&str>) -> Arc<Self> {
        let id = match sent {
            Some(sent) if is_well_formed(sent) => sent.to_owned(),
            _ => RequestId::random().to_string(),
        };
        Arc::new(Self { id, user: OnceLock::new() })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn user(&self) -> Option<&UserId> {
        self.user.get()
    }

    /// Runs `future` as part of this request.
    pub(super) async fn scope<F: Future>(self: Arc<Self>, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
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
