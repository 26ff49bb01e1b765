//! The integration tests: one binary, so that the library is linked once. Each line below says what belongs there.

// The layout: who may import whom, who may name what, sizes, and what must not stand in code.
mod tidy;
