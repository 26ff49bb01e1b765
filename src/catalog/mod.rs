//! What exists: users, keys, datasets and their versions, as records and by name.
//!
//! Why: doors, the engine and imports all need the same answer to "which dataset is this, and may the
//! caller see it?". This stage gives it once. It must not know HTTP, SQL or how bytes are stored.

pub mod manifest;
pub mod name;
pub mod record;
pub mod store;
pub mod transform;

pub use manifest::Manifest;
pub use name::NameKey;
