//! The shape of every answer: `data` and `meta`, lists also with `pagination`.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::context;

/// What each answer says about itself.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Meta {
    /// Also in the header `X-Request-Id`; name it when you report a problem.
    #[schema(example = "req_0f8fad5bd9cb469fa16570867728950e")]
    request_id: String,
}

impl Meta {
    /// Of the request being served.
    pub(super) fn current() -> Self {
        Self { request_id: context::current_id() }
    }
}

/// One thing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reply<T> {
    data: T,
    meta: Meta,
}

impl<T> Reply<T> {
    pub(super) fn of(data: T) -> Self {
        Self { data, meta: Meta::current() }
    }
}

impl<T: Serialize> Reply<T> {
    /// 201, with where the new thing is.
    pub(super) fn created(self, location: &str) -> Response {
        self.placed(StatusCode::CREATED, header::LOCATION, location)
    }

    /// 202, with where the work can be watched.
    pub(super) fn accepted(self, location: &str) -> Response {
        self.placed(StatusCode::ACCEPTED, header::LOCATION, location)
    }

    fn placed(self, status: StatusCode, name: HeaderName, location: &str) -> Response {
        let mut response = (status, Json(self)).into_response();
        if let Ok(location) = HeaderValue::from_str(location) {
            response.headers_mut().insert(name, location);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

/// Which part of a list this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Pagination {
    total: u64,
    limit: u64,
    offset: u64,
    has_next: bool,
}

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ListReply<T> {
    data: Vec<T>,
    pagination: Pagination,
    meta: Meta,
}

impl<T> ListReply<T> {
    /// `items` are those from `offset` on, of `total` in all.
    pub(super) fn of(items: Vec<T>, page: super::extract::Page, total: u64) -> Self {
        let end = page.offset.saturating_add(items.len() as u64);
        let pagination = Pagination { total, limit: page.limit, offset: page.offset, has_next: end < total };
        Self { data: items, pagination, meta: Meta::current() }
    }
}

impl<T: Serialize> IntoResponse for ListReply<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::super::extract::Page;
    use super::*;

    #[test]
    fn a_list_says_whether_there_is_more() {
        check(0, 2, 5, true);
        check(3, 2, 5, false);
        check(4, 1, 5, false);
        check(9, 0, 5, false);

        #[track_caller]
        fn check(offset: u64, count: usize, total: u64, has_next: bool) {
            let list = ListReply::of(vec![(); count], Page { limit: 2, offset }, total);
            assert_eq!(list.pagination.has_next, has_next);
        }
    }
}
