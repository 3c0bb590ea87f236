//! Results on disk from the end of their attempt to the coordinator's answer.

mod format;
mod queue;
mod spool_file;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use queue::SpoolQueue;
pub(crate) use spool_file::SpoolFile;
pub(crate) use writer::SpoolWriter;
