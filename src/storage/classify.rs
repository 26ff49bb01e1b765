//! What an object store's errors mean. The one place that reads them: `object_store` keeps S3's own code in the
//! text of the answer, and its kinds of errors change between releases.

use std::error::Error as StdError;
use std::io::ErrorKind as Io;

use object_store::client::{HttpError, HttpErrorKind};

use crate::error::Error;

/// What went wrong, by what somebody can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// There is no such object.
    Missing,
    /// There is no such bucket.
    NoBucket,
    /// The object was moved where it cannot be read at once.
    Archived,
    /// The credentials are good, and do not allow this.
    Denied,
    /// There are no credentials, or none that are good.
    Credentials,
    /// Signatures are of another time than the server's.
    Clock,
    /// The bucket is elsewhere.
    Region,
    /// The name is taken, or what was expected has changed.
    Precondition,
    /// The server asks to come back later.
    Busy,
    /// The server does not answer.
    Unreachable,
    /// No room.
    Full,
    Other,
}

/// Reads an object store's error.
#[must_use]
pub fn reason(error: &object_store::Error) -> Reason {
    use object_store::Error as E;
    let text = error.to_string();
    if let Some(reason) = s3_code(&text).and_then(of_code) {
        return reason;
    }
    match error {
        E::NotFound { .. } => return Reason::Missing,
        E::PermissionDenied { .. } => return Reason::Denied,
        E::Unauthenticated { .. } => return Reason::Credentials,
        E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => {
            return Reason::Precondition;
        }
        _ => {}
    }
    if text.contains("incorrectly configured region") {
        return Reason::Region;
    }
    let first: &(dyn StdError + 'static) = error;
    let mut causes = std::iter::successors(Some(first), |error| (*error).source());
    let reason = causes.clone().find_map(|cause| match cause.downcast_ref::<HttpError>() {
        Some(http) => of_http(http.kind()),
        None => of_io(cause.downcast_ref::<std::io::Error>()?.kind()),
    });
    match reason {
        // No answer came, and what kind of end that was has no name there: a connection that was closed while it was
        // waiting to be used is one.
        None | Some(Reason::Other) if causes.any(|cause| cause.is::<HttpError>()) => Reason::Unreachable,
        reason => reason.unwrap_or(Reason::Other),
    }
}

/// What stands between the marks of a code in S3's answer.
fn s3_code(text: &str) -> Option<&str> {
    let start = text.find("<Code>")? + "<Code>".len();
    text[start..].find("</Code>").map(|length| text[start..start + length].trim())
}

fn of_code(code: &str) -> Option<Reason> {
    Some(match code {
        "NoSuchKey" => Reason::Missing,
        "NoSuchBucket" => Reason::NoBucket,
        "InvalidObjectState" => Reason::Archived,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Reason::Denied,
        "InvalidAccessKeyId"
        | "SignatureDoesNotMatch"
        | "ExpiredToken"
        | "InvalidToken"
        | "TokenRefreshRequired"
        | "NoCredentials" => Reason::Credentials,
        "RequestTimeTooSkewed" => Reason::Clock,
        "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => Reason::Region,
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" => Reason::Busy,
        "QuotaExceeded" | "XMinioStorageFull" => Reason::Full,
        _ => return None,
    })
}

fn of_http(kind: HttpErrorKind) -> Option<Reason> {
    match kind {
        HttpErrorKind::Connect
        | HttpErrorKind::Request
        | HttpErrorKind::Timeout
        | HttpErrorKind::Interrupted
        // An answer that is cut in its middle: bytes are asked for as they are, and there is nothing else to decode.
        | HttpErrorKind::Decode => Some(Reason::Unreachable),
        _ => None,
    }
}

fn of_io(kind: Io) -> Option<Reason> {
    match kind {
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => Some(Reason::Full),
        // What ends a connection has many names, and `HttpError` knows some of them.
        Io::BrokenPipe
        | Io::ConnectionAborted
        | Io::ConnectionRefused
        | Io::ConnectionReset
        | Io::HostUnreachable
        | Io::NetworkDown
        | Io::NetworkUnreachable
        | Io::NotConnected
        | Io::TimedOut => Some(Reason::Unreachable),
        // The kind of an I/O error that was made from another one.
        Io::Other => None,
        _ => Some(Reason::Other),
    }
}

/// An object store's error in our words; `object` is what was being read or written.
#[must_use]
pub fn classify(error: object_store::Error, object: &str) -> Error {
    let message = match reason(&error) {
        Reason::Missing => {
            return Error::Damaged { object: object.to_owned(), reason: "it is missing".to_owned() };
        }
        Reason::Full => return Error::StorageFull(object.to_owned()),
        Reason::Archived => return Error::Archived(object.to_owned()),
        Reason::NoBucket => "the bucket of the datasets is not there",
        Reason::Denied => "the object store does not allow it: the service's credentials lack a right",
        Reason::Credentials => "the object store does not know the service's credentials, or there are none",
        Reason::Clock => {
            "the object store refuses the time of this machine: its clock is more than 15 minutes off"
        }
        Reason::Region => "the bucket of the datasets is in another region than `S3_REGION` says",
        Reason::Busy => "the object store asks to come back later",
        Reason::Unreachable => "the object store does not answer",
        Reason::Precondition | Reason::Other => "the object store cannot be read or written",
    };
    Error::Unavailable { message: message.to_owned(), cause: Some(Box::new(error)) }
}

/// Whether an error may come from a file that is shorter than it should be. Stores have many words for that.
#[must_use]
pub fn may_be_about_size(error: &object_store::Error) -> bool {
    reason(error) == Reason::Other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn answered(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn the_codes_of_s3_have_names_of_ours() {
        check("NoSuchKey", Code::StorageDamaged, "missing");
        check("InvalidObjectState", Code::DatasetArchived, "archived");
        check("NoSuchBucket", Code::ServiceUnavailable, "the bucket of the datasets is not there");
        check("AccessDenied", Code::ServiceUnavailable, "lack a right");
        check("SignatureDoesNotMatch", Code::ServiceUnavailable, "credentials");
        check("RequestTimeTooSkewed", Code::ServiceUnavailable, "clock");
        check("PermanentRedirect", Code::ServiceUnavailable, "`S3_REGION`");
        check("AuthorizationHeaderMalformed", Code::ServiceUnavailable, "`S3_REGION`");
        check("SlowDown", Code::ServiceUnavailable, "come back later");
        check("QuotaExceeded", Code::StorageFull, "no space");
        check("SomethingNew", Code::ServiceUnavailable, "cannot be read or written");

        #[track_caller]
        fn check(code: &str, expected: Code, message: &str) {
            let text = format!("403 Forbidden: <Error><Code>{code}</Code><Message>m</Message></Error>");
            let error = classify(answered(&text), "datasets/x");
            assert_eq!(error.code(), expected, "{code}");
            assert!(error.to_string().contains(message), "{code}: {error}");
        }
    }

    #[test]
    fn a_full_disk_is_found_in_the_chain() {
        let io = std::io::Error::from(Io::StorageFull);
        let error = object_store::Error::Generic { store: "folder", source: Box::new(io) };
        assert!(matches!(classify(error, "x"), Error::StorageFull(_)));
    }

    #[test]
    fn a_connection_that_ends_is_no_answer() {
        for kind in [Io::NotConnected, Io::ConnectionReset, Io::ConnectionRefused, Io::TimedOut] {
            let error =
                object_store::Error::Generic { store: "S3", source: Box::new(std::io::Error::from(kind)) };
            assert_eq!(reason(&error), Reason::Unreachable, "{kind:?}");
        }
        let cut = HttpError::new(HttpErrorKind::Decode, std::io::Error::other("the body ends too early"));
        let error = object_store::Error::Generic { store: "S3", source: Box::new(cut) };
        assert_eq!(reason(&error), Reason::Unreachable, "an answer that is cut");
        for cause in [Io::UnexpectedEof, Io::Other] {
            let closed = HttpError::new(HttpErrorKind::Unknown, std::io::Error::from(cause));
            let error = object_store::Error::Generic { store: "S3", source: Box::new(closed) };
            assert_eq!(reason(&error), Reason::Unreachable, "{cause:?}");
        }
    }

    #[test]
    fn only_what_nobody_names_may_be_about_size() {
        assert!(may_be_about_size(&answered("range 5..9 is beyond the end")));
        assert!(!may_be_about_size(&answered("<Code>SlowDown</Code>")));
        let gone = object_store::Error::NotFound { path: "x".to_owned(), source: "404".into() };
        assert!(!may_be_about_size(&gone));
    }
}
