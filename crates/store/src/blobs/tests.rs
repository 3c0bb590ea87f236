//! The blob store, on real files.

use super::{BlobError, BlobStatus, BlobStore};
use crate::DataDir;
use crate::fixtures::options;
use skep_model::attempt::ArtifactHash;
use skep_model::limits::ARTIFACT_BYTES_MAX;
use std::io::Read;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

fn store() -> (TempDir, BlobStore) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = DataDir::open(dir.path(), options())
        .unwrap()
        .blobs()
        .unwrap();
    (dir, blobs)
}

fn content(blobs: &BlobStore, hash: ArtifactHash) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    blobs
        .open_blob(hash)
        .unwrap()?
        .read_to_end(&mut bytes)
        .unwrap();
    Some(bytes)
}

#[test]
fn an_upload_goes_on_where_it_stopped() {
    let (dir, blobs) = store();
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = ArtifactHash::of(&bytes);
    assert_eq!(blobs.status(hash).unwrap(), BlobStatus::Missing);
    assert_eq!(blobs.append(hash, 0, &bytes[..1_000]).unwrap(), 1_000);
    drop(blobs);

    let blobs = DataDir::open(dir.path(), options())
        .unwrap()
        .blobs()
        .unwrap();
    assert_eq!(blobs.status(hash).unwrap(), BlobStatus::Partial(1_000));
    assert!(
        content(&blobs, hash).is_none(),
        "unfinished bytes are not given out"
    );
    for wrong in [0, 999, 1_001] {
        let error = blobs.append(hash, wrong, &bytes[..1]).unwrap_err();
        assert!(
            matches!(
                error,
                BlobError::WrongOffset {
                    expected: 1_000,
                    ..
                }
            ),
            "{error}"
        );
    }
    let error = blobs.finish(hash, bytes.len() as u64).unwrap_err();
    assert!(
        matches!(error, BlobError::WrongLength { found: 1_000, .. }),
        "{error}"
    );
    blobs.append(hash, 1_000, &bytes[1_000..]).unwrap();
    blobs.finish(hash, bytes.len() as u64).unwrap();
    assert_eq!(
        blobs.status(hash).unwrap(),
        BlobStatus::Complete(bytes.len() as u64)
    );
    assert_eq!(content(&blobs, hash).unwrap(), bytes);
    blobs.finish(hash, bytes.len() as u64).unwrap();
    assert!(blobs.remove(hash).unwrap() && !blobs.remove(hash).unwrap());
}

#[test]
fn bytes_of_another_hash_are_thrown_away() {
    let (_dir, blobs) = store();
    let hash = ArtifactHash::of(b"promised");
    blobs.append(hash, 0, b"provided").unwrap();
    let error = blobs.finish(hash, 8).unwrap_err();
    assert!(matches!(error, BlobError::WrongHash { .. }), "{error}");
    assert_eq!(blobs.status(hash).unwrap(), BlobStatus::Missing);
    blobs.append(hash, 0, b"promised").unwrap();
    blobs.finish(hash, 8).unwrap();
    assert_eq!(content(&blobs, hash).unwrap(), b"promised");
}

#[test]
fn an_artifact_without_bytes_is_an_artifact() {
    let (_dir, blobs) = store();
    let hash = ArtifactHash::of(b"");
    blobs.finish(hash, 0).unwrap();
    assert_eq!(blobs.status(hash).unwrap(), BlobStatus::Complete(0));
    let error = blobs.finish(ArtifactHash::of(b"x"), 0).unwrap_err();
    assert!(matches!(error, BlobError::WrongHash { .. }), "{error}");
}

#[test]
fn an_artifact_beyond_the_limit_is_refused_before_it_is_written() {
    let (dir, blobs) = store();
    let hash = ArtifactHash::of(b"huge");
    blobs.append(hash, 0, b"h").unwrap();
    // A sparse file stands for the first GiB.
    let part = dir.path().join("blobs/parts").join(hash.to_string());
    let file = std::fs::OpenOptions::new().write(true).open(part).unwrap();
    file.set_len(ARTIFACT_BYTES_MAX).unwrap();
    let error = blobs.append(hash, ARTIFACT_BYTES_MAX, b"x").unwrap_err();
    assert!(matches!(error, BlobError::TooLarge { .. }), "{error}");
}

#[test]
fn many_uploads_of_one_artifact_end_in_one_whole_artifact() {
    let (_dir, blobs) = store();
    let bytes: Vec<u8> = (0..50_000_u32).flat_map(u32::to_le_bytes).collect();
    let hash = ArtifactHash::of(&bytes);
    let upload = |step: usize| {
        let mut offset = 0;
        while offset < bytes.len() {
            let end = bytes.len().min(offset + step);
            match blobs.append(hash, offset as u64, &bytes[offset..end]) {
                Ok(next) => offset = next as usize,
                Err(BlobError::WrongOffset { expected, .. }) => offset = expected as usize,
                Err(error) => panic!("{error}"),
            }
        }
        blobs.finish(hash, bytes.len() as u64).unwrap();
    };
    std::thread::scope(|scope| {
        for step in [997, 1_009, 4_096, 8_191] {
            scope.spawn(move || upload(step));
        }
    });
    assert_eq!(content(&blobs, hash).unwrap(), bytes);
}

#[test]
fn only_old_unfinished_uploads_are_swept() {
    let (_dir, blobs) = store();
    let (part, whole) = (ArtifactHash::of(b"part"), ArtifactHash::of(b"whole"));
    blobs.append(part, 0, b"pa").unwrap();
    blobs.append(whole, 0, b"whole").unwrap();
    blobs.finish(whole, 5).unwrap();
    let hour = Duration::from_hours(1);
    assert_eq!(blobs.sweep_parts(SystemTime::now() - hour).unwrap(), 0);
    assert_eq!(blobs.sweep_parts(SystemTime::now() + hour).unwrap(), 1);
    assert_eq!(blobs.status(part).unwrap(), BlobStatus::Missing);
    assert_eq!(blobs.status(whole).unwrap(), BlobStatus::Complete(5));
}

#[test]
fn symbolic_links_are_never_followed() {
    let (dir, blobs) = store();
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("secret");
    std::fs::write(&secret, b"untouched").unwrap();
    let hash = ArtifactHash::of(b"link");
    let name = hash.to_string();
    let part = dir.path().join("blobs/parts").join(&name);
    std::os::unix::fs::symlink(&secret, &part).unwrap();
    assert!(blobs.append(hash, 0, b"link").is_err());
    std::fs::remove_file(&part).unwrap();

    let shard = dir.path().join("blobs").join(&name[..2]);
    std::os::unix::fs::symlink(&secret, shard.join(&name)).unwrap();
    assert!(blobs.open_blob(hash).is_err());
    std::fs::remove_dir_all(&shard).unwrap();
    std::os::unix::fs::symlink(outside.path(), &shard).unwrap();
    assert!(blobs.open_blob(hash).is_err());
    assert_eq!(std::fs::read(&secret).unwrap(), b"untouched");
}
