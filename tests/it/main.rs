//! The integration tests: one binary, so that the library is linked once. Each line below says what belongs there.

// Says to clippy what is true anyway: helpers here are test code too, and may unwrap.
#![cfg(test)]

// The program as people run it, on a data folder of its own.
mod cli;
// An installation goes to other stores, and back.
mod copy;
// The process dies, the disk is full, a byte rots.
mod crash;
// The service over DynamoDB instead of a file.
mod dynamo;
// Python in workers: what comes in and out, and how runs end.
mod executor;
// Every call of a write path fails once.
mod faults;
// What is said about functions is true: their examples run, and the pages name all.
mod functions;
// Japanese encodings, against the tables of Python.
mod encodings;
// What every route answers, one file for each file of src/server/http.
mod http;
// Two services on the same stores.
mod replicas;
// Objects and imports in S3, on a real server.
mod s3;
// What SQL answers, record by record: the files of tests/slt, through the engine and through HTTP.
mod slt;
// Statements in processes of their own.
mod sql_worker;
// A door over real stores in a folder of its own.
mod support;
// How answers end, and how many bytes they are, as others' readers see it.
mod streams;
// The layout: who may import whom, who may name what, sizes, and what must not stand in code.
mod tidy;
mod transforms;
