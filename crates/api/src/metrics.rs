//! `/metrics` in the Prometheus text format. Gauges and counters of the coordinator are read when
//! they are asked for; only HTTP requests are counted here.

mod memory;
mod mirror;

use crate::authenticate;
use crate::failure::Failure;
use crate::state::ApiState;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use memory::MemorySample;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use skep_coordinator::{COMMIT_BUCKETS_MS, DECISION_BUCKETS_US, EngineStats};
use skep_model::run::TaskCounts;
use skep_model::task::TaskState;
use skep_model::token::Scope;
use skep_operations::{ErrorCode, MirrorCounts, Services};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const REQUEST_BUCKETS_S: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    route: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

fn new_histogram() -> Histogram {
    Histogram::new(REQUEST_BUCKETS_S)
}

/// What is counted about HTTP requests.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let durations = Family::new_with_constructor(new_histogram as fn() -> Histogram);
        Self {
            requests: Family::default(),
            durations,
        }
    }

    /// Routes and methods are a fixed set: an unknown one is counted as such.
    pub(crate) fn answered(
        &self,
        method: &Method,
        route: String,
        status: StatusCode,
        took: Duration,
    ) {
        let known = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::DELETE,
        ];
        let method = if known.contains(method) {
            method.as_str()
        } else {
            "other"
        };
        let labels = RequestLabels {
            method: method.to_owned(),
            route: route.clone(),
            status: status.as_u16(),
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&RouteLabels { route })
            .observe(took.as_secs_f64());
    }

    fn render(&self, services: &Services) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("skep");
        registry.register_collector(Box::new(Sample::take(services)));
        registry.register(
            "http_requests",
            "HTTP requests answered",
            self.requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time to the first byte of an answer",
            Unit::Seconds,
            self.durations.clone(),
        );
        let mut body = String::new();
        text::encode(&mut body, &registry)?;
        Ok(body)
    }
}

/// Shows the metrics to holders of the `read` scope.
pub(crate) async fn show(
    State(api): State<ApiState>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    std::future::ready(answer(&api, &headers)).await
}

fn answer(api: &ApiState, headers: &HeaderMap) -> Result<Response, Failure> {
    authenticate::require(headers, &api.services, Scope::Read)?;
    let body = api
        .metrics
        .render(&api.services)
        .map_err(|_| Failure::new(ErrorCode::Internal, "the metrics could not be written"))?;
    let mut response = Response::new(Body::from(body));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(OPENMETRICS));
    Ok(response)
}

/// The coordinator at one moment.
#[derive(Debug)]
struct Sample {
    stats: EngineStats,
    counts: TaskCounts,
    nodes: BTreeMap<&'static str, u32>,
    agents: usize,
    runs: usize,
    subscribers: usize,
    memory: MemorySample,
    mirror: Option<MirrorCounts>,
    version: String,
}

impl Sample {
    fn take(services: &Services) -> Self {
        let view = services.hive.view();
        let mut nodes = BTreeMap::new();
        for node in view.state.machines() {
            *nodes.entry(node.state.as_str()).or_default() += 1;
        }
        Self {
            counts: *view.state.counts(),
            nodes,
            agents: view.state.agents().count(),
            runs: view.state.runs().count(),
            stats: services.hive.stats(),
            subscribers: services.subscriber_count(),
            memory: MemorySample::take(&view, services.shared_memory.tiers.counts()),
            mirror: services.redis_mirror.as_ref().map(|mirror| mirror.counts()),
            version: services.server.version.clone(),
        }
    }
}

