//! Tokens and passwords.

use secrecy::SecretString;

use super::server::Environment;
use super::setting::{Reader, Setting};

const SECRET: Setting = Setting {
    name: "JWT_SECRET_KEY",
    default: None,
    meaning: "key that signs tokens, at least 32 characters; required outside `local`, where one is made and kept",
};
const ALGORITHM: Setting = Setting {
    name: "JWT_ALGORITHM",
    default: Some("HS256"),
    meaning: "the one algorithm of tokens: `HS256`, `HS384` or `HS512`",
};
const EXPIRE: Setting =
    Setting { name: "JWT_EXPIRE_MINUTES", default: Some("1440"), meaning: "minutes until a sign-in ends" };
const LENGTH: Setting =
    Setting { name: "PASSWORD_MIN_LENGTH", default: Some("8"), meaning: "shortest password, in characters" };

pub(super) const SETTINGS: &[&Setting] = &[&SECRET, &ALGORITHM, &EXPIRE, &LENGTH];

const SECRET_CHARS_MIN: usize = 32;

/// How tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwtAlgorithm {
    Hs256,
    Hs384,
    Hs512,
}

/// Settings of sign-in.
#[derive(Debug, Clone)]
pub struct AuthConfig {
    /// `None` only in `local`: the composition root then makes one and keeps it in the data folder.
    pub jwt_secret: Option<SecretString>,
    pub jwt_algorithm: JwtAlgorithm,
    pub jwt_expire_minutes: u64,
    pub password_length_min: usize,
}

impl AuthConfig {
    /// `environment` is `None` when it could not be read, which is a problem already reported.
    pub(super) fn read(reader: &mut Reader<'_>, environment: Option<Environment>) -> Option<Self> {
        let jwt_secret = Self::secret(reader, environment);
        let algorithms = "`HS256`, `HS384` or `HS512`";
        let jwt_algorithm = reader.required(&ALGORITHM, algorithms, |text| match text {
            "HS256" => Some(JwtAlgorithm::Hs256),
            "HS384" => Some(JwtAlgorithm::Hs384),
            "HS512" => Some(JwtAlgorithm::Hs512),
            _ => None,
        });
        let jwt_expire_minutes = reader.number(&EXPIRE, 1, 60 * 24 * 366);
        let password_length_min = reader.number(&LENGTH, 8, 128).and_then(|length| length.try_into().ok());
        Some(Self {
            jwt_secret: jwt_secret?,
            jwt_algorithm: jwt_algorithm?,
            jwt_expire_minutes: jwt_expire_minutes?,
            password_length_min: password_length_min?,
        })
    }

    #[expect(clippy::option_option, reason = "outer: is it fine; inner: was it there")]
    fn secret(reader: &mut Reader<'_>, environment: Option<Environment>) -> Option<Option<SecretString>> {
        let Some(secret) = reader.text(&SECRET) else {
            if matches!(environment, Some(Environment::Staging | Environment::Production)) {
                reader.problem(format!(
                    "`{}` is not set: expected at least {SECRET_CHARS_MIN} random characters outside `local`",
                    SECRET.name
                ));
                return None;
            }
            return Some(None);
        };
        let length = secret.chars().count();
        if length < SECRET_CHARS_MIN {
            // The value itself is not repeated: messages end up in logs.
            let name = SECRET.name;
            reader
                .problem(format!("`{name}`: expected at least {SECRET_CHARS_MIN} characters, got {length}"));
            return None;
        }
        Some(Some(SecretString::from(secret)))
    }
}
