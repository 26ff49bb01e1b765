//! An error on its way between two processes of ours.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Code, Error};

/// What the contract says of an error, which is what its caller would be told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    code: Code,
    message: String,
    #[serde(default)]
    details: Value,
}

/// The body of an answer that is none.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error: Told,
}

impl From<&Error> for Told {
    fn from(error: &Error) -> Self {
        Self { code: error.code(), message: error.to_string(), details: error.details() }
    }
}

impl From<Told> for Error {
    fn from(told: Told) -> Self {
        let Told { code, message, details } = told;
        match code {
            Code::ExecutionError => Self::Execution { message, details },
            Code::ExecutionTimeout => Self::ExecutionTimedOut(message),
            Code::OverLimit => Self::OverLimit(message),
            Code::SandboxUnavailable => Self::SandboxUnavailable(message),
            Code::ServiceUnavailable | Code::RateLimitExceeded => Self::Unavailable { message, cause: None },
            Code::Cancelled => Self::Cancelled,
            Code::NotSupported => Self::NotSupported(message),
            Code::ValidationError => Self::Invalid { message, details },
            Code::Unauthorized | Code::InvalidToken => Self::Unavailable {
                message: "the executor does not know our `EXECUTOR_TOKEN`".to_owned(),
                cause: Some(message.into()),
            },
            // Nothing of it concerns whoever asked for the run.
            _ => Self::internal(format!("the executor failed: {code}: {message}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_arrives_as_what_it_was() {
        let details = serde_json::json!({ "line": 3, "traceback": "…" });
        check(Error::Execution { message: "ValueError: no".into(), details });
        check(Error::ExecutionTimedOut("too long".into()));
        check(Error::OverLimit("too much".into()));
        check(Error::SandboxUnavailable("no tier".into()));
        check(Error::Unavailable { message: "full".into(), cause: None });
        check(Error::Cancelled);
        check(Error::NotSupported("no such type".into()));
        check(Error::invalid("no such thing"));
        let internal = Error::from(Told::from(&Error::internal("secret")));
        assert_eq!(internal.code(), Code::InternalError);

        #[track_caller]
        fn check(error: Error) {
            let sent = serde_json::to_vec(&Told::from(&error)).unwrap();
            let got = Error::from(serde_json::from_slice::<Told>(&sent).unwrap());
            assert_eq!((got.code(), got.to_string()), (error.code(), error.to_string()));
            assert_eq!(got.details(), error.details());
        }
    }
}
