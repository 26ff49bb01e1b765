//! Counts what goes over the wire: each attempt of a call, and each refusal because of load.

use aws_sdk_dynamodb::config::interceptors::{
    BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use metrics::counter;
use serde::Deserialize;

use super::error::THROTTLED;
use crate::catalog::store::StoreCalls;
use crate::telemetry::{STORE_CALLS, STORE_THROTTLED};

#[derive(Debug)]
pub(super) struct Counted {
    pub(super) calls: StoreCalls,
}

impl Intercept for Counted {
    fn name(&self) -> &'static str {
        "Counted"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // `DynamoDB_20120810.GetItem`
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        counter!(STORE_CALLS, "operation" => operation.to_owned()).increment(1);
        self.calls.count(operation);
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let refused = context.response().filter(|response| !response.status().is_success());
        let body = refused.and_then(|response| response.body().bytes());
        if body.is_some_and(is_throttled) {
            counter!(STORE_THROTTLED).increment(1);
        }
        Ok(())
    }
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    /// `com.amazonaws.dynamodb.v20120810#ThrottlingException`
    #[serde(rename = "__type", default)]
    kind: String,
    #[serde(rename = "CancellationReasons", default)]
    reasons: Vec<Reason>,
}

#[derive(Deserialize)]
struct Reason {
    #[serde(rename = "Code", default)]
    code: Option<String>,
}

fn is_throttled(body: &[u8]) -> bool {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return false };
    let code = refusal.kind.rsplit('#').next().unwrap_or_default();
    let mut reasons = refusal.reasons.iter().filter_map(|reason| reason.code.as_deref());
    THROTTLED.contains(&code) || reasons.any(|code| THROTTLED.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_told_from_other_refusals() {
        check(r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow"}"#, true);
        check(r#"{"__type":"x#ProvisionedThroughputExceededException"}"#, true);
        check(
            r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"None"},{"Code":"ThrottlingError"}]}"#,
            true,
        );
        check(r#"{"__type":"x#ConditionalCheckFailedException"}"#, false);
        check(
            r#"{"__type":"x#TransactionCanceledException","CancellationReasons":[{"Code":"TransactionConflict"}]}"#,
            false,
        );
        check("<html>", false);

        #[track_caller]
        fn check(body: &str, expected: bool) {
            assert_eq!(is_throttled(body.as_bytes()), expected, "{body}");
        }
    }
}
