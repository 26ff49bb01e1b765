//! `TokenStore`.

use crate::catalog::store::{PageRequest, RevokedToken, Stores, every};
use crate::clock::Timestamp;

/// A moment far ahead: what has expired by the clock of the server may be gone at any time, as DynamoDB removes it
/// by itself.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(4_100_000_000 + seconds)
}

pub(super) async fn run(stores: &Stores) {
    let tokens = &stores.tokens;
    assert!(!tokens.is_revoked("a").await.unwrap());
    tokens.revoke("a", at(10)).await.unwrap();
    tokens.revoke("b", at(20)).await.unwrap();
    assert!(tokens.is_revoked("a").await.unwrap());
    assert!(!tokens.is_revoked("A").await.unwrap());

    let all = every(|page| tokens.revoked(PageRequest { limit: 1, ..page })).await.unwrap();
    let expected = [("a", at(10)), ("b", at(20))];
    let expected = expected.map(|(jti, expires_at)| RevokedToken { jti: jti.to_owned(), expires_at });
    assert_eq!(all, expected, "the first to expire first, over pages");

    // Twice is fine, and must not make the store forget earlier than promised.
    tokens.revoke("b", at(5)).await.unwrap();
    assert_eq!(tokens.forget_expired(at(10)).await.unwrap(), 0, "kept until it has expired");
    assert_eq!(tokens.forget_expired(at(11)).await.unwrap(), 1);
    assert!(!tokens.is_revoked("a").await.unwrap());
    assert!(tokens.is_revoked("b").await.unwrap());
    assert_eq!(tokens.forget_expired(at(11)).await.unwrap(), 0);
}
