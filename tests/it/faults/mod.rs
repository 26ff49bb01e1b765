//! Every call of a write path fails once: the first, the second, … until the write succeeds.
//!
//! Why beside the crashes: here the process lives on and must tell. After each failure the dataset is as
//! it was or as it was to be, `check` finds nothing, and the error has a name that helps. The failing
//! stores stand where the real ones do, so what is driven is the service itself.

mod audit;
mod faulty;
mod ground;
mod reads;
mod writes;
