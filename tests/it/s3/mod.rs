//! Objects in S3: a real server, a bucket for each test.
//!
//! `./dev test` starts SeaweedFS and names its address in `SHIRABE_S3`. Without it the tests here say that they tried
//! nothing, but for CI, where they fail. What a real server does not do on request, a scripted one or a store that
//! fails does: see `answers` and `crate::faults`.

mod answers;
mod attempts;
mod bucket;
mod imports;
mod objects;
mod outage;
mod program;

pub(crate) use bucket::TestBucket;
