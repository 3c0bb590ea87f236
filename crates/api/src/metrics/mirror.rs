//! What `/metrics` says of the Redis mirror, if there is one.

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use skep_operations::MirrorCounts;
use std::fmt;

pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    counts: &MirrorCounts,
) -> Result<(), fmt::Error> {
    for (name, help, value) in [
        (
            "redis_mirror_up",
            "Whether the server of the Redis mirror took what it was given last",
            u64::from(counts.up),
        ),
        (
            "redis_mirror_foreign_keys",
            "Keys that the Redis mirror does not show, because others have them",
            counts.foreign,
        ),
    ] {
        let gauge = ConstGauge::new(value);
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    let lag = ConstGauge::new(counts.lag_ms as f64 / 1e3);
    let described = encoder.encode_descriptor(
        "redis_mirror_lag",
        "Age of the oldest change that the Redis mirror lacks",
        Some(&Unit::Seconds),
        lag.metric_type(),
    )?;
    lag.encode(described)?;
    for (name, help, value) in [
        (
            "redis_mirror_written",
            "Keys that the Redis mirror wrote or removed",
            counts.written,
        ),
        (
            "redis_mirror_rebuilds",
            "How often the Redis mirror wrote all anew",
            counts.rebuilds,
        ),
        (
            "redis_mirror_failures",
            "Rounds of the Redis mirror that failed; they are made up for",
            counts.failures,
        ),
    ] {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    Ok(())
}
