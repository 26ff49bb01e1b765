//! Passwords: what is asked of a new one, and hashes. New hashes are argon2id; bcrypt hashes that an
//! older system made still verify, and say that they should be replaced.
//!
//! bcrypt looks at the first 72 bytes only, as it always did; argon2id at all of them.

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::password_hash::{CustomizedPasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use bcrypt::HashParts;

use crate::error::Error;
use crate::limits::PASSWORD_BYTES_MAX;

/// Highest bcrypt cost that is verified: a second or two. A stored hash must not stop the service.
const BCRYPT_COST_MAX: u32 = 15;

/// Highest argon2 parameters that are verified, for the same reason.
const STORED_COST_MAX: Cost = Cost { memory_kib: 256 * 1024, passes: 10, lanes: 4 };

/// How often one character may follow itself.
const RUN_MAX: usize = 3;

/// What a new password must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Fewest characters.
    pub length_min: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self { length_min: 8 }
    }
}

impl Policy {
    /// Accepts or refuses a new password.
    ///
    /// # Errors
    /// `Invalid`, with every rule that it breaks; never the password itself.
    pub fn check(&self, password: &str) -> Result<(), Error> {
        let mut broken = Vec::new();
        if password.chars().count() < self.length_min {
            broken.push(format!("at least {} characters", self.length_min));
        }
        if password.len() > PASSWORD_BYTES_MAX {
            broken.push(format!("at most {PASSWORD_BYTES_MAX} bytes"));
        }
        if !password.chars().any(char::is_uppercase) {
            broken.push("an upper-case letter".to_owned());
        }
        if !password.chars().any(char::is_lowercase) {
            broken.push("a lower-case letter".to_owned());
        }
        if !password.chars().any(|c| c.is_ascii_digit()) {
            broken.push("a digit".to_owned());
        }
        if longest_run(password) > RUN_MAX {
            broken.push(format!("no character more than {RUN_MAX} times running"));
        }
        if broken.is_empty() {
            return Ok(());
        }
        Err(Error::invalid_field("password", format!("the password needs {}", broken.join(", "))))
    }
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    let mut last = None;
    for c in text.chars() {
        run = if last == Some(c) { run + 1 } else { 1 };
        last = Some(c);
        longest = longest.max(run);
    }
    longest
}

/// What hashing a password costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

impl Cost {
    /// The least that is advised today (OWASP); for tests, where the time of hashing is lost.
    pub const FLOOR: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };
}

impl Default for Cost {
    /// About 70 ms of one core, and 32 MiB.
    fn default() -> Self {
        Self { memory_kib: 32 * 1024, passes: 2, lanes: 1 }
    }
}

/// What verifying told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// The password is the one that was hashed.
    pub good: bool,
    /// The hash was made with another scheme or another cost than a new one would be.
    pub outdated: bool,
}

/// Hashes a password under a fresh salt. Takes the time and memory of `cost`.
///
/// # Errors
/// `Internal` when the cost is not one that argon2 knows, or there is no memory for it.
pub fn hash(password: &str, cost: Cost) -> Result<String, Error> {
    let salt = Salt::generate();
    let params = params(cost)?;
    let hash = Argon2::default()
        .hash_password_customized(
            password.as_bytes(),
            salt.as_ref(),
            Some(Algorithm::Argon2id.as_str()),
            None,
            params,
        )
        .map_err(|cause| Error::internal(format!("cannot hash a password: {cause}")))?;
    Ok(hash.to_string())
}

/// A well-formed hash of this cost that no password has: what is verified when there is no user, so
/// that an unknown address takes as long as a wrong password.
#[must_use]
pub fn unmatchable(cost: Cost) -> String {
    let Cost { memory_kib, passes, lanes } = cost;
    let (salt, output) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${output}")
}

/// Compares a password with a stored hash, in a time that does not depend on the password.
///
/// # Errors
/// `Internal` when the hash is none that we know, or costs more than a stored hash may.
pub fn verify(password: &str, stored: &str, wanted: Cost) -> Result<Verified, Error> {
    if stored.starts_with("$2") {
        verify_bcrypt(password, stored)
    } else {
        verify_argon2(password, stored, wanted)
    }
}

fn verify_argon2(password: &str, stored: &str, wanted: Cost) -> Result<Verified, Error> {
    let unreadable = || Error::internal("a stored password hash is neither argon2 nor bcrypt");
    let hash = PasswordHash::new(stored).map_err(|_| unreadable())?;
    let algorithm = Algorithm::try_from(hash.algorithm.as_str()).map_err(|_| unreadable())?;
    let params = Params::try_from(&hash).map_err(|_| unreadable())?;
    let cost = Cost { memory_kib: params.m_cost(), passes: params.t_cost(), lanes: params.p_cost() };
    let max = STORED_COST_MAX;
    if cost.memory_kib > max.memory_kib || cost.passes > max.passes || cost.lanes > max.lanes {
        return Err(Error::internal(format!("a stored password hash costs too much to verify: {cost:?}")));
    }
    let good = Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
    let current =
        algorithm == Algorithm::Argon2id && hash.version == Some(Version::V0x13.into()) && cost == wanted;
    Ok(Verified { good, outdated: !current })
}

