//! Who is calling, found once a request, and whether they call too often.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;

use super::client_address::client_address;
use super::context;
use super::error::{ApiError, ApiResult};
use super::extract::Caller;
use super::state::AppState;
use crate::auth::Principal;
use crate::error::{Error, Result, Unauthenticated};

/// Layer of all routes that a signed-in caller may use. A request without a token goes on without a
/// caller; the handlers that need one say so in their signature. A bad token ends here.
pub(super) async fn identify(
    State(app): State<AppState>,
    mut request: Request,
    next: Next,
) -> ApiResult<Response> {
    if let Some(principal) = principal(&app, request.headers()).await? {
        context::set_user(&principal.user_id);
        request.extensions_mut().insert(Caller(principal));
    }
    Ok(next.run(request).await)
}

async fn principal(app: &AppState, headers: &HeaderMap) -> Result<Option<Principal>> {
    let token = bearer(headers)?;
    if token.is_some_and(|token| app.operator_token.matches(token)) {
        return Ok(Some(Principal::operator()));
    }
    // Before the token is checked, so that a flood of bad ones is cheap.
    if let Some(limits) = &app.settings.rate_limits {
        limits.total()?;
    }
    let Some(token) = token else { return Ok(None) };
    let principal = app.accounts.sign_in.authenticate(token, app.clock.now()).await?;
    if let Some(limits) = &app.settings.rate_limits {
        limits.user(&principal.user_id)?;
    }
    Ok(Some(principal))
}

/// Layer of the routes by which people sign in: what they send is a guess until it is proven.
pub(super) async fn limit_sign_in(
    State(app): State<AppState>,
    request: Request,
    next: Next,
) -> ApiResult<Response> {
    if let Some(limits) = &app.settings.rate_limits {
        let address = client_address(request.extensions(), request.headers(), &app.settings.trusted_proxies);
        limits.login(address).map_err(ApiError)?;
    }
    Ok(next.run(request).await)
}

/// The token in `Authorization: Bearer <token>`.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&str>> {
    let bad = || Error::Unauthenticated(Unauthenticated::BadToken);
    let mut values = headers.get_all(header::AUTHORIZATION).into_iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad());
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(bad)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(token.trim())) } else { Err(bad()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_is_read() {
        check(&[], Ok(None));
        check(&["Bearer abc"], Ok(Some("abc")));
        check(&["bearer  abc "], Ok(Some("abc")));
        check(&["Basic abc"], Err(()));
        check(&["Bearer"], Err(()));
        check(&["Bearer abc", "Bearer abc"], Err(()));

        #[track_caller]
        fn check(values: &[&str], expected: Result<Option<&str>, ()>) {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).map_err(|_| ()), expected);
        }
    }
}
