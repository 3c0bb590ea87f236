//! The measured data: how long real tasks took, and how far cloud regions are apart.

use anyhow::{Context, Result};
use std::collections::BTreeMap;

const TASKS: &str = include_str!("../data/swebench_gemini3pro_tasks.csv");
const ROUND_TRIPS: &str = include_str!("../data/skyplane_latency_2022-04_aws.csv");

/// What the study replays.
#[derive(Debug)]
pub(crate) struct Measured {
    /// How long each task took, milliseconds.
    pub(crate) work_ms: Vec<u64>,
    round_trips_ms: BTreeMap<(String, String), f64>,
}

impl Measured {
    /// Reads the data that came with the program.
    pub(crate) fn load() -> Result<Self> {
        let seconds = columns(TASKS, &["wall_s"]).context("read the tasks")?;
        let work_ms = seconds
            .iter()
            .map(|row| Ok((row[0].parse::<f64>()? * 1_000.0) as u64))
            .collect::<Result<_>>()
            .context("read how long tasks took")?;
        let names = ["src_region", "dst_region", "avg_rtt"];
        let pairs = columns(ROUND_TRIPS, &names).context("read the round trips")?;
        let round_trips_ms = pairs
            .iter()
            .map(|row| {
                let regions = (row[0].to_owned(), row[1].to_owned());
                Ok((regions, row[2].parse()?))
            })
            .collect::<Result<_>>()
            .context("read how long round trips took")?;
        Ok(Self {
            work_ms,
            round_trips_ms,
        })
    }

    /// Round trip between two regions, milliseconds; within one it is taken as 1.
    pub(crate) fn round_trip_ms(&self, from: &str, to: &str) -> Result<u32> {
        if from == to {
            return Ok(1);
        }
        let found = self.round_trips_ms.get(&(from.to_owned(), to.to_owned()));
        let found = found.with_context(|| format!("no round trip from `{from}` to `{to}`"))?;
        Ok(found.ceil() as u32)
    }
}

/// These columns of a table without quotes, row by row.
fn columns<'a>(text: &'a str, names: &[&str]) -> Result<Vec<Vec<&'a str>>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines
        .next()
        .context("the table is empty")?
        .split(',')
        .collect();
    let places: Vec<usize> = names
        .iter()
        .map(|name| {
            let place = header.iter().position(|column| column == name);
            place.with_context(|| format!("no column `{name}`"))
        })
        .collect::<Result<_>>()?;
    lines
        .enumerate()
        .map(|(number, line)| {
            let cells: Vec<&str> = line.split(',').collect();
            let cell = |place: &usize| cells.get(*place).copied();
            let row: Option<Vec<&str>> = places.iter().map(cell).collect();
            row.with_context(|| format!("row {} is too short", number + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_says_what_its_description_says() {
        let measured = Measured::load().unwrap();
        let mut work_ms = measured.work_ms.clone();
        work_ms.sort_unstable();
        assert_eq!(work_ms.len(), 500);
        assert_eq!(
            [work_ms[50], work_ms[250], work_ms[450]],
            [116_000, 225_000, 468_000]
        );
        let far = measured.round_trip_ms("aws:eu-central-1", "aws:ap-southeast-2");
        assert!((200..400).contains(&far.unwrap()));
        assert!(measured.round_trip_ms("aws:eu-central-1", "mars").is_err());
    }
}
