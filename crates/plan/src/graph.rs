//! The graph of a draft: cycles, waves, the longest chain, and a picture of it in text.

use crate::draft::Draft;
use std::borrow::Cow;
use std::fmt::Write;

/// Needed tasks that are shown beside a task.
const NEEDS_SHOWN_MAX: usize = 4;

/// A cycle among nodes whose dependencies are given by position; each of them needs the next, and
/// the last needs the first.
pub(crate) fn cycle(needs: &[Vec<usize>]) -> Option<Vec<usize>> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; needs.len()];
    for start in 0..needs.len() {
        if marks[start] != Mark::New {
            continue;
        }
        marks[start] = Mark::Open;
        // The path from `start`, each with how many of its dependencies were followed.
        let mut path = vec![(start, 0)];
        while let Some((node, followed)) = path.last_mut() {
            let Some(next) = needs[*node].get(*followed).copied() else {
                marks[*node] = Mark::Done;
                path.pop();
                continue;
            };
            *followed += 1;
            match marks[next] {
                Mark::Done => {}
                Mark::New => {
                    marks[next] = Mark::Open;
                    path.push((next, 0));
                }
                Mark::Open => {
                    let nodes = path.iter().map(|(node, _)| *node);
                    return Some(nodes.skip_while(|node| *node != next).collect());
                }
            }
        }
    }
    None
}

impl Draft {
    /// Positions of the tasks in steps: each task stands one step after the last it needs.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let mut waves: Vec<Vec<usize>> = Vec::new();
        for (position, step) in self.steps().into_iter().enumerate() {
            if waves.len() <= step {
                waves.resize_with(step + 1, Vec::new);
            }
            waves[step].push(position);
        }
        waves
    }

    /// A longest chain of tasks of which each needs the one before, by number of tasks.
    pub fn critical_path(&self) -> Vec<usize> {
        let steps = self.steps();
        let last =
            (0..steps.len()).max_by_key(|position| (steps[*position], usize::MAX - position));
        let mut path: Vec<usize> = Vec::new();
        let mut next = last;
        while let Some(position) = next {
            path.push(position);
            let before = self.tasks[position].needs.iter().copied();
            next = before
                .filter(|need| steps[*need] + 1 == steps[position])
                .min();
        }
        path.reverse();
        path
    }

    /// The waves as text, each task with what it needs.
    pub fn render_graph(&self) -> String {
        self.render_graph_with(Cow::Borrowed)
    }

    /// As [`Self::render_graph`], with names as `shown` shows them: values of a matrix, which are
    /// part of a name, may hold anything.
    pub fn render_graph_with<'a>(&'a self, shown: impl Fn(&'a str) -> Cow<'a, str>) -> String {
        let name = |position: usize| shown(&self.tasks[position].name);
        let mut text = String::new();
        for (step, wave) in self.waves().iter().enumerate() {
            let plural = if wave.len() == 1 { "" } else { "s" };
            let _ = writeln!(text, "step {}: {} task{plural}", step + 1, wave.len());
            for position in wave {
                let task = &self.tasks[*position];
                let _ = write!(text, "  {}", name(*position));
                let first = task.needs.iter().take(NEEDS_SHOWN_MAX);
                let first: Vec<_> = first.map(|need| name(*need)).collect();
                if !first.is_empty() {
                    let _ = write!(text, " <- {}", first.join(", "));
                }
                if task.needs.len() > NEEDS_SHOWN_MAX {
                    let _ = write!(text, " and {} more", task.needs.len() - NEEDS_SHOWN_MAX);
                }
                text.push('\n');
            }
        }
        let names: Vec<_> = self.critical_path().into_iter().map(name).collect();
        let _ = writeln!(
            text,
            "longest chain ({}): {}",
            names.len(),
            names.join(" -> ")
        );
        text
    }

    /// The step of each task, from 0. Tasks of a draft have no cycle.
    fn steps(&self) -> Vec<usize> {
        let mut steps = vec![None; self.tasks.len()];
        for start in 0..self.tasks.len() {
            let mut open = vec![start];
            while let Some(position) = open.last().copied() {
                let needs = &self.tasks[position].needs;
                let missing = needs.iter().copied().find(|need| steps[*need].is_none());
                if let Some(need) = missing {
                    open.push(need);
                } else {
                    let before = needs.iter().filter_map(|need| steps[*need]).max();
                    steps[position] = Some(before.map_or(0, |step: usize| step + 1));
                    open.pop();
                }
            }
        }
        steps.into_iter().map(Option::unwrap_or_default).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::cycle;

    #[test]
    fn cycles_are_found_and_named_in_order() {
        for (needs, expected) in [
            (vec![], None),
            (vec![vec![1], vec![2], vec![]], None),
            (vec![vec![1, 2], vec![3], vec![3], vec![]], None),
            (vec![vec![0]], Some(vec![0])),
            (
                vec![vec![1], vec![2], vec![3], vec![1]],
                Some(vec![1, 2, 3]),
            ),
        ] {
            assert_eq!(cycle(&needs), expected, "{needs:?}");
        }
    }
}
