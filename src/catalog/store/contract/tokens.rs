//! `TokenStore`.

use super::at;
use crate::catalog::store::Stores;

pub(super) async fn run(stores: &Stores) {
    let tokens = &stores.tokens;
    assert!(!tokens.is_revoked("a").await.unwrap());
    tokens.revoke("a", at(10)).await.unwrap();
    tokens.revoke("b", at(20)).await.unwrap();
    assert!(tokens.is_revoked("a").await.unwrap());
    assert!(!tokens.is_revoked("A").await.unwrap());

    // Twice is fine, and must not make the store forget earlier than promised.
    tokens.revoke("b", at(5)).await.unwrap();
    assert_eq!(tokens.forget_expired(at(10)).await.unwrap(), 0, "kept until it has expired");
    assert_eq!(tokens.forget_expired(at(11)).await.unwrap(), 1);
    assert!(!tokens.is_revoked("a").await.unwrap());
    assert!(tokens.is_revoked("b").await.unwrap());
    assert_eq!(tokens.forget_expired(at(11)).await.unwrap(), 0);
}
