//! Streams of OLE2 files ([MS-CFB]), of which XLS is one. Every chain of sectors is followed no further than
//! the file is long.

use super::biff::{u16_at, u32_at, utf16};

/// The first of the streams `names`; none where the file cannot be followed.
pub(super) fn stream(bytes: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let shift = u32::from(u16_at(bytes, 30)?);
    if !matches!(shift, 9 | 12) {
        return None;
    }
    let size = 1usize << shift;
    let sector = |number: u32| {
        let start = (number as usize).checked_add(1)?.checked_mul(size)?;
        // The last sector of a file may be cut short.
        bytes.get(start..bytes.len().min(start.checked_add(size)?))
    };
    // The header names the first 109 sectors of the FAT, a chain the others.
    let mut fat_sectors: Vec<u32> = (0..109).filter_map(|n| u32_at(bytes, 76 + 4 * n)).collect();
    let mut next = u32_at(bytes, 68)?;
    let sectors_max = bytes.len() / size + 1;
    for _ in 0..sectors_max {
        let Some(more) = (next < 0xFFFF_FFF0).then(|| sector(next)).flatten() else { break };
        let count = size / 4 - 1;
        fat_sectors.extend((0..count).filter_map(|n| u32_at(more, 4 * n)));
        next = u32_at(more, size - 4)?;
    }
    fat_sectors.retain(|number| *number < 0xFFFF_FFF0);
    fat_sectors.truncate(sectors_max);
    let fat = |number: u32| {
        let per_sector = size / 4;
        let table = sector(*fat_sectors.get(number as usize / per_sector)?)?;
        u32_at(table, 4 * (number as usize % per_sector))
    };
    let chain = |first: u32| {
        let mut content = Vec::new();
        let mut number = first;
        for _ in 0..sectors_max {
            let Some(part) = (number < 0xFFFF_FFF0).then(|| sector(number)).flatten() else {
                break;
            };
            content.extend_from_slice(part);
            number = fat(number).unwrap_or(u32::MAX);
        }
        content
    };
    let directory = chain(u32_at(bytes, 48)?);
    let entry = |wanted: &str| {
        directory.chunks_exact(128).find(|entry| {
            let length = usize::from(u16::from_le_bytes([entry[64], entry[65]]));
            entry[66] == 2 && (2..=64).contains(&length) && utf16(&entry[..length - 2]) == wanted
        })
    };
    let entry = names.iter().find_map(|name| entry(name))?;
    let (first, length) = (u32_at(entry, 116)?, u32_at(entry, 120)? as usize);
    let mut content = if length >= u32_at(bytes, 56)? as usize {
        chain(first)
    } else {
        // Small streams lie in the root's stream, in sectors of 64 bytes with a FAT of their own.
        let small = chain(u32_at(directory.get(..128)?, 116)?);
        let small_fat = chain(u32_at(bytes, 60)?);
        let mut content = Vec::new();
        let mut number = first as usize;
        for _ in 0..small.len() / 64 + 1 {
            let Some(part) = number.checked_mul(64).and_then(|at| small.get(at..at + 64)) else {
                break;
            };
            content.extend_from_slice(part);
            number = u32_at(&small_fat, 4 * number).unwrap_or(u32::MAX) as usize;
        }
        content
    };
    content.truncate(length);
    Some(content)
}
