//! What integration tests share: the service over real stores in a folder of its own.
//!
//! A test makes a [`TestApp`], says who asks, and looks at the [`Reply`]: its parts, or the whole of it, status included, as
//! an inline snapshot. Ids, secrets and times differ from run to run and are replaced by their names. It must not know
//! single routes but those by which every test gets its people and its datasets.

mod app;
mod call;
mod counted;
pub(crate) mod records;
mod reply;
mod serving;

pub(crate) use app::{Person, TestApp};
pub(crate) use call::{Call, Form};
pub(crate) use counted::Calls;
pub(crate) use reply::{Reply, fields};
pub(crate) use serving::serving;

/// The password of every user of a test.
pub(crate) const PASSWORD: &str = "Correct-Horse-7";
