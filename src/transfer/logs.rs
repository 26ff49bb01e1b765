//! Who did what, and which queries ran. Both stores take a record once, however often it comes.

use std::sync::Arc;

use super::{Copied, Side};
use crate::catalog::store::{Owner, PageRequest};
use crate::error::Result;
use crate::limits::PAGE_ITEMS_MAX;

pub(super) async fn audit(from: &Side, to: &Side, copied: &mut Copied) -> Result<()> {
    let mut request = PageRequest::first(PAGE_ITEMS_MAX);
    loop {
        let page = from.stores.audit.list(request).await?;
        for record in page.items {
            to.stores.audit.append(record).await?;
            copied.audit_records += 1;
        }
        let Some(next) = page.next else { return Ok(()) };
        request = PageRequest { after: Some(next), limit: PAGE_ITEMS_MAX };
    }
}

pub(super) async fn history(from: &Side, to: &Side, copied: &mut Copied) -> Result<()> {
    let mut request = PageRequest::first(PAGE_ITEMS_MAX);
    loop {
        let page = from.stores.history.list(&Owner::Anyone, request).await?;
        let records: Vec<_> = page.items.into_iter().map(Arc::new).collect();
        if !records.is_empty() {
            to.stores.history.append(&records).await?;
        }
        copied.queries += records.len() as u64;
        let Some(next) = page.next else { return Ok(()) };
        request = PageRequest { after: Some(next), limit: PAGE_ITEMS_MAX };
    }
}
