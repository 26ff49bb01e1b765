//! Tokens: JWTs that this service signs and nobody else can.
//!
//! A verifier that obeys the token's own header is how most forgeries work, so here the header decides
//! nothing: it must be, byte for byte, the one we write. Then the signature under our one algorithm and
//! key, then every claim. Time comes in as an argument.

use std::fmt;

use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::error::{Error, Unauthenticated};
use crate::ids::{UserId, random_digits};
use crate::limits::BEARER_BYTES_MAX;

/// Who issues our tokens, and for whom.
pub(super) const ISSUER: &str = "shirabe";
pub(super) const AUDIENCE: &str = "shirabe-api";

/// Fewest bytes of the secret: as many as HS256's hash has.
const SECRET_BYTES_MIN: usize = 32;

/// How far the clock of another replica may be ahead of ours.
const CLOCK_SKEW_S: i64 = 60;

/// How secrets begin that come from examples and are known to everybody.
const SAMPLE_SECRETS: [&str; 8] =
    ["your-", "your_", "yoursecret", "changeme", "change-me", "change_me", "secret", "example"];

/// The algorithms on offer, all with one shared secret. One is chosen by configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithm {
    #[default]
    Hs256,
    Hs384,
    Hs512,
}

impl Algorithm {
    /// Reads the name as tokens spell it, such as `HS256`.
    ///
    /// # Errors
    /// `Invalid` for any other: `none` and algorithms with public keys are not on offer.
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "HS256" => Ok(Self::Hs256),
            "HS384" => Ok(Self::Hs384),
            "HS512" => Ok(Self::Hs512),
            other => Err(Error::invalid(format!("expected `HS256`, `HS384` or `HS512`, got `{other}`"))),
        }
    }

    fn library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Hs384 => jsonwebtoken::Algorithm::HS384,
            Self::Hs512 => jsonwebtoken::Algorithm::HS512,
        }
    }
}

/// What a token says. Every claim is required, and there are no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    pub iss: String,
    pub aud: String,
    pub sub: UserId,
    /// Names the token, so that it can be ended.
    pub jti: String,
    /// Seconds since the epoch.
    pub iat: i64,
    pub exp: i64,
    /// The user's `token_version` when the token was made.
    pub tv: u64,
}

impl Claims {
    /// When the token ends.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.exp)
    }
}

/// Makes and checks tokens.
pub struct Tokens {
    header: Header,
    /// The first part of every token of ours, with its dot.
    header_part: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime_s: i64,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

impl Tokens {
    /// Tokens that live for `lifetime_s` seconds.
    ///
    /// # Errors
    /// `Invalid` when the secret is short or a known sample, or the lifetime is not positive.
    pub fn new(secret: &SecretString, algorithm: Algorithm, lifetime_s: i64) -> Result<Self, Error> {
        check_secret(secret.expose_secret())?;
        if lifetime_s <= 0 {
            return Err(Error::invalid(format!("tokens must live for a second or more, not {lifetime_s} s")));
        }
        let secret = secret.expose_secret().as_bytes();
        let mut validation = Validation::new(algorithm.library());
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
        // The library would ask the machine's clock; `check_times` asks the caller's.
        validation.validate_exp = false;
        let mut tokens = Self {
            header: Header::new(algorithm.library()),
            header_part: String::new(),
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime_s,
        };
        let sample = tokens.encode(&())?;
        tokens.header_part = sample.split_inclusive('.').take(1).collect();
        Ok(tokens)
    }

    /// A token for a user whose `token_version` is this, and what it says.
    ///
    /// # Errors
    /// `Internal` when it cannot be signed.
    pub fn issue(
        &self,
        user: &UserId,
        token_version: u64,
        now: Timestamp,
    ) -> Result<(String, Claims), Error> {
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: user.clone(),
            jti: random_digits(),
            iat: now.seconds(),
            exp: now.seconds() + self.lifetime_s,
            tv: token_version,
        };
        Ok((self.encode(&claims)?, claims))
    }

    /// What a token of ours says. Whether it was ended, and its user's state, are for the store.
    ///
    /// # Errors
    /// `Expired` for a good token after its time, `BadToken` for everything else.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, Unauthenticated> {
        if token.len() > BEARER_BYTES_MAX || !token.starts_with(&self.header_part) {
            return Err(Unauthenticated::BadToken);
        }
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| Unauthenticated::BadToken)?
            .claims;
        self.check_times(&claims, now)?;
        Ok(claims)
    }

    fn check_times(&self, claims: &Claims, now: Timestamp) -> Result<(), Unauthenticated> {
        let now_s = now.seconds();
        let lifetime_s = claims.exp.checked_sub(claims.iat);
        // A longer life than is given today ends with the setting that gave it.
        let lives_as_ours = lifetime_s.is_some_and(|life| (1..=self.lifetime_s).contains(&life));
        if !lives_as_ours || claims.iat > now_s.saturating_add(CLOCK_SKEW_S) {
            return Err(Unauthenticated::BadToken);
        }
        if claims.exp <= now_s {
            return Err(Unauthenticated::Expired);
        }
        Ok(())
    }

    fn encode<T: Serialize>(&self, claims: &T) -> Result<String, Error> {
        jsonwebtoken::encode(&self.header, claims, &self.encoding).map_err(Error::internal)
    }
}

/// Refuses secrets that can be guessed. Never shows the secret.
fn check_secret(secret: &str) -> Result<(), Error> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Error::invalid(format!(
            "the secret that signs tokens has {} bytes; at least {SECRET_BYTES_MIN} random ones are needed",
            secret.len()
        )));
    }
    let lower = secret.to_lowercase();
    let first = secret.chars().next();
    let repeats = secret.chars().all(|c| Some(c) == first);
    if repeats || SAMPLE_SECRETS.iter().any(|sample| lower.starts_with(sample)) {
        return Err(Error::invalid(
            "the secret that signs tokens is a sample that everybody knows; make one with `openssl rand -hex 32`",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weak_secrets_are_refused() {
        check("0f1e2d3c4b5a69788796a5b4c3d2e1f0", true);
        check("0f1e2d3c4b5a69788796a5b4c3d2e1f", false);
        check("", false);
        check("your-secret-key-change-in-production-0000", false);
        check("YOUR_SECRET_KEY_CHANGE_IN_PRODUCTION_0000", false);
        check("changeme-changeme-changeme-changeme", false);
        check("secret-secret-secret-secret-secret", false);
        check(&"a".repeat(64), false);

        #[track_caller]
        fn check(secret: &str, good: bool) {
            let tokens = Tokens::new(&SecretString::from(secret), Algorithm::Hs256, 60);
            assert_eq!(tokens.is_ok(), good, "{secret}");
            if let Err(error) = tokens {
                assert!(secret.is_empty() || !error.to_string().contains(secret));
            }
        }
    }

    #[test]
    fn only_three_algorithms_are_on_offer() {
        assert_eq!(Algorithm::parse("HS512").unwrap(), Algorithm::Hs512);
        for name in ["none", "RS256", "ES256", "hs256", ""] {
            Algorithm::parse(name).unwrap_err();
        }
    }
}
