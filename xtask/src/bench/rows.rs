//! The list of rows.

use super::budget::Must;
use super::{
    Row, command_rows, fleet_rows, hook_rows, latency_rows, mcp_rows, memory_rows, overload_rows,
    queue_rows, start_rows, throughput_rows,
};

/// Everything that is measured. To add a row, write its function and name it here.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "binary_size",
        unit: "MB",
        must: Some(Must::AtMost(40.0)),
        measure: start_rows::binary_size,
    },
    Row {
        name: "up_ready",
        unit: "s",
        must: Some(Must::AtMost(1.0)),
        measure: start_rows::up_ready,
    },
    Row {
        name: "submit_batch_100",
        unit: "tasks/s",
        must: Some(Must::AtLeast(60_000.0)),
        measure: throughput_rows::submit_batch_100,
    },
    Row {
        name: "submit_single_64",
        unit: "tasks/s",
        must: Some(Must::AtLeast(8_000.0)),
        measure: throughput_rows::submit_single_64,
    },
    Row {
        name: "end_to_end_noop_4_nodes",
        unit: "tasks/s",
        must: Some(Must::AtLeast(20_000.0)),
        measure: throughput_rows::end_to_end_noop_4_nodes,
    },
    Row {
        name: "queue_rss_per_100k",
        unit: "MiB",
        must: None,
        measure: throughput_rows::queue_rss_per_100k,
    },
    Row {
        name: "idle_latency",
        unit: "ms",
        must: Some(Must::AtMost(2.0)),
        measure: latency_rows::idle_latency,
    },
    Row {
        name: "dag_1000_makespan",
        unit: "s",
        must: Some(Must::AtMost(0.15)),
        measure: latency_rows::dag_1000_makespan,
    },
    Row {
        name: "command_overhead",
        unit: "ms",
        must: Some(Must::AtMost(15.0)),
        measure: command_rows::command_overhead,
    },
    Row {
        name: "nodes_10000_rss",
        unit: "MiB",
        must: Some(Must::AtMost(600.0)),
        measure: fleet_rows::nodes_10000_rss,
    },
    Row {
        name: "nodes_10000_cpu",
        unit: "%",
        must: Some(Must::AtMost(40.0)),
        measure: fleet_rows::nodes_10000_cpu,
    },
    Row {
        name: "reconnect_storm_10000",
        unit: "s",
        must: Some(Must::AtMost(60.0)),
        measure: fleet_rows::reconnect_storm_10000,
    },
    Row {
        name: "restart_1m",
        unit: "s",
        must: Some(Must::AtMost(15.0)),
        measure: queue_rows::restart_1m,
    },
    Row {
        name: "queue_1m_rss",
        unit: "MiB",
        must: Some(Must::AtMost(2_048.0)),
        measure: queue_rows::queue_1m_rss,
    },
    Row {
        name: "schedule_p99_1m",
        unit: "ms",
        must: Some(Must::AtMost(20.0)),
        measure: queue_rows::schedule_p99_1m,
    },
    Row {
        name: "fanout_1000",
        unit: "events/s",
        must: Some(Must::AtLeast(500_000.0)),
        measure: overload_rows::fanout_1000,
    },
    Row {
        name: "submit_overload_goodput",
        unit: "%",
        must: Some(Must::AtLeast(80.0)),
        measure: overload_rows::submit_overload_goodput,
    },
    Row {
        name: "memory_set_1",
        unit: "writes/s",
        must: None,
        measure: memory_rows::memory_set_1,
    },
    Row {
        name: "memory_set_32",
        unit: "writes/s",
        must: Some(Must::AtLeast(15_000.0)),
        measure: memory_rows::memory_set_32,
    },
    Row {
        name: "memory_set_pipelined",
        unit: "writes/s",
        must: Some(Must::AtLeast(60_000.0)),
        measure: memory_rows::memory_set_pipelined,
    },
    Row {
        name: "memory_get_1",
        unit: "reads/s",
        must: None,
        measure: memory_rows::memory_get_1,
    },
    Row {
        name: "memory_get_32",
        unit: "reads/s",
        must: Some(Must::AtLeast(40_000.0)),
        measure: memory_rows::memory_get_32,
    },
    Row {
        name: "mcp_start",
        unit: "ms",
        must: Some(Must::AtMost(50.0)),
        measure: mcp_rows::start_to_tools_list,
    },
    Row {
        name: "mcp_call",
        unit: "ms",
        must: Some(Must::AtMost(0.25)),
        measure: mcp_rows::call_latency,
    },
    Row {
        name: "mcp_calls",
        unit: "calls/s",
        must: Some(Must::AtLeast(4_000.0)),
        measure: mcp_rows::calls_per_second,
    },
    Row {
        name: "mcp_rss",
        unit: "MiB",
        must: Some(Must::AtMost(15.0)),
        measure: mcp_rows::stdio_rss,
    },
    Row {
        name: "mcp_store",
        unit: "times a synced write",
        must: Some(Must::AtMost(1.5)),
        measure: mcp_rows::durable_store,
    },
    Row {
        name: "hooks",
        unit: "ms",
        must: Some(Must::AtMost(50.0)),
        measure: hook_rows::hooks,
    },
];