/// Final states in the order in which the engine counts them.
const FINAL_STATES: [TaskState; 5] = [
    TaskState::Succeeded,
    TaskState::Failed,
    TaskState::Cancelled,
    TaskState::Expired,
    TaskState::Unknown,
];

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        let live = TaskState::ALL.into_iter().filter(|state| !state.is_final());
        gauges(
            &mut encoder,
            "tasks",
            "Live tasks by state",
            live.map(|state| ("state", state.as_str(), u64::from(self.counts.of(state)))),
        )?;
        gauges(
            &mut encoder,
            "nodes",
            "Nodes by state",
            self.nodes
                .iter()
                .map(|(state, count)| ("state", *state, u64::from(*count))),
        )?;
        let finished = FINAL_STATES.into_iter().zip(stats.tasks_finished);
        counters(
            &mut encoder,
            "finished",
            "Tasks that became final since the start, by state",
            finished.map(|(state, count)| ("state", state.as_str(), count)),
        )?;
        self.encode_plain(&mut encoder)?;
        self.encode_commits(&mut encoder)?;
        self.encode_decisions(&mut encoder)?;
        self.memory.encode(&mut encoder, stats)?;
        if let Some(counts) = &self.mirror {
            mirror::encode(&mut encoder, counts)?;
        }
        gauges(
            &mut encoder,
            "build",
            "Always 1; the version is in the label",
            [("version", self.version.as_str(), 1)].into_iter(),
        )
    }
}

impl Sample {
    /// What has no labels.
    fn encode_plain(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        for (name, help, value) in [
            ("agents", "Agents", self.agents as u64),
            ("runs", "Live runs", self.runs as u64),
            (
                "proposals_queued",
                "Commands that wait for a commit",
                stats.proposals_waiting,
            ),
            ("node_connections", "Connected nodes", stats.links),
            (
                "event_subscribers",
                "Callers that follow the events",
                self.subscribers as u64,
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in [
            (
                "submitted",
                "Tasks taken in since the start",
                stats.tasks_submitted,
            ),
            (
                "granted",
                "Attempts granted since the start",
                stats.attempts_granted,
            ),
            (
                "lease_expirations",
                "Attempts given up with their node",
                stats.leases_lost,
            ),
            (
                "fenced_writes",
                "Reports refused by their fence",
                stats.reports_fenced,
            ),
            (
                "proposals_refused",
                "Commands turned away by a full queue",
                stats.proposals_refused,
            ),
            (
                "entries_applied",
                "Log entries applied",
                stats.entries_applied,
            ),
            (
                "commits",
                "Group commits that carried entries",
                stats.commits,
            ),
        ] {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(
                name,
                help,
                None,
                counter.metric_type(),
            )?)?;
        }
        Ok(())
    }

    fn encode_commits(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        let durations = Durations {
            name: "commit_duration",
            help: "Time of a group commit",
            sum: stats.commit_duration_ms_sum as f64 / 1e3,
            count: stats.commits,
        };
        let bounds = COMMIT_BUCKETS_MS.iter().map(|ms| *ms as f64 / 1e3);
        durations.encode(encoder, bounds, &stats.commit_durations)
    }

    fn encode_decisions(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let stats = &self.stats;
        let durations = Durations {
            name: "decision_duration",
            help: "Time to compare the ready tasks with the free agents",
            sum: stats.decision_duration_us_sum as f64 / 1e6,
            count: stats.decisions,
        };
        let bounds = DECISION_BUCKETS_US.iter().map(|us| *us as f64 / 1e6);
        durations.encode(encoder, bounds, &stats.decision_durations)
    }
}

/// A histogram that the engine keeps, in seconds.
#[derive(Debug)]
struct Durations {
    name: &'static str,
    help: &'static str,
    sum: f64,
    count: u64,
}

impl Durations {
    fn encode(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        bounds: impl Iterator<Item = f64>,
        counts: &[u64],
    ) -> Result<(), fmt::Error> {
        let bounds = bounds.chain(std::iter::once(f64::MAX));
        let buckets: Vec<_> = bounds.zip(counts.iter().copied()).collect();
        let unit = Some(&Unit::Seconds);
        encoder
            .encode_descriptor(self.name, self.help, unit, MetricType::Histogram)?
            .encode_histogram::<NoLabelSet>(self.sum, self.count, &buckets, None)
    }
}

type Labelled<'a> = (&'static str, &'a str, u64);

fn gauges<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = Labelled<'a>>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (label, text, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&[(label, text)])?)?;
    }
    Ok(())
}

fn counters<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = Labelled<'a>>,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (label, text, value) in values {
        ConstCounter::new(value).encode(family.encode_family(&[(label, text)])?)?;
    }
    Ok(())
}