fn verify_bcrypt(password: &str, stored: &str) -> Result<Verified, Error> {
    let known = ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| stored.starts_with(prefix));
    let cost = stored.parse::<HashParts>().ok().filter(|_| known).map(|parts| parts.get_cost());
    match cost {
        None => Err(Error::internal("a stored password hash starts like bcrypt but is none")),
        Some(cost) if cost > BCRYPT_COST_MAX => Err(Error::internal(format!(
            "a stored bcrypt hash has cost {cost}; at most {BCRYPT_COST_MAX} is verified"
        ))),
        Some(_) => {
            let good = bcrypt::verify(password, stored).map_err(Error::internal)?;
            Ok(Verified { good, outdated: true })
        }
    }
}

fn params(cost: Cost) -> Result<Params, Error> {
    Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
        .map_err(|cause| Error::internal(format!("{cost:?} is no cost that argon2 knows: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_every_broken_rule() {
        check("Tsukiji8", &[]);
        check("Aaa111bbb", &[]);
        check("パスワードAa1", &[]);
        check("", &["8 characters", "upper-case", "lower-case", "digit"]);
        check("Short1a", &["8 characters"]);
        check("nouppercase1", &["upper-case"]);
        check("NOLOWERCASE1", &["lower-case"]);
        check("NoDigitsHere", &["digit"]);
        check("Passssword1", &["3 times running"]);
        check(&format!("Aa1{}", "xyz".repeat(85)), &["256 bytes"]);

        #[track_caller]
        fn check(password: &str, broken: &[&str]) {
            match Policy::default().check(password) {
                Ok(()) => assert!(broken.is_empty(), "{password} was accepted"),
                Err(error) => {
                    let message = error.to_string();
                    assert_eq!(message.matches(", ").count() + 1, broken.len(), "{message}");
                    assert!(broken.iter().all(|rule| message.contains(rule)), "{message}");
                }
            }
        }
    }

    #[test]
    fn a_hash_verifies_its_own_password_only() {
        let stored = hash("Tsukiji8", Cost::FLOOR).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert_ne!(stored, hash("Tsukiji8", Cost::FLOOR).unwrap(), "salts differ");
        check(&stored, "Tsukiji8", true, false);
        check(&stored, "tsukiji8", false, false);
        check(&stored, "", false, false);
        check(&unmatchable(Cost::FLOOR), "Tsukiji8", false, false);
    }

    #[test]
    fn old_hashes_verify_and_are_outdated() {
        for version in ["2a", "2b", "2y"] {
            let stored = bcrypt_of("Tsukiji8", 4).replace("$2b$", &format!("${version}$"));
            check(&stored, "Tsukiji8", true, true);
            check(&stored, "Tsukiji9", false, true);
        }
        let long = bcrypt_of(&"x".repeat(80), 4);
        check(&long, &"x".repeat(72), true, true);
        let weak = hash("Tsukiji8", Cost { memory_kib: 8 * 1024, passes: 1, lanes: 1 }).unwrap();
        check(&weak, "Tsukiji8", true, true);
    }

    #[test]
    fn costly_or_unknown_hashes_are_refused_unverified() {
        let salt_and_output = format!("${}${}", "A".repeat(22), "A".repeat(43));
        for stored in [
            format!("$argon2id$v=19$m=4194304,t=2,p=1{salt_and_output}"),
            format!("$argon2id$v=19$m=19456,t=4000000000,p=1{salt_and_output}"),
            format!("$argon2id$v=19$m=19456,t=2,p=5{salt_and_output}"),
            bcrypt_of("Tsukiji8", 4).replace("$04$", "$31$"),
            bcrypt_of("Tsukiji8", 4).replace("$2b$", "$2x$"),
            format!("$scrypt$ln=15,r=8,p=1{salt_and_output}"),
            "$2b$12$short".to_owned(),
            "Tsukiji8".to_owned(),
            String::new(),
        ] {
            verify("Tsukiji8", &stored, Cost::FLOOR).unwrap_err();
        }
    }

    fn bcrypt_of(password: &str, cost: u32) -> String {
        bcrypt::hash(password, cost).unwrap()
    }

    #[track_caller]
    fn check(stored: &str, password: &str, good: bool, outdated: bool) {
        assert_eq!(verify(password, stored, Cost::FLOOR).unwrap(), Verified { good, outdated });
    }
}
