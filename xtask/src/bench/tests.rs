//! Tests of the frame: choice of rows, medians, and the form of the report.

use super::*;
use std::sync::atomic::{AtomicU32, Ordering};

fn bench(quick: bool) -> Bench {
    Bench {
        binary: PathBuf::from("/bin/true"),
        directory: std::env::temp_dir(),
        fleet: PathBuf::from("/bin/true"),
        quick,
        runs: if quick { 1 } else { RUNS },
    }
}

#[test]
fn an_unknown_row_is_refused_and_a_known_one_is_found() {
    assert_eq!(select(&[]).unwrap().len(), ROWS.len());
    assert_eq!(
        select(&["up_ready".to_owned()]).unwrap()[0].name,
        "up_ready"
    );
    assert!(
        select(&["speed".to_owned()])
            .unwrap_err()
            .to_string()
            .starts_with("no row `speed`: use b")
    );
}

#[test]
fn the_median_run_is_reported() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let row = Row {
        name: "x",
        unit: "s",
        must: None,
        measure: |_| {
            let value = [5.0, 1.0, 3.0][CALLS.fetch_add(1, Ordering::Relaxed) as usize % 3];
            Ok(Measurement {
                value,
                n: 1,
                latency: None,
                details: Vec::new(),
            })
        },
    };
    assert!((measure(&row, &bench(false)).unwrap().value - 3.0).abs() < f64::EPSILON);
    assert_eq!(CALLS.load(Ordering::Relaxed), 3);
    measure(&row, &bench(true)).unwrap();
    assert_eq!(CALLS.load(Ordering::Relaxed), 4);
}

#[test]
fn the_report_has_the_promised_fields() {
    let latency = Percentiles {
        p50: Duration::from_micros(1500),
        p99: Duration::from_millis(9),
    };
    let timed = Measurement {
        value: 2.0,
        n: 7,
        latency: Some(latency),
        details: Vec::new(),
    };
    let plain = Measurement {
        latency: None,
        details: vec![Detail::new("also", 1.0, "s")],
        ..timed.clone()
    };
    let machine = Machine::examine(&std::env::temp_dir()).unwrap();
    let full = bench(false);
    let rows = vec![
        report_row(&ROWS[1], timed, &full),
        report_row(&ROWS[0], plain, &bench(true)),
    ];
    let json = serde_json::to_value(Report { machine, rows }).unwrap();
    let expected = serde_json::json!([
        {"name": "up_ready", "value": 2.0, "unit": "s", "n": 7, "p50_ms": 1.5, "p99_ms": 9.0,
         "must": {"at_most": 1.0}},
        {"name": "binary_size", "value": 2.0, "unit": "MB", "n": 7, "p50_ms": null, "p99_ms": null,
         "details": [{"name": "also", "value": 1.0, "unit": "s"}]},
    ]);
    assert_eq!(json["rows"], expected);
    assert!(json["machine"]["cores"].as_u64().unwrap() > 0);
    assert!(json["machine"]["disk_sync_p50_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn numbers_are_shown_with_the_digits_that_count() {
    let table = [(12_345.6, "12346"), (12.345, "12.35"), (0.012_34, "0.0123")];
    for (value, expected) in table {
        assert_eq!(decimals(value), expected);
    }
}
