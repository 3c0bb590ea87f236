//! Where a value lies among the meanings of a model: a direction, compared by angle.

use crate::limits::{EMBEDDING_DIMENSIONS_MAX, NAME_LENGTH_MAX};
use crate::memory::Bytes;
use serde::{Deserialize, Serialize};

/// Bytes of one number.
const WIDTH: usize = size_of::<f32>();

/// A direction, and the model that gave it: numbers whose squares add up to 1, as little-endian
/// `f32`. Only embeddings of one model and one length can be compared. Those whose model nobody named
/// are compared with each other: who leaves it out says that there is only one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Embedding {
    model: Option<Box<str>>,
    numbers: Bytes,
}

/// Why numbers are no embedding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddingFault {
    /// There are none, or too many.
    #[error("an embedding has 1 to {EMBEDDING_DIMENSIONS_MAX} numbers, and this one has {given}")]
    Dimensions {
        /// How many.
        given: usize,
    },
    /// One of them is not a number, or infinite.
    #[error("number {place} of the embedding, counted from 0, is not finite")]
    NotFinite {
        /// Which, counted from 0.
        place: usize,
    },
    /// All are zero: this points nowhere.
    #[error("an embedding of zeros points nowhere, so nothing can be near it")]
    Zero,
}

impl Embedding {
    /// The direction of these numbers.
    pub fn of(values: &[f32]) -> Result<Self, EmbeddingFault> {
        let given = values.len();
        if given == 0 || given > EMBEDDING_DIMENSIONS_MAX {
            return Err(EmbeddingFault::Dimensions { given });
        }
        if let Some(place) = values.iter().position(|value| !value.is_finite()) {
            return Err(EmbeddingFault::NotFinite { place });
        }
        let squares = values.iter().map(|value| f64::from(*value).powi(2));
        let length = squares.sum::<f64>().sqrt();
        if length == 0.0 {
            return Err(EmbeddingFault::Zero);
        }
        let scaled = values.iter().map(|value| f64::from(*value) / length);
        #[expect(clippy::cast_possible_truncation, reason = "numbers of at most 1 fit")]
        let bytes: Vec<u8> = scaled
            .flat_map(|value| (value as f32).to_le_bytes())
            .collect();
        Ok(Self {
            model: None,
            numbers: Bytes::from(bytes),
        })
    }

    /// The same direction, as one that this model gave.
    #[must_use]
    pub fn of_model(self, model: impl Into<Box<str>>) -> Self {
        let model = Some(model.into());
        Self { model, ..self }
    }

    /// The model that gave it, if that was named.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// How many bytes it takes, with the name of its model.
    pub fn bytes(&self) -> usize {
        self.numbers.as_slice().len() + self.model().map_or(0, str::len)
    }

    /// Its numbers, little-endian.
    pub fn as_bytes(&self) -> &[u8] {
        self.numbers.as_slice()
    }

    /// Its numbers.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> {
        let (numbers, _) = self.as_bytes().as_chunks::<WIDTH>();
        numbers.iter().map(|number| f32::from_le_bytes(*number))
    }

    /// How many numbers it has.
    pub fn dimensions(&self) -> usize {
        self.as_bytes().len() / WIDTH
    }

    /// Whether the bytes are numbers, and not too many, and the model has a name that can be one.
    /// What was decoded has to be asked.
    pub fn is_whole(&self) -> bool {
        let dimensions = self.dimensions();
        self.as_bytes().len().is_multiple_of(WIDTH)
            && (1..=EMBEDDING_DIMENSIONS_MAX).contains(&dimensions)
            && self.model().is_none_or(is_model_name)
    }

    /// How near the other direction is: 1 the same, 0 nothing in common, -1 the opposite. None when
    /// they are of different models or lengths.
    pub fn similarity(&self, other: &Self) -> Option<f32> {
        if self.model != other.model {
            return None;
        }
        similarity(self.as_bytes(), other.as_bytes())
    }
}

fn is_model_name(name: &str) -> bool {
    (1..=NAME_LENGTH_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control)
}

/// As [`Embedding::similarity`], of the bytes of two embeddings of one model: a scan over many copies
/// none.
pub fn similarity(one: &[u8], other: &[u8]) -> Option<f32> {
    /// Sums that do not wait for each other.
    const LANES: usize = 8;
    if one.len() != other.len() || one.is_empty() {
        return None;
    }
    let mut sums = [0.0_f32; LANES];
    let (ones, others) = (one.chunks(LANES * WIDTH), other.chunks(LANES * WIDTH));
    for (one, other) in ones.zip(others) {
        let pairs = one
            .as_chunks::<WIDTH>()
            .0
            .iter()
            .zip(other.as_chunks::<WIDTH>().0);
        for (sum, (one, other)) in sums.iter_mut().zip(pairs) {
            *sum += f32::from_le_bytes(*one) * f32::from_le_bytes(*other);
        }
    }
    Some(sums.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_is_the_angle_and_not_the_length() {
        let of = |values: &[f32]| Embedding::of(values).unwrap();
        for (one, other, near) in [
            (&[3.0, 0.0][..], &[0.5, 0.0][..], 1.0),
            (&[1.0, 0.0], &[0.0, 9.0], 0.0),
            (&[1.0, 2.0, 2.0], &[-1.0, -2.0, -2.0], -1.0),
            (&[1.0, 0.0], &[1.0, 1.0], 0.5_f32.sqrt()),
            (&[1.0; 19], &[2.0; 19], 1.0),
        ] {
            let found = of(one).similarity(&of(other)).unwrap();
            assert!((found - near).abs() < 1e-6, "{one:?} {other:?}: {found}");
        }
        assert_eq!(of(&[1.0]).similarity(&of(&[1.0, 1.0])), None);
    }

    #[test]
    fn what_points_nowhere_is_refused() {
        for (values, fault) in [
            (&[][..], EmbeddingFault::Dimensions { given: 0 }),
            (&[0.0, 0.0], EmbeddingFault::Zero),
            (&[1.0, f32::NAN], EmbeddingFault::NotFinite { place: 1 }),
            (&[f32::INFINITY], EmbeddingFault::NotFinite { place: 0 }),
        ] {
            assert_eq!(Embedding::of(values), Err(fault), "{values:?}");
        }
        let many = vec![1.0; EMBEDDING_DIMENSIONS_MAX + 1];
        assert!(Embedding::of(&many).is_err());
    }

    #[test]
    fn what_is_no_embedding_is_known_for_it() {
        let embedding = Embedding::of(&[0.25, -4.0, 1e30]).unwrap();
        assert!(embedding.is_whole());
        for numbers in [&[0; 7][..], &[]] {
            let cut = Embedding {
                model: None,
                numbers: Bytes::from(numbers),
            };
            assert!(!cut.is_whole());
        }
        for (name, is_whole) in [("m-1", true), ("", false), ("a\nb", false)] {
            assert_eq!(
                embedding.clone().of_model(name).is_whole(),
                is_whole,
                "{name}"
            );
        }
        assert!(!embedding.of_model("x".repeat(129)).is_whole());
    }

    #[test]
    fn directions_of_different_models_are_not_compared() {
        let plain = Embedding::of(&[1.0, 0.0]).unwrap();
        let (one, other) = (
            plain.clone().of_model("one"),
            plain.clone().of_model("other"),
        );
        assert_eq!(one.similarity(&one), Some(1.0));
        assert_eq!(plain.similarity(&plain), Some(1.0));
        assert_eq!(one.similarity(&other), None);
        assert_eq!(one.similarity(&plain), None);
        assert_eq!(one.bytes(), plain.bytes() + 3);
    }
}
