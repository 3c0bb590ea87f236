//! Wall clocks that are wrong, jump, or pass special days: what is decided, and when, by a clock
//! that only runs on.

use super::nodes::{MINUTES, Swarm, WallClock};
use skep_model::attempt::Outcome;
use skep_model::event::Event;
use skep_model::node::NodeClass;
use skep_model::time::UnixMillis;

/// When wall clocks jump: while the node is silent and its lease runs.
const JUMPS_AT_MS: u64 = 30_000;
/// When the node falls silent, and for how long: it is given up.
const SILENT_AT_MS: u64 = 20_000;
const SILENT_MS: u64 = 5 * MINUTES;
const HOUR_MS: u64 = 3_600_000;
const STEP_MS: u64 = 100;
/// 2026-11-18, an ordinary Wednesday.
const ORDINARY: u64 = 1_795_000_000_000;
/// 2028-02-28 23:59:40, UTC.
const BEFORE_LEAP_DAY: u64 = 1_835_395_180_000;
/// 2028-02-29 23:59:40, UTC.
const END_OF_LEAP_DAY: u64 = 1_835_481_580_000;
/// 2038-01-19 03:13:47, UTC: 32 bits of seconds end 21 seconds later.
const BEFORE_2038: u64 = 2_147_483_627_000;
/// 2027-03-28 00:59:40, UTC: clocks in Europe are put forward.
const SUMMER_BEGINS: u64 = 1_806_195_580_000;
/// 2027-10-31 00:59:40, UTC: and put back.
const SUMMER_ENDS: u64 = 1_824_944_380_000;

/// What was decided about nodes and tasks, and when by the clock that only runs on.
type Decisions = Vec<(u64, String)>;

/// A node works, is silent until it is given up, comes back, fails, tries again, and ends.
fn play(wall: WallClock) -> Decisions {
    let mut swarm = Swarm::with_clock(NodeClass::Server, Some(wall));
    let mut decisions = Vec::new();
    pass(&mut swarm, SILENT_AT_MS, &mut decisions);
    swarm.reachable = false;
    let lost = swarm.lose_connection();
    swarm.link_closed(lost);
    pass(&mut swarm, SILENT_AT_MS + SILENT_MS, &mut decisions);
    swarm.reachable = true;
    pass(
        &mut swarm,
        SILENT_AT_MS + SILENT_MS + MINUTES,
        &mut decisions,
    );
    // Its own attempt was stopped; the next one fails by itself, and the last one does not.
    swarm.end_work(swarm.started[0], Outcome::Killed);
    pass(
        &mut swarm,
        SILENT_AT_MS + SILENT_MS + 2 * MINUTES,
        &mut decisions,
    );
    swarm.end_work(swarm.started[1], Outcome::Exited { code: 1 });
    pass(
        &mut swarm,
        SILENT_AT_MS + SILENT_MS + 3 * MINUTES,
        &mut decisions,
    );
    swarm.end_work(swarm.started[2], Outcome::Completed);
    pass(
        &mut swarm,
        SILENT_AT_MS + SILENT_MS + 4 * MINUTES,
        &mut decisions,
    );
    decisions
}

fn pass(swarm: &mut Swarm, until: u64, decisions: &mut Decisions) {
    while swarm.now < until {
        swarm.pass(STEP_MS);
        let now = swarm.now;
        decisions.extend(swarm.events.drain(..).filter_map(|event| {
            let text = match event {
                Event::NodeChanged { state, .. } => format!("node {state}"),
                Event::TaskLeased { attempt, .. } => format!("granted {attempt}"),
                Event::AttemptEnded { attempt, .. } => format!("ended {attempt}"),
                Event::TaskChanged { state, .. } => format!("task {state}"),
                Event::TaskFinished { state, .. } => format!("finished {state}"),
                _ => return None,
            };
            Some((now, text))
        }));
    }
}

/// A wall clock that is right until it jumps, and then as wrong as that.
fn jumps(base: u64, now: u64, by_ms: i64) -> UnixMillis {
    let by = if now < JUMPS_AT_MS { 0 } else { by_ms };
    UnixMillis((base + now).saturating_add_signed(by))
}

#[test]
fn no_wall_clock_changes_when_a_lease_ends_or_a_retry_comes() {
    const HOUR: i64 = HOUR_MS.cast_signed();
    const TEN_MINUTES: i64 = 10 * MINUTES.cast_signed();
    let model = play(|now| UnixMillis(ORDINARY + now));
    let texts: Vec<_> = model.iter().map(|(_, text)| text.as_str()).collect();
    for wanted in [
        "node suspect",
        "node lost",
        "granted 2",
        "granted 3",
        "finished succeeded",
    ] {
        assert!(texts.contains(&wanted), "{wanted}: {model:?}");
    }
    let clocks: [(&str, WallClock); 10] = [
        ("an hour ahead", |now| jumps(ORDINARY, now, HOUR)),
        ("an hour back", |now| jumps(ORDINARY, now, -HOUR)),
        ("ten minutes back", |now| jumps(ORDINARY, now, -TEN_MINUTES)),
        ("stands still", |_| UnixMillis(ORDINARY)),
        ("of 1970", |now| UnixMillis(now)),
        ("before the leap day", |now| {
            UnixMillis(BEFORE_LEAP_DAY + now)
        }),
        ("after the leap day", |now| {
            UnixMillis(END_OF_LEAP_DAY + now)
        }),
        ("into 2038", |now| jumps(BEFORE_2038, now, HOUR)),
        ("summer begins", |now| UnixMillis(SUMMER_BEGINS + now)),
        ("summer ends, by local time", |now| {
            jumps(SUMMER_ENDS, now, -HOUR)
        }),
    ];
    for (name, wall) in clocks {
        assert_eq!(play(wall), model, "{name}");
    }
}

/// The time of the log follows a wall clock that jumps ahead, so what waits for a time comes early
/// then, but never late: neither by a jump ahead nor by one back.
#[test]
fn a_jump_while_a_retry_waits_never_makes_it_late() {
    const FAILS_AT_MS: u64 = 10_000;
    let retried_at = |jump: WallClock| {
        let mut swarm = Swarm::with_clock(NodeClass::Server, Some(jump));
        let mut decisions = Vec::new();
        pass(&mut swarm, FAILS_AT_MS, &mut decisions);
        swarm.end_work(swarm.started[0], Outcome::Exited { code: 1 });
        pass(&mut swarm, FAILS_AT_MS + MINUTES, &mut decisions);
        let again = decisions.iter().find(|(_, text)| text == "granted 2");
        again.expect("it is tried again").0
    };
    let model = retried_at(|now| UnixMillis(ORDINARY + now));
    assert!(model > FAILS_AT_MS + STEP_MS, "{model}: it waits a while");
    let back = retried_at(|now| {
        let is_wrong = now > FAILS_AT_MS + STEP_MS;
        UnixMillis(ORDINARY + now - if is_wrong { HOUR_MS } else { 0 })
    });
    assert_eq!(back, model);
    let ahead = retried_at(|now| {
        let is_wrong = now > FAILS_AT_MS + STEP_MS;
        UnixMillis(ORDINARY + now + if is_wrong { HOUR_MS } else { 0 })
    });
    assert!(ahead <= model, "{ahead} is later than {model}");
}
